"""Check a call's parameters against the schema, with PVE's own complaints.

Follows ``PVE/JSONSchema.pm``: type, format, pattern, lengths, limits, enumeration; the
first complaint about a parameter wins, and all parameters are looked at.
"""

import re
from collections.abc import Mapping

from qlop.ports import Json
from qlop.sim import formats
from qlop.sim.schema import Route, Spec
from qlop.sim.wire import bad_parameters

ARRAY_SEPARATOR = "\0"
"""Between the elements of an array parameter after the check: no value holds it."""

_UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
_MISSING = "property is missing and it is not optional"


def checked(route: Route, raw: Mapping[str, Json], at: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters as strings, the path's variables included.

    Raises:
        ApiError: 400 with a complaint for each bad parameter.
    """
    errors: dict[str, str] = {}
    values: dict[str, Json] = dict(raw)
    values.update(at)
    params: dict[str, str] = {}
    for name, value in values.items():
        spec = route.spec(name)
        if spec is not None:
            params[name] = _checked(name, spec, value, errors)
            if spec.requires and spec.requires not in values:
                errors[spec.requires] = f"missing property required by '{name}'"
        elif not route.open:
            errors[name] = _UNKNOWN
    for name, spec in route.params.items():
        if not spec.optional and name not in values:
            errors[name] = _MISSING
    if errors:
        raise bad_parameters(errors)
    return params


def _checked(name: str, spec: Spec, value: Json, errors: dict[str, str]) -> str:
    if value is None:
        return formats.UNDEFINED
    text = _scalar(spec, value)
    if isinstance(text, _Complaint):
        errors[name] = text.text
        return ""
    complaint = check(name, spec, text)
    if complaint:
        errors[name] = complaint
    return text


class _Complaint:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_PERL_TYPES = {"i": "integer", "n": "number", "b": "boolean", "s": "string"}


def _text(value: Json) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _scalar(spec: Spec, value: Json) -> "str | _Complaint":
    if isinstance(value, dict):
        return _Complaint(
            f"type check ('{_PERL_TYPES.get(spec.type, 'string')}') failed - got HASH"
        )
    if isinstance(value, list):
        if spec.type == "a":
            return ARRAY_SEPARATOR.join(_text(item) for item in value)
        if spec.format.endswith("-list"):
            return ",".join(_text(item) for item in value)
        return _Complaint(
            f"type check ('{_PERL_TYPES.get(spec.type, 'string')}') failed - got ARRAY"
        )
    return _text(value)


def check(name: str, spec: Spec, value: str) -> str:
    """Return the complaint about ``value``, or an empty string."""
    if complaint := _check_type(spec, value):
        return complaint
    if spec.format:
        text = formats.complaint(spec.format, value, name, _check_key)
        if text:
            return f"invalid format - {text}"
    if spec.pattern is not None and re.fullmatch(spec.pattern, value) is None:
        return "value does not match the regex pattern"
    if spec.max_length is not None and len(value) > spec.max_length:
        return f"value may only be {spec.max_length} characters long"
    if spec.min_length is not None and len(value) < spec.min_length:
        return f"value must be at least {spec.min_length} characters long"
    if spec.enum and value not in spec.enum:
        listed = ", ".join(spec.enum)
        return f"value '{value}' does not have a value in the enumeration '{listed}'"
    return _check_limits(spec, value)


def _check_type(spec: Spec, value: str) -> str:
    match spec.type:
        case "i" if re.fullmatch(r"[+-]?\d+", value) is None:
            return f"type check ('integer') failed - got '{value}'"
        case "n" if re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", value) is None:
            return f"type check ('number') failed - got '{value}'"
        case "b" if value not in {"0", "1"}:
            return f"type check ('boolean') failed - got '{value}'"
        case _:
            return ""


def _check_limits(spec: Spec, value: str) -> str:
    if spec.type not in {"i", "n"}:
        return ""
    number = float(value)
    if spec.maximum is not None and number > spec.maximum:
        return f"value must have a maximum value of {spec.maximum:g}".replace("e+06", "000000")
    if spec.minimum is not None and number < spec.minimum:
        return f"value must have a minimum value of {spec.minimum:g}"
    return ""


_WORDS = {"on": "1", "yes": "1", "true": "1", "off": "0", "no": "0", "false": "0"}


def _check_key(name: str, spec: Spec, value: str) -> str:
    """Check one key of a property string, where booleans may be words."""
    if spec.type == "b":
        value = _WORDS.get(value.lower(), value)
    return check(name, spec, value)
