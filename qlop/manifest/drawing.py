"""Take a guest's options one by one, and remember which were not taken."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from qlop.manifest.marks import Yaml
from qlop.model.guest import OptionValue
from qlop.model.units import MIB, format_size, format_span, parse_span

Form = Callable[[str], Yaml]
"""Makes what a manifest says of what PVE says; None if a manifest can't say it."""

Wanted = Mapping[str, tuple[str, Form]]
"""Property of PVE → key of the manifest, and the form it takes there."""

MAX_DIGITS = 15
"""A longer number is none that a manifest can hold."""


@dataclass(slots=True)
class Drawing:
    """What a manifest will say, and what of the guest it will not say.

    ``left`` are the options not taken so far; ``rest`` names what is not modelled inside
    of what was taken (``scsi0: wwn``).
    """

    left: dict[str, OptionValue]
    spec: dict[str, Yaml] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def say(self, key: str, value: Yaml) -> None:
        """Say ``value`` under ``key``; None says nothing."""
        if value is not None:
            self.spec[key] = value

    def take(self, option: str, form: Form) -> Yaml:
        """Return the value of ``option``, which is then taken; None if there is none to say."""
        raw = self.left.get(option)
        value = form(raw) if isinstance(raw, str) else None
        if value is not None:
            del self.left[option]
        return value

    def copy(self, option: str, key: str, form: Form) -> None:
        """Say ``option`` under ``key``."""
        self.say(key, self.take(option, form))

    def take_part(self, option: str, wanted: Wanted) -> dict[str, Yaml]:
        """Return what a manifest says of a property string; empty if nothing."""
        raw = self.left.get(option)
        if raw is None or isinstance(raw, str):
            return {}
        found, rest = part_of(raw, wanted)
        if found:
            del self.left[option]
            self.note(option, rest)
        return found

    def copy_part(self, option: str, key: str, wanted: Wanted) -> None:
        """Say what can be said of a property string under ``key``."""
        self.say(key, self.take_part(option, wanted) or None)

    def note(self, option: str, names: Iterable[str]) -> None:
        """Remember that of ``option`` these properties are not said."""
        listed = ", ".join(sorted(names))
        if listed:
            self.rest.append(f"{option}: {listed}")


def part_of(
    properties: Mapping[str, str], wanted: Wanted
) -> tuple[dict[str, Yaml], frozenset[str]]:
    """Return what a manifest says of ``properties``, and the names of the rest."""
    found: dict[str, Yaml] = {}
    taken: set[str] = set()
    for name, (key, form) in wanted.items():
        value = form(properties[name]) if name in properties else None
        if value is not None:
            found[key] = value
            taken.add(name)
    return found, frozenset(properties) - taken


def text(raw: str) -> Yaml:
    """Return the text itself."""
    return raw


def flag(raw: str) -> Yaml:
    """Return a boolean."""
    return {"1": True, "0": False}.get(raw)


def flag_of(on: str, off: str) -> Form:
    """Return the form of a boolean for which PVE has words."""
    return {on: True, off: False}.get


def whole(raw: str) -> Yaml:
    """Return a whole number."""
    return int(raw) if raw.isdecimal() and len(raw) <= MAX_DIGITS else None


def number(raw: str) -> Yaml:
    """Return a number."""
    head, _, tail = raw.partition(".")
    if whole(head) is None or (tail and whole(tail) is None):
        return None
    return float(raw) if tail else int(head)


def mib(raw: str) -> Yaml:
    """Return a size that PVE counts in MiB."""
    found = whole(raw)
    return format_size(found * MIB) if isinstance(found, int) else None


def seconds(raw: str) -> Yaml:
    """Return a span that PVE counts in seconds."""
    return _span(raw, "s")


def milliseconds(raw: str) -> Yaml:
    """Return a span that PVE counts in milliseconds."""
    return _span(raw, "ms")


def words(separator: str) -> Form:
    """Return the form of a list with ``separator`` between its items."""

    def split(raw: str) -> Yaml:
        return [*filter(None, raw.split(separator))]

    return split


def wholes(separator: str) -> Form:
    """Return the form of a list of whole numbers."""

    def split(raw: str) -> Yaml:
        found = [whole(one) for one in raw.split(separator)]
        return None if None in found else [*found]

    return split


def _span(raw: str, unit: str) -> Yaml:
    """Return a span in units that express it, in the one it has if these would round it."""
    if whole(raw) is None:
        return None
    exact = f"{int(raw)}{unit}"
    try:
        short = format_span(parse_span(exact))
        return short if parse_span(short) == parse_span(exact) else exact
    except OverflowError:
        return None
