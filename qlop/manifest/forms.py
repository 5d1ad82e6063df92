"""Read the values people write: sizes, spans, shares, ranges, addresses.

Every parser takes what YAML gave and returns a plain value, or says in its own words
what is wrong and what would be right.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic_core import PydanticCustomError

from qlop.manifest import facts
from qlop.manifest.placeholder import sample
from qlop.model import window
from qlop.model.units import MIB, format_size, parse_size, parse_span

SIZE_PATTERN = r"^\d+(\.\d+)?\s*(B|KiB|MiB|GiB|TiB)$"
SPAN_PATTERN = r"^(\d+(ms|s|m|h|d))+$"
SHARE_PATTERN = r"^\d{1,4}(\.\d+)?%$"
RANGE_PATTERN = r"^\d{3,9}-\d{3,9}$"
MAX_SPAN = timedelta(days=366)
MAX_SIZE = 2**53
"""Eight pebibytes; what lies above is a typing error."""

_SIZE_LIKE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?B?)?", re.IGNORECASE)


def problem(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """Return the error to raise: message and hint are for people."""
    return PydanticCustomError(
        "qlop", "{message}", {"code": code, "message": message, "hint": hint}
    )


def size(value: object) -> int:
    """Return the bytes of a size with a unit, whole MiB, at least one."""
    found = size_or_zero(value)
    if found < MIB:
        raise problem("too-small", f"{format_size(found)} is less than 1MiB")
    return found


def memory(value: object) -> int:
    """Return the bytes of a guest's memory."""
    found = size_or_zero(value)
    if found < facts.MEMORY_MIN_MIB * MIB:
        message = f"{format_size(found)} is less memory than PVE allows"
        raise problem("too-small", message, f"write {facts.MEMORY_MIN_MIB}MiB or more")
    return found


def size_or_zero(value: object) -> int:
    """Return the bytes of a size with a unit, whole MiB; ``0B`` is allowed."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = f"write {value}MiB or {value}GiB, whichever it is"
        raise problem("bare-number", f"{value} of what? A size needs a unit", hint)
    if not isinstance(value, str):
        raise problem("wrong-type", "a size is expected", "write it like 8GiB")
    try:
        found = parse_size(value)
    except ValueError:
        like = _SIZE_LIKE.fullmatch(value.strip())
        hint = f"write {like[1]}{like[2].upper()}iB" if like else "write it like 512MiB or 8GiB"
        message = f"{value!r} is no size: a number and KiB, MiB, GiB or TiB"
        raise problem("malformed", message, hint) from None
    if found % MIB:
        message = f"{value!r} is not a whole number of MiB"
        raise problem("malformed", message, f"write {found // MIB + 1}MiB")
    if found > MAX_SIZE:
        raise problem("too-large", f"{value!r} is more than any node has")
    return found


def span(value: object) -> timedelta:
    """Return a span of time with its unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = f"write {value}s or {value}m, whichever it is"
        raise problem("bare-number", f"{value} of what? A span of time needs a unit", hint)
    if not isinstance(value, str):
        raise problem("wrong-type", "a span of time is expected", "write it like 90s")
    try:
        found = parse_span(value)
    except (ValueError, OverflowError):
        message = f"{value!r} is no span of time: numbers with s, m, h or d"
        raise problem("malformed", message, "write it like 30s, 15m, 1h30m or 2d") from None
    if found > MAX_SPAN:
        raise problem("too-large", f"{value!r} is more than a year")
    return found


def seconds(value: object) -> timedelta:
    """Return a span of whole seconds, as PVE's delays are."""
    found = span(value)
    if found % timedelta(seconds=1):
        raise problem("malformed", f"{value!r} is not a whole number of seconds")
    return found


def share(value: object) -> float:
    """Return a share written in percent: ``10%`` is 0.1."""
    if isinstance(value, str) and re.fullmatch(SHARE_PATTERN, value):
        return round(float(value[:-1]) / 100, 6)
    hint = "write it like 10%"
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = f"write {value * 100 if value <= 1 else value:g}%"
    raise problem("malformed", "a share in percent is expected", hint)


def share_up_to_whole(value: object) -> float:
    """Return a share of at most 100%."""
    found = share(value)
    if found > 1:
        raise problem("too-large", f"{value} is more than the whole")
    return found


def vmid_range(value: object) -> tuple[int, int]:
    """Return the first and last VMID of ``10000-10999``."""
    if not isinstance(value, str) or not re.fullmatch(RANGE_PATTERN, value):
        raise problem("malformed", "a range of VMIDs is expected", "write it like 10000-10999")
    first, last = (int(part) for part in value.split("-"))
    if not facts.VMID_MIN <= first <= last <= facts.VMID_MAX:
        message = f"VMIDs go from {facts.VMID_MIN} to {facts.VMID_MAX}, the smaller one first"
        raise problem("malformed", message, "write it like 10000-10999")
    return first, last


def template(value: object) -> int | str:
    """Return the VMID or the name of a template."""
    if isinstance(value, str) and re.fullmatch(facts.DNS_NAME_PATTERN, value):
        return value
    if isinstance(value, int) and facts.VMID_MIN <= value <= facts.VMID_MAX:
        return value
    hint = f"VMIDs go from {facts.VMID_MIN} to {facts.VMID_MAX}; a name is a DNS name"
    raise problem("malformed", "the VMID or the name of a template is expected", hint)


def address4(value: object) -> str:
    """Return ``dhcp`` or an IPv4 address with its prefix length."""
    return _address(value, ("dhcp",), IPv4Interface, "10.0.20.11/24")


def address6(value: object) -> str:
    """Return ``dhcp``, ``auto`` or an IPv6 address with its prefix length."""
    return _address(value, ("auto", "dhcp"), IPv6Interface, "2001:db8::11/64")


def host(value: object) -> str:
    """Return an IP address without a prefix length."""
    text = str(value)
    try:
        ip_address(sample(text))
    except ValueError:
        raise problem("malformed", f"{text!r} is no IP address") from None
    return text


def mac(value: object) -> str:
    """Return a unicast MAC address, upper case as PVE keeps it."""
    text = str(value)
    if not re.fullmatch(facts.MAC_PATTERN, sample(text)):
        hint = "write six pairs of hexadecimal digits, the second digit even: BC:24:11:00:00:01"
        raise problem("malformed", f"{text!r} is no unicast MAC address", hint)
    return text if "{" in text else text.upper()


def guest_name(value: object) -> str:
    """Return what PVE calls a guest: a DNS name."""
    text = str(value)
    if not isinstance(value, str) or not re.fullmatch(facts.DNS_NAME_PATTERN, sample(text)):
        hint = "letters, digits, hyphens and dots, as in Web01.example.org"
        raise problem("malformed", f"{text!r} is no name for a guest", hint)
    return text


def snapshot(value: object) -> str:
    """Return the name of a snapshot that PVE would take."""
    text = str(value)
    if not isinstance(value, str) or not re.fullmatch(facts.SNAPSHOT_PATTERN, text):
        hint = "a letter, then 1 to 39 letters, digits, - or _"
        raise problem("malformed", f"{text!r} is no name for a snapshot", hint)
    if text in facts.RESERVED_SNAPSHOTS:
        raise problem("malformed", f"PVE keeps the name {text!r} for itself")
    return text


def ssh_key(value: object) -> str:
    """Return a public SSH key on one line."""
    text = value.strip() if isinstance(value, str) else ""
    if "PRIVATE KEY" in text:
        raise problem("private-key", "this is a private key", "write the .pub file's line")
    if not re.fullmatch(facts.SSH_KEY_PATTERN, text):
        hint = "write the line of a .pub file: ssh-ed25519 AAAA… comment"
        raise problem("malformed", "this is no public SSH key", hint)
    return text


def cron(value: object) -> str:
    """Return a cron line that is due now and then."""
    return _text(value, window.parse_cron, "write it like 0 2 * * sat")


def time_of_day(value: object) -> str:
    """Return a time of day, hours and minutes."""
    return _text(value, window.parse_time, 'write it in quotes: "22:00"')


def weekdays(value: object) -> str:
    """Return a weekday or a range of them."""
    return _text(value, window.parse_weekdays, "write it like sat or mon-fri")


def day(value: object) -> str:
    """Return a date."""
    return _text(value, window.parse_date, 'write it like "2026-12-24"')


def zone(value: object) -> str:
    """Return the name of a time zone that is known here."""
    return _text(value, _zone, "write it like Asia/Jakarta or UTC")


def named(value: object) -> object:
    """Return the long form of a name."""
    return {"name": value} if isinstance(value, str) else value


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {text!r}") from None


def _text(value: object, parse: Callable[[str], object], hint: str) -> str:
    if not isinstance(value, str):
        raise problem("wrong-type", "text is expected", hint)
    try:
        parse(value)
    except ValueError as wrong:
        raise problem("malformed", str(wrong), hint) from None
    return value


def _address(
    value: object,
    words: tuple[str, ...],
    kind: type[IPv4Interface | IPv6Interface],
    example: str,
) -> str:
    text = str(value)
    if text in words:
        return text
    trial = sample(text)
    hint = f"write {' or '.join(words)} or an address like {example}"
    try:
        kind(trial)
    except ValueError:
        raise problem("malformed", f"{text!r} is no address here", hint) from None
    if "/" not in trial:
        length = example.partition("/")[2]
        raise problem("malformed", f"{text!r} has no prefix length", f"write {text}/{length}")
    return text
