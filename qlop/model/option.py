"""Bring guest options into one canonical form, and say what changing them costs.

PVE normalizes what it is given: it sorts tags, upper-cases MACs, drops defaults, rewrites
property strings. Desired and observed options are both brought into the form defined
here, so that no such rewriting is ever taken for drift. An option without a rule
(``option_table``) is not modelled: it is carried along as text and never changed.
"""

import math
from urllib.parse import quote, unquote

from qlop.model.guest import GuestKind, OptionValue, Properties
from qlop.model.impact import Impact
from qlop.model.option_table import DISK_BASES, RULES, Form, OptionRule

__all__ = [
    "DISK_BASES",
    "RULES",
    "Form",
    "OptionRule",
    "base_of",
    "canonical",
    "canonical_bool",
    "canonical_number",
    "change_impact",
    "is_met",
    "parse_properties",
    "property_default",
    "render",
    "render_properties",
    "rule_for",
]

_TRUE = frozenset({"1", "yes", "on", "true"})
_FALSE = frozenset({"0", "no", "off", "false"})


def base_of(key: str) -> str:
    """Return an option's name without its number (``net0`` → ``net``)."""
    return key.rstrip("0123456789")


def rule_for(kind: GuestKind, key: str) -> OptionRule | None:
    """Return the rule of an option, or None if qlop does not model it."""
    rules = RULES[kind]
    exact = rules.get(key)
    if exact is not None:
        return exact
    numbered = rules.get(base_of(key))
    return numbered if numbered is not None and numbered.numbered else None


def canonical(kind: GuestKind, key: str, value: str | float) -> OptionValue:
    """Return ``value``, as a person or PVE wrote it, in canonical form."""
    rule = rule_for(kind, key)
    text = _plain(value)
    if rule is None:
        return text
    text = rule.aliases.get(text, text)
    match rule.form:
        case Form.BOOL:
            return canonical_bool(text)
        case Form.NUMBER:
            return _number(text, rule)
        case Form.TAGS:
            return ";".join(sorted(set(_words(text.lower()))))
        case Form.LIST | Form.SET:
            words = _words(text)
            text = ",".join(sorted(set(words))) if rule.form is Form.SET else " ".join(words)
            return rule.aliases.get(text, text)
        case Form.DESCRIPTION:
            return text.replace("\r\n", "\n").rstrip()
        case Form.PROPERTIES:
            return parse_properties(text, rule)
        case Form.URLENCODED:
            return unquote(text).strip()
        case Form.TEXT:
            return text.strip()


def render(kind: GuestKind, key: str, value: OptionValue) -> str:
    """Return a canonical value as PVE takes it in a call."""
    rule = rule_for(kind, key)
    if not isinstance(value, str):
        return render_properties(value, rule.default_key if rule else "")
    if rule is not None and rule.form is Form.URLENCODED:
        return quote(value, safe="")
    return value


def parse_properties(text: str, rule: OptionRule) -> Properties:
    """Return a property string taken apart, each value canonical."""
    found: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        key, separator, value = part.partition("=")
        if not separator:
            key, value = rule.default_key, part
        key, value = key.strip(), value.strip()
        key = rule.aliases.get(key, key)
        if key in rule.bool_keys:
            value = canonical_bool(value)
        elif key in rule.number_keys:
            value = canonical_number(value)
        found[key] = value
    return found


def render_properties(properties: Properties, default_key: str = "") -> str:
    """Return a property string, the property without a key first, the rest sorted."""
    first = [properties[default_key]] if default_key and default_key in properties else []
    rest = [f"{key}={properties[key]}" for key in sorted(properties) if key != default_key]
    return ",".join([*first, *rest])


def is_met(kind: GuestKind, key: str, want: OptionValue, have: OptionValue | None) -> bool:
    """Return whether what is there satisfies what is wanted.

    Of a property string only the wanted properties count; the others belong to whoever
    set them. An option or property that is not set has PVE's default.
    """
    rule = rule_for(kind, key)
    if have is None:
        have = rule.default if rule is not None else ""
    if isinstance(want, str) or isinstance(have, str):
        return want == have
    return not _differing(rule, want, have)


def property_default(kind: GuestKind, key: str, name: str) -> str:
    """Return what PVE assumes of a property that is not written; empty if nothing."""
    rule = rule_for(kind, key)
    return rule.property_defaults.get(name, "") if rule is not None else ""


def change_impact(
    kind: GuestKind, key: str, want: OptionValue, have: OptionValue | None
) -> Impact:
    """Return what it costs to write ``want`` over ``have`` on a *running* guest.

    Of a property string ``want`` are the wanted properties, of a disk or NIC as in
    ``Disk.properties`` and ``Nic.properties``; ``have`` None means that there is none.
    """
    rule = rule_for(kind, key)
    if rule is None:
        return Impact.REBOOT
    if isinstance(want, str):
        old = have if isinstance(have, str) else ""
        return _scalar_impact(key, rule, want, old)
    if have is None or isinstance(have, str):
        return rule.impact
    otherwise = rule.impact if rule.property_impact is None else rule.property_impact
    costs = (rule.property_impacts.get(name, otherwise) for name in _differing(rule, want, have))
    return max(costs, default=Impact.NONE)


def _scalar_impact(key: str, rule: OptionRule, want: str, have: str) -> Impact:
    # Both from `vmconfig_hotplug_pending`: a ballooning device can't be plugged in or out,
    # and memory or processor hotplug is decided when the guest starts.
    if key == "balloon" and (want == "0") is not (have == "0"):
        return Impact.REBOOT
    if key == "hotplug" and {"memory", "cpu"} & {*want.split(","), *have.split(",")}:
        return Impact.REBOOT
    return rule.impact


def _differing(rule: OptionRule | None, want: Properties, have: Properties) -> list[str]:
    defaults = rule.property_defaults if rule is not None else {}
    return [
        name for name, value in want.items() if have.get(name, defaults.get(name, "")) != value
    ]


def canonical_bool(text: str) -> str:
    """Return ``1`` or ``0``; anything that is no boolean is returned as it is."""
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return "1"
    if lowered in _FALSE:
        return "0"
    return text.strip()


def canonical_number(text: str) -> str:
    """Return a number without trailing zeros (``1.50`` → ``1.5``); other text as it is."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    if not math.isfinite(number):
        return text.strip()
    return str(int(number)) if number == int(number) else f"{number:.6f}".rstrip("0")


def _number(text: str, rule: OptionRule) -> str:
    """Return a number, without the key it may be written with and not above the most."""
    number = canonical_number(text.removeprefix(f"{rule.default_key}="))
    if rule.most is not None and number.isdecimal() and int(number) > rule.most:
        return str(rule.most)
    return number


def _plain(value: str | float) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(";", " ").split()
