"""Take a manifest file apart into documents that know where each value stands.

A file is cut at its ``---`` lines first, so that a document which is no YAML does not
take those after it along.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

import yaml
from yaml import events

from qlop.manifest import marks
from qlop.manifest.marks import Marks, Path, Spot, Yaml, key_spot, value_spot
from qlop.manifest.tree import Complaint, TooMuchError, TreeBuilder
from qlop.model.finding import Finding, Origin, Severity
from qlop.model.source import MAX_FILE_BYTES, SourceFile
from qlop.model.units import format_size

MAX_DOCUMENTS = 2_000
"""Documents in one file; a file of more is a mistake."""

MAX_FINDINGS = 100
"""Findings reported of one file; a file with more is not what it seems to be."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it: twenty times faster, with the same marks."""

_NOT_TEXT = re.compile(
    "[^\\x09\\x0A\\x0D\\x20-\\x7E\\xA0-\\u2027\\u202A-\\uD7FF\\uE000-\\uFEFE\\uFF00-\\uFFFD"
    "\\U00010000-\\U0010FFFF]"
)
"""What YAML does not allow, and the line ends (U+0085, U+2028, U+2029) nobody expects."""

_CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?= |$)", re.MULTILINE)
"""What git leaves in a file that two people changed; ``=======`` alone may be text."""

_SEPARATOR = re.compile(r"^---(?=[ \n]|$)", re.MULTILINE)

_HINTS = {
    "mapping values are not allowed": "check the indentation of this line and of the one above;"
    " text with a colon and a space in it goes in quotes",
    "could not find expected ':'": "a key is followed by a colon and a space",
    "did not find expected key": "check the indentation: keys of one mapping stand in one column",
    "did not find expected '-' indicator": "check the indentation: items of one list stand in"
    " one column",
    "cannot start any token": "text that begins with @ or ` goes in quotes",
}

_OPEN = {
    "found unexpected end of stream": "the quote that opens text on line {line} is not closed",
    "did not find expected ',' or": "the bracket or brace that opens on line {line} is not closed,"
    " or a comma is missing",
}
"""What the parser notices at the end of it, or of the file."""

_NO_COLON = "could not find expected ':'"
"""What the parser notices a line too late."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """One document: its top-level mapping, and a mark for each node of it.

    ``broken`` are the paths that have a finding already: what the schema would say of
    them would only repeat it.
    """

    file: str
    data: dict[str, Yaml]
    marks: Marks
    broken: frozenset[Path]

    def value_origin(self, path: Path) -> Origin:
        """Return where the value at ``path`` stands, or what should hold it."""
        return self._origin(value_spot(self.data, self.marks, path))

    def key_origin(self, path: Path) -> Origin:
        """Return where the key at ``path`` stands, or what should hold it."""
        return self._origin(key_spot(self.data, self.marks, path))

    def _origin(self, spot: Spot) -> Origin:
        return Origin(file=self.file, line=spot.line, column=spot.column)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParsedFile:
    """What a file holds. ``digest`` is that of its bytes."""

    digest: bytes
    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]


def digest_of(file: SourceFile) -> bytes:
    """Return what tells a file from any other content of it."""
    return sha256(b"%d:%b" % (file.size_bytes, file.content)).digest()


def parse_file(file: SourceFile) -> ParsedFile:
    """Return the documents of ``file`` and what is wrong with it; never raises."""
    digest = digest_of(file)
    text = _text_of(file)
    if isinstance(text, Finding):
        return ParsedFile(digest=digest, documents=(), findings=(text,))
    documents: list[Document] = []
    findings: list[Finding] = []
    for chunk, line in _chunks(text):
        _parse_chunk(file.path, chunk, line, documents, findings)
        if len(documents) > MAX_DOCUMENTS:
            message = f"more than {MAX_DOCUMENTS} documents in one file; the rest is not read"
            hint = "use several files"
            findings.append(_finding(file.path, "too-many-documents", message, hint, line=line))
            break
    return ParsedFile(digest=digest, documents=tuple(documents), findings=_shortened(findings))


def _shortened(findings: list[Finding]) -> tuple[Finding, ...]:
    if len(findings) <= MAX_FINDINGS:
        return tuple(findings)
    more = f"{len(findings) - MAX_FINDINGS} more findings in this file are not shown"
    last = replace(
        findings[MAX_FINDINGS], code="too-many-findings", message=more, hint="", field=""
    )
    return (*findings[:MAX_FINDINGS], last)


def _text_of(file: SourceFile) -> str | Finding:
    if file.size_bytes > MAX_FILE_BYTES or len(file.content) > MAX_FILE_BYTES:
        size = format_size(max(file.size_bytes, len(file.content)))
        limit = format_size(MAX_FILE_BYTES)
        message = f"the file is {size} large; manifests of more than {limit} are not read"
        hint = "split it, or keep what is no manifest out of this directory"
        return _finding(file.path, "file-too-large", message, hint)
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = file.content[: error.start].decode("utf-8", "replace")
        message = f"byte 0x{file.content[error.start]:02x} is not UTF-8 text"
        line, column = _place(before, len(before))
        return _finding(
            file.path, "encoding", message, "save the file as UTF-8", line=line, column=column
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    odd = _NOT_TEXT.search(text)
    if odd is not None:
        message = f"the character U+{ord(odd[0]):04X} has no place in a text file"
        hint = "remove it; a file full of such characters is no manifest, or not UTF-8"
        line, column = _place(text, odd.start())
        return _finding(file.path, "not-text", message, hint, line=line, column=column)
    return _unmerged(file, text) or text


def _unmerged(file: SourceFile, text: str) -> Finding | None:
    found = _CONFLICT.search(text)
    if found is None:
        return None
    message = f"a merge was not finished: {found[0]} is what git leaves where two changes meet"
    hint = "keep one of the two versions, remove git's marks, and commit"
    line, column = _place(text, found.start())
    return _finding(file.path, "merge-conflict", message, hint, line=line, column=column)


def _place(text: str, at: int) -> tuple[int, int]:
    """Return line and column of a character, counted from 0."""
    return text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1)


def _chunks(text: str) -> Iterator[tuple[str, int]]:
    """Yield the text of each document and the number of lines before it."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text) if match.start())]
    line = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end], line
        line += text.count("\n", start, end)


def _parse_chunk(
    file: str, text: str, line: int, documents: list[Document], findings: list[Finding]
) -> None:
    loader = _LOADER(text)
    try:
        _parse_events(file, loader.get_event, (line, text.count("\n")), documents, findings)
    except yaml.MarkedYAMLError as error:
        findings.append(_syntax_finding(file, text, error, line))
    finally:
        loader.dispose()


def _parse_events(
    file: str,
    next_event: Callable[[], events.Event],
    lines: tuple[int, int],
    documents: list[Document],
    findings: list[Finding],
) -> None:
    next_event()  # the start of the stream
    while not isinstance(next_event(), events.StreamEndEvent):  # the start of a document
        builder = TreeBuilder(next_event, *lines)
        first = next_event()
        is_empty = isinstance(first, events.ScalarEvent) and not first.value
        try:
            data = None if is_empty else builder.build(first)
        except TooMuchError as error:
            complaints = (*builder.complaints, error.complaint)
            findings.extend(_complained(file, complaint) for complaint in complaints)
            return
        next_event()  # the end of the document
        findings.extend(_complained(file, complaint) for complaint in builder.complaints)
        if isinstance(data, dict):
            documents.append(_document(file, data, builder))
        elif not is_empty:
            message = "a document has to be a mapping with apiVersion, kind, metadata and spec"
            findings.append(_marked(file, "not-a-mapping", message, "", builder.at(first)))


def _document(file: str, data: dict[str, Yaml], builder: TreeBuilder) -> Document:
    broken = frozenset(complaint.path for complaint in builder.complaints)
    return Document(file=file, data=data, marks=builder.marks, broken=broken)


def _complained(file: str, complaint: Complaint) -> Finding:
    found = _marked(file, complaint.code, complaint.message, complaint.hint, complaint.at)
    return replace(found, field=marks.text_of(complaint.path))


def _syntax_finding(file: str, text: str, error: yaml.MarkedYAMLError, line: int) -> Finding:
    problem = error.problem or "this is no YAML"
    began = error.context_mark
    mark = began if began and _NO_COLON in problem else error.problem_mark or began
    assert mark is not None, "the parser says where it stopped"
    lines = text.split("\n")
    at = min(mark.line, len(lines) - 1)
    stopped = lines[at]
    indentation = stopped[: len(stopped) - len(stopped.lstrip())]
    if "\t" in indentation or stopped[mark.column : mark.column + 1] == "\t":
        message = "a tab stands here; YAML is indented with spaces"
        hint = "replace the tab with spaces, two a level"
        column = stopped.index("\t")
        return _finding(file, "tab", message, hint, line=at + line, column=column)
    hints = _HINTS if began is None else {**_HINTS, **_OPEN}
    hint = next((hint for sample, hint in hints.items() if sample in problem), "")
    if began is not None:
        hint = hint.format(line=began.line + 1 + line)
    context = f"{error.context} " if error.context else ""
    message = f"not YAML: {context}{problem}"
    return _finding(file, "yaml-syntax", message, hint, line=at + line, column=mark.column)


def _finding(
    file: str, code: str, message: str, hint: str, *, line: int = 0, column: int = 0
) -> Finding:
    """Return an error at a position counted from 0."""
    return _marked(file, code, message, hint, marks.pack(line, column))


def _marked(file: str, code: str, message: str, hint: str, at: int) -> Finding:
    spot = marks.spot_of(at)
    return Finding(
        severity=Severity.ERROR,
        code=code,
        message=message,
        origin=Origin(file=file, line=spot.line, column=spot.column),
        hint=hint,
    )
