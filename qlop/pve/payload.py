"""Take scalars out of PVE's payloads, whatever JSON type they came as.

PVE's types drift: a VMID is a number or a string by version, booleans are ``0`` and
``1``, memory is a string for VMs and a number for containers. What is not there at all
is told apart from what can't be understood: the first has a default, the second raises
``Misread``.
"""

from collections.abc import Mapping
from typing import cast

from qlop.ports import Json

Row = Mapping[str, Json]
"""One object of a payload."""


class Misread(Exception):  # noqa: N818 - it never leaves the parsers; the name says what happened
    """A payload is not of the form PVE documents; the message says where and how."""


def rows_of(payload: Json, what: str) -> list[dict[str, Json]]:
    """Return a payload that is a list of objects.

    Raises:
        Misread: if it is anything else.
    """
    if not isinstance(payload, list):
        raise Misread(f"{what}: expected a list, got {_kind(payload)}")
    if not set(map(type, payload)) <= {dict}:
        odd = next(row for row in payload if not isinstance(row, dict))
        raise Misread(f"{what}: expected objects, got {_kind(odd)}")
    return cast("list[dict[str, Json]]", payload)


def row_of(payload: Json, what: str) -> dict[str, Json]:
    """Return a payload that is one object.

    Raises:
        Misread: if it is anything else.
    """
    if not isinstance(payload, dict):
        raise Misread(f"{what}: expected an object, got {_kind(payload)}")
    return payload


def text(row: Row, key: str, default: str = "") -> str:
    """Return a value as text: booleans as ``1`` and ``0``, null as ``default``.

    Raises:
        Misread: if it is a list or an object.
    """
    value = row.get(key)
    if value is None:
        return default
    if isinstance(value, str):
        return value
    return scalar_text(value, key)


def scalar_text(value: Json, key: str) -> str:
    """Return a scalar as text.

    Raises:
        Misread: if it is none.
    """
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    raise Misread(f"{key}: expected a scalar, got {_kind(value)}")


def whole(row: Row, key: str, default: int = 0) -> int:
    """Return a value as a whole number; ``default`` if it is not there.

    Raises:
        Misread: if it is no number.
    """
    value = row.get(key)
    if isinstance(value, int):
        return int(value)
    if value is None or value == "":
        return default
    if isinstance(value, float):
        return int(value)
    if isinstance(value, str):
        try:
            return int(float(value))
        except (ValueError, OverflowError):
            raise Misread(f"{key}: {value!r} is no number") from None
    raise Misread(f"{key}: expected a number, got {_kind(value)}")


def flag(row: Row, key: str) -> bool:
    """Return a value as a boolean; False if it is not there.

    Raises:
        Misread: if it is no boolean.
    """
    value = row.get(key)
    if value is None or (isinstance(value, str) and value in {"", "0"}):
        return False
    if isinstance(value, bool | int) and value in {0, 1}:
        return bool(value)
    if value == "1":
        return True
    raise Misread(f"{key}: expected a boolean, got {_kind(value)}")


def _kind(value: Json) -> str:
    return {dict: "an object", list: "a list", type(None): "null"}.get(
        type(value), f"{value!r:.40}"
    )
