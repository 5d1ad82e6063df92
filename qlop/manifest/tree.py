"""Build a document from YAML events, refusing what would not be meant.

Events rather than nodes: an alias can be counted before it is expanded, a number can be
read as it was written, and nothing is kept but values and one mark per node.
"""

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from yaml import events

from qlop.manifest.marks import Marks, Path, Yaml, pack, spot_of
from qlop.manifest.scalar import Refused, parse_plain

MAX_DEPTH = 24
"""Levels of nesting; the schema needs eight."""

MAX_NODES = 50_000
"""Nodes of a document with its aliases expanded: a bomb has billions."""

MAX_COMPLAINTS = 200
"""Problems of a document; one with more is no manifest."""

_INTERNED_LENGTH = 64
"""Text up to this length is kept once, however often it occurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong at a place (a mark) inside a document."""

    code: str
    message: str
    hint: str
    path: Path
    at: int


class TooMuchError(Exception):
    """A document that is not worth going on with; says why."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.message)
        self.complaint = complaint


@dataclass(slots=True, kw_only=True)
class _Anchor:
    """What an anchor stands for; ``marks`` is None as long as it is being built."""

    value: Yaml
    marks: "Marks | None"


@dataclass(slots=True)
class TreeBuilder:
    """Builds one document; ``marks`` always agree with the value built so far.

    ``above`` is the number of lines of the file before what the events count from;
    ``last`` is the last line they can mean, since libyaml counts one more at the end.
    """

    next_event: Callable[[], events.Event]
    above: int
    last: int
    marks: Marks = field(default_factory=lambda: array("Q"))
    complaints: list[Complaint] = field(default_factory=list)
    _anchors: dict[str, _Anchor] = field(default_factory=dict)
    _path: list[str | int] = field(default_factory=list)

    def build(self, event: events.Event) -> Yaml:
        """Return the value that begins with ``event``.

        Raises:
            TooMuchError: if it is too deep, too large, or refers to itself.
        """
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        start = len(self.marks)
        if start >= MAX_NODES:
            raise TooMuchError(self._too_large(self.at(event)))
        self.marks.append(self.at(event))
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = _Anchor(value=None, marks=None)
        self._refuse_tag(event)
        value = self._value(event)
        if anchor is not None:
            self._anchors[anchor] = _Anchor(value=value, marks=self.marks[start:])
        return value

    def at(self, event: events.Event) -> int:
        """Return where ``event`` begins, as a mark."""
        start = event.start_mark
        assert start is not None, "the parser marks every event"
        return pack(min(start.line, self.last) + self.above, start.column)

    def _value(self, event: events.Event) -> Yaml:
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event)
        if len(self._path) >= MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            raise TooMuchError(self._complaint("too-deep", message, "", self.at(event)))
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence()
        return self._mapping()

    def _sequence(self) -> Yaml:
        items: list[Yaml] = []
        while not isinstance(event := self.next_event(), events.SequenceEndEvent):
            self._path.append(len(items))
            items.append(self.build(event))
            self._path.pop()
        return items

    def _mapping(self) -> Yaml:
        found: dict[str, Yaml] = {}
        seen: dict[str, int] = {}
        while not isinstance(event := self.next_event(), events.MappingEndEvent):
            start = len(self.marks)
            key = self._key(event)
            if key is not None and key in seen:
                self._complain_twice(key, seen[key], self.at(event))
            self.marks.append(self.at(event))
            self._path.append(key or "")
            value = self.build(self.next_event())
            self._path.pop()
            if key is None or key in seen:
                del self.marks[start:]
            else:
                found[key] = value
                seen[key] = self.at(event)
        return found

    def _complain_twice(self, key: str, first: int, again: int) -> None:
        line = spot_of(first).line
        message = f"the key {key} is here a second time; the first is on line {line}"
        self._path.append(key)
        self._complain("duplicate-key", message, "keep one of the two", again)
        self._path.pop()

    def _key(self, event: events.Event) -> str | None:
        if not isinstance(event, events.ScalarEvent):
            message, hint = "a key has to be a word", "write `key: value`"
            raise TooMuchError(self._complaint("complex-key", message, hint, self.at(event)))
        if event.value == "<<" and event.implicit[0]:
            self._complain(
                "merge-key",
                "merge keys (<<) are not read",
                "put what services share into a Profile, and name it in spec.profiles",
                self.at(event),
            )
            return None
        self._refuse_tag(event)
        return sys.intern(event.value)

    def _scalar(self, event: events.ScalarEvent) -> Yaml:
        text = event.value
        if not event.implicit[0]:  # quoted, a block, or tagged
            return sys.intern(text) if len(text) <= _INTERNED_LENGTH else text
        value = parse_plain(text)
        if isinstance(value, Refused):
            self._complain(value.code, value.message, value.hint, self.at(event))
            return text
        if value is None:
            self._complain(
                "empty-value",
                "there is no value here",
                'write the value, or remove the key ("" is empty text)',
                self.at(event),
            )
            return None
        return sys.intern(value) if isinstance(value, str) else value

    def _alias(self, event: events.AliasEvent) -> Yaml:
        anchor = self._anchors.get(event.anchor or "")
        if anchor is None:
            self.marks.append(self.at(event))
            message = f"*{event.anchor} refers to an anchor that is not above it in this document"
            self._complain(
                "unknown-anchor", message, f"define it with &{event.anchor}", self.at(event)
            )
            return None
        if anchor.marks is None:
            message = f"*{event.anchor} refers to what it is part of"
            raise TooMuchError(self._complaint("recursive-alias", message, "", self.at(event)))
        if len(self.marks) + len(anchor.marks) > MAX_NODES:
            raise TooMuchError(self._too_large(self.at(event)))
        self.marks.extend(anchor.marks)
        return anchor.value

    def _refuse_tag(self, event: events.Event) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            short = tag.replace("tag:yaml.org,2002:", "!!")
            self._complain(
                "tag",
                f"the tag {short} is not read",
                "remove it; text that looks like a number goes in quotes",
                self.at(event),
            )

    def _too_large(self, at: int) -> Complaint:
        message = f"more than {MAX_NODES} values in one document, aliases expanded"
        hint = "write several documents, and a Profile instead of aliases"
        return self._complaint("too-large", message, hint, at)

    def _complain(self, code: str, message: str, hint: str, at: int) -> None:
        if len(self.complaints) >= MAX_COMPLAINTS:
            message = f"more than {MAX_COMPLAINTS} problems in one document; the rest is not read"
            raise TooMuchError(self._complaint("too-many-problems", message, "", at))
        self.complaints.append(self._complaint(code, message, hint, at))

    def _complaint(self, code: str, message: str, hint: str, at: int) -> Complaint:
        return Complaint(
            code=code,
            message=message,
            hint=hint,
            path=tuple(self._path),
            at=at,
        )
