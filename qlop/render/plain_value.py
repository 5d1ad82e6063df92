"""Turn any value of the model into what JSON can hold, the same way everywhere."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum

Document = dict[str, "Plain"]
Plain = bool | int | float | str | list["Plain"] | Document | None

SECRET_KEYS = frozenset({"password", "cipassword"})
"""Parameters whose values never leave the program, whatever they are shown in."""
MASK = "********"


def plain_value(value: object) -> Plain:
    """Return ``value`` for JSON.

    Dataclasses are objects, enums their value (an ``IntEnum`` its name in lower case),
    instants ISO 8601 in UTC, spans seconds, sets sorted lists; anything else is its text.
    """
    match value:
        case None | bool() | str():
            return value
        case IntEnum():
            return value.name.lower().replace("_", "-")
        case Enum():
            return str(value.value)
        case int() | float():
            return value
        case datetime():
            return instant_text(value)
        case timedelta():
            return value.total_seconds()
        case _:
            return _composite(value)


def _composite(value: object) -> Plain:
    match value:
        case Mapping():
            return {
                _key_text(key): MASK if key in SECRET_KEYS else plain_value(one)
                for key, one in sorted(value.items(), key=lambda item: _key_text(item[0]))
            }
        case AbstractSet():
            return sorted((plain_value(one) for one in value), key=str)
        case list() | tuple():
            return [plain_value(one) for one in value]
        case _ if is_dataclass(value):
            return {one.name: plain_value(getattr(value, one.name)) for one in fields(value)}
        case _:
            return str(value)


def instant_text(at: datetime) -> str:
    """Return the instant in ISO 8601, UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key_text(key: object) -> str:
    return "/".join(str(part) for part in key) if isinstance(key, tuple) else str(key)
