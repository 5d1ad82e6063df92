"""Check a document against the schema, and say what is wrong in a person's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qlop.manifest import schema, vocabulary
from qlop.manifest.document import Document
from qlop.manifest.marks import Path, Yaml, text_of
from qlop.manifest.part import Part
from qlop.model.finding import Finding, Origin, Severity

_VALUE_SHOWN = 60
"""Characters of a wrong value that a message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A document that says which kind it is and what it is called.

    ``valid``: the schema has nothing against it. One that is not valid still counts as
    the document of its name, so that nobody is told it is missing.
    """

    kind: str
    name: str
    document: Document
    valid: bool

    @property
    def spec(self) -> Mapping[str, Yaml]:
        """Return the ``spec`` as it is written; empty if it is no mapping."""
        spec = self.document.data.get("spec")
        return spec if isinstance(spec, dict) else {}

    def text_map(self, key: str) -> dict[str, str]:
        """Return ``labels`` or ``annotations``, in the order of their keys."""
        metadata = self.document.data["metadata"]
        found = metadata.get(key) if isinstance(metadata, dict) else None
        return {k: str(v) for k, v in sorted(found.items())} if isinstance(found, dict) else {}

    @property
    def origin(self) -> Origin:
        """Return where its name stands."""
        return self.document.value_origin(("metadata", "name"))


def check_document(document: Document) -> tuple[Entry | None, tuple[Finding, ...]]:
    """Return what a document is and every finding; None if that can't be told."""
    version, kind = document.data.get("apiVersion"), document.data.get("kind")
    findings: list[Finding] = []
    if version != schema.API_VERSION and ("apiVersion",) not in document.broken:
        message = "apiVersion is missing" if version is None else f"no apiVersion {_show(version)}"
        hint = f"write apiVersion: {schema.API_VERSION}"
        findings.append(error(document, ("apiVersion",), "api-version", message, hint))
    model = schema.KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        findings.extend(_unknown_kind(document, kind))
        return None, tuple(findings)
    try:
        model.model_validate(document.data)
    except ValidationError as failed:
        details = failed.errors(include_url=False)
        findings.extend(_findings(document, model, details, seen=bool(findings)))
    name = _name_of(document)
    valid = not findings and not document.broken
    entry = Entry(kind=str(kind), name=name, document=document, valid=valid) if name else None
    return entry, tuple(findings)


def error(document: Document, path: Path, code: str, message: str, hint: str = "") -> Finding:
    """Return an error about the value at ``path`` of ``document``."""
    return Finding(
        severity=Severity.ERROR,
        code=code,
        message=message,
        origin=document.value_origin(path),
        field=text_of(path),
        hint=hint,
    )


def _name_of(document: Document) -> str | None:
    metadata = document.data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and name else None


def _unknown_kind(document: Document, kind: Yaml) -> list[Finding]:
    if ("kind",) in document.broken:
        return []
    near = vocabulary.alike(kind, schema.KINDS) if isinstance(kind, str) else None
    hint = f"did you mean {near}?" if near else f"there are {', '.join(schema.KINDS)}"
    message = "kind is missing" if kind is None else f"no kind {_show(kind)}"
    return [error(document, ("kind",), "unknown-kind", message, hint)]


def _findings(
    document: Document, model: type[Part], details: list[ErrorDetails], *, seen: bool
) -> list[Finding]:
    found = []
    for detail in details:
        path = _path(document.data, detail)
        if path in document.broken or (seen and path == ("apiVersion",)):
            continue
        code, message, hint = _explain(model, path, detail)
        at = document.key_origin if code == "unknown-key" else document.value_origin
        found.append(
            Finding(
                severity=Severity.ERROR,
                code=code,
                message=message,
                origin=at(path),
                field=text_of(path),
                hint=hint,
            )
        )
    return found


def _path(data: Yaml, detail: ErrorDetails) -> Path:
    """Return where the value is; pydantic adds steps of its own for shorthands."""
    path: Path = ()
    for step in detail["loc"]:
        if isinstance(data, dict) and step in data:
            data = data[str(step)]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        elif detail["type"] == "missing":
            return (*path, step)
        else:
            return path
        path = (*path, step)
    return path


def _explain(model: type[Part], path: Path, detail: ErrorDetails) -> tuple[str, str, str]:
    """Return code, message and hint."""
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "qlop":
        return str(context["code"]), str(context["message"]), str(context["hint"])
    if kind == "extra_forbidden":
        return "unknown-key", f"{path[-1]} is no key here", vocabulary.hint_for_key(model, path)
    if kind == "missing":
        return "missing", f"{path[-1]} is missing", ""
    if kind == "literal_error":
        return _explain_choice(str(context["expected"]), detail["input"])
    expected = _EXPECTED.get(kind)
    if expected is not None:
        what, hint_for = expected
        given = detail["input"]
        return "wrong-type", f"{what} is expected, not {_kind(given)}", hint_for(given)
    key, words = _LIMITS.get(kind, ("", ""))
    value = _show(detail["input"])
    message = f"{value} is not {words} {_show(context[key])}" if key else detail["msg"]
    return "out-of-range" if key else "invalid", message, ""


def _explain_choice(expected: str, value: object) -> tuple[str, str, str]:
    choices = [choice.strip("' ") for choice in expected.replace(" or ", ", ").split(",")]
    near = vocabulary.alike(value, choices) if isinstance(value, str) else None
    hint = f"did you mean {near}? " if near else ""
    return "not-a-choice", f"{_show(value)} is not one of the choices", f"{hint}({expected})"


def _no_hint(_: object) -> str:
    return ""


def _quoted(value: object) -> str:
    return f'put it in quotes: "{_show(value)}"' if isinstance(value, int | float) else ""


def _unquoted(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return f"write {text} without quotes" if text.replace(".", "", 1).isdigit() else ""


def _bracketed(value: object) -> str:
    return "" if isinstance(value, dict) else f"write [{_show(value)}]"


_EXPECTED: Mapping[str, tuple[str, Callable[[object], str]]] = {
    "string_type": ("text", _quoted),
    "int_type": ("a whole number", _unquoted),
    "float_type": ("a number", _unquoted),
    "bool_type": ("true or false", _no_hint),
    "list_type": ("a list", _bracketed),
    "dict_type": ("a mapping", _no_hint),
    "model_type": ("a mapping", _no_hint),
}

_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "too_short": ("min_length", "of a length of at least"),
    "too_long": ("max_length", "of a length of at most"),
}


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {_show(value)}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _show(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"
