"""Convert sizes, spans and counts between what people write, what PVE writes, and numbers."""

import re
from datetime import timedelta

KIB = 1024
MIB = 1024**2
GIB = 1024**3
TIB = 1024**4

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}
_SPAN_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
_SPAN_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PVE_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT])?")
_PVE_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}


def parse_size(text: str) -> int:
    """Return the bytes that ``8GiB``, ``512 MiB`` or ``1.5TiB`` means.

    Raises:
        ValueError: for anything else; ``8GB`` and ``8G`` are refused because people
            disagree about what they mean.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write a number and KiB, MiB, GiB or TiB (8GiB)")
    size = float(match[1]) * _SIZE_UNITS[match[2]]
    if size != int(size):
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(size)


def format_size(size_bytes: int) -> str:
    """Return ``size_bytes`` in the largest unit that expresses it in whole numbers."""
    for unit, factor in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def parse_pve_size(text: str) -> int:
    """Return the bytes of PVE's ``32G``, ``528K`` or ``4194304``.

    The grammar is that of ``PVE::JSONSchema::parse_size`` (pve-common).

    Raises:
        ValueError: if ``text`` is not of that grammar.
    """
    match = _PVE_SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size as PVE writes it")
    return int(float(match[1]) * _PVE_UNITS[match[2] or ""])


def parse_span(text: str) -> timedelta:
    """Return the span that ``90s``, ``15m``, ``1h30m`` or ``2d`` means.

    Raises:
        ValueError: for anything else.
    """
    compact = text.replace(" ", "")
    parts = _SPAN_PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is no span of time; write 30s, 15m, 2h or 1d")
    return timedelta(
        milliseconds=sum(int(number) * _SPAN_UNITS_MS[unit] for number, unit in parts)
    )


def format_span(span: timedelta) -> str:
    """Return ``span`` as ``parse_span`` reads it, in at most two units."""
    left_ms = round(span.total_seconds() * 1000)
    parts: list[str] = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left_ms = divmod(left_ms, _SPAN_UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def counted(number: int, noun: str) -> str:
    """Return ``1 guest``, ``2 guests``: the noun with its plural where that is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
