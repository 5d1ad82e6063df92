"""Read a plain scalar without YAML's surprises.

YAML 1.1 takes ``no`` for false, ``010`` for eight and ``12:30:45`` for a number of
seconds; YAML 1.2 does not. What the two read differently is refused, so that a manifest
means the same to every tool and to the person who reads it.
"""

import re
from dataclasses import dataclass

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_BOOLEAN_WORD = re.compile(r"(?i:true|false|yes|no|on|off|y|n)")
_OCTAL = re.compile(r"[-+]?0[0-9_]+|[-+]?0o[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_MAC = re.compile(r"[0-9]{2}(?::[0-9]{2}){5}")
_OTHER_NUMBER = re.compile(
    r"[-+]?(?:0x[0-9a-fA-F_]+|0b[01_]+|[0-9][0-9_]*|(?:[0-9][0-9_]*)?\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
_MAX_DIGITS = 18
"""Every number a manifest can need has fewer digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A plain scalar that YAML versions, or people, read differently."""

    code: str
    message: str
    hint: str


def parse_plain(text: str) -> bool | float | str | Refused | None:
    """Return the value of an unquoted scalar, or why there is none.

    Only ``true`` and ``false`` are booleans, only decimal digits are numbers, and
    whatever is neither is text.
    """
    if text in _NULLS:
        return None
    if text == "true":
        return True
    if text == "false":
        return False
    if _INTEGER.fullmatch(text) or _FRACTION.fullmatch(text):
        return _number(text)
    first = text[0]
    if first.isascii() and (first.isdigit() or first in "+-.") and not _MAC.fullmatch(text):
        return _odd_number(text)
    if _BOOLEAN_WORD.fullmatch(text):
        return _boolean_word(text)
    return text


def _number(text: str) -> float | Refused:
    if len(text) > _MAX_DIGITS:
        return Refused(
            code="number-too-long",
            message=f"a number of {len(text)} digits is more than anything here can be",
            hint=f'if it is text, put it in quotes: "{text[:12]}…"',
        )
    return float(text) if "." in text else int(text)


def _boolean_word(text: str) -> Refused:
    meaning = "true" if text.lower() in {"true", "yes", "on", "y"} else "false"
    return Refused(
        code="ambiguous-boolean",
        message=f"{text} is a boolean to some YAML tools and text to others",
        hint=f'write {meaning} if it is a boolean, "{text}" in quotes if it is text',
    )


def _odd_number(text: str) -> str | Refused:
    if _SEXAGESIMAL.fullmatch(text):
        return Refused(
            code="ambiguous-number",
            message=f"{text} is a number in base 60 to some YAML tools and text to others",
            hint=f'put it in quotes: "{text}"',
        )
    if _OCTAL.fullmatch(text):
        return Refused(
            code="ambiguous-number",
            message=f"{text} is an octal number to some YAML tools and decimal to others",
            hint=f'write a number without leading zeros, or put it in quotes: "{text}"',
        )
    if _OTHER_NUMBER.fullmatch(text) and text not in {"+", "-", "."}:
        return Refused(
            code="ambiguous-number",
            message=f"{text} is not a number as qlop reads them",
            hint=f'write decimal digits (42, 1.5), or put it in quotes if it is text: "{text}"',
        )
    return text
