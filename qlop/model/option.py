"""Know every guest option qlop models: its canonical form, its default, its price.

PVE normalizes what it is given: it sorts tags, upper-cases MACs, drops defaults, rewrites
property strings. Desired and observed options are both brought into the form defined
here, so that no such rewriting is ever taken for drift. An option without a rule is not
modelled: it is carried along as text and never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, unquote

from qlop.model.guest import GuestKind, OptionValue, Properties
from qlop.model.impact import Impact


class Form(Enum):
    """How PVE writes an option."""

    BOOL = "bool"
    NUMBER = "number"
    TEXT = "text"
    DESCRIPTION = "description"
    TAGS = "tags"
    LIST = "list"
    """Words separated by space, comma or semicolon, whose order matters (nameserver)."""
    PROPERTIES = "properties"
    URLENCODED = "urlencoded"
    """Text that PVE keeps percent-encoded (``sshkeys``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRule:
    """What qlop knows about one option.

    ``default`` is the canonical value PVE assumes when the option is not set.
    ``impact`` is what changing it costs on a *running* guest; on a stopped one nothing
    costs anything. ``default_key`` names the property that may be written without its
    key (``host`` for ``cputype=host``); ``bool_keys`` are properties that are booleans.
    """

    form: Form
    impact: Impact
    default: OptionValue = ""
    default_key: str = ""
    bool_keys: frozenset[str] = frozenset()
    create_only: bool = False
    """PVE refuses to change it after creation; a difference is held."""


def _rule(form: Form, impact: Impact, default: OptionValue = "") -> OptionRule:
    return OptionRule(form=form, impact=impact, default=default)


def _properties(impact: Impact, default_key: str = "", bools: str = "") -> OptionRule:
    return OptionRule(
        form=Form.PROPERTIES,
        impact=impact,
        default={},
        default_key=default_key,
        bool_keys=frozenset(bools.split()),
    )


_DISK_BOOLS = "iothread ssd backup ro replicate shared acl quota snapshot"

# Impacts: PVE::QemuServer::vmconfig_hotplug_pending ($fast_plug_option and the branches
# below it) with the default `hotplug: network,disk,usb`; everything else stays pending.
_VM_RULES: Mapping[str, OptionRule] = {
    "name": _rule(Form.TEXT, Impact.NONE),
    "description": _rule(Form.DESCRIPTION, Impact.NONE),
    "tags": _rule(Form.TAGS, Impact.NONE),
    "onboot": _rule(Form.BOOL, Impact.NONE, "0"),
    "protection": _rule(Form.BOOL, Impact.NONE, "0"),
    "startup": _properties(Impact.NONE, "order"),
    "hookscript": _rule(Form.TEXT, Impact.NONE),
    "memory": _rule(Form.NUMBER, Impact.REBOOT, "512"),
    "balloon": _rule(Form.NUMBER, Impact.HOT),
    "shares": _rule(Form.NUMBER, Impact.HOT, "1000"),
    "sockets": _rule(Form.NUMBER, Impact.REBOOT, "1"),
    "cores": _rule(Form.NUMBER, Impact.REBOOT, "1"),
    "vcpus": _rule(Form.NUMBER, Impact.REBOOT),
    "cpu": _properties(Impact.REBOOT, "cputype"),
    "cpulimit": _rule(Form.NUMBER, Impact.HOT, "0"),
    "cpuunits": _rule(Form.NUMBER, Impact.HOT),
    "numa": _rule(Form.BOOL, Impact.REBOOT, "0"),
    "machine": _properties(Impact.REBOOT, "type"),
    "bios": _rule(Form.TEXT, Impact.REBOOT, "seabios"),
    "scsihw": _rule(Form.TEXT, Impact.REBOOT, "lsi"),
    "ostype": _rule(Form.TEXT, Impact.REBOOT, "other"),
    "boot": _properties(Impact.REBOOT, "legacy"),
    "agent": _properties(
        Impact.REBOOT, "enabled", "enabled fstrim_cloned_disks freeze-fs-on-backup"
    ),
    "vga": _properties(Impact.REBOOT, "type"),
    "serial": _rule(Form.TEXT, Impact.REBOOT),
    "rng": _properties(Impact.REBOOT, "source"),
    "watchdog": _properties(Impact.REBOOT, "model"),
    "tablet": _rule(Form.BOOL, Impact.HOT, "1"),
    "hotplug": _rule(Form.TEXT, Impact.REBOOT, "network,disk,usb"),
    "kvm": _rule(Form.BOOL, Impact.REBOOT, "1"),
    "smbios": _properties(Impact.REBOOT),
    "ciuser": _rule(Form.TEXT, Impact.REBOOT),
    "sshkeys": _rule(Form.URLENCODED, Impact.REBOOT),
    "ipconfig": _properties(Impact.REBOOT),
    "nameserver": _rule(Form.LIST, Impact.REBOOT),
    "searchdomain": _rule(Form.LIST, Impact.REBOOT),
    "cicustom": _properties(Impact.REBOOT),
    "citype": _rule(Form.TEXT, Impact.REBOOT),
    "net": _properties(Impact.HOT, "model", "firewall link_down"),
    "efidisk": _properties(Impact.REBOOT, "file", "pre-enrolled-keys"),
    "tpmstate": _properties(Impact.REBOOT, "file"),
    "scsi": _properties(Impact.HOT, "file", _DISK_BOOLS),
    "virtio": _properties(Impact.HOT, "file", _DISK_BOOLS),
    "sata": _properties(Impact.REBOOT, "file", _DISK_BOOLS),
    "ide": _properties(Impact.REBOOT, "file", _DISK_BOOLS),
}

# PVE::LXC::Config::vmconfig_hotplug_pending.
_CONTAINER_RULES: Mapping[str, OptionRule] = {
    "hostname": _rule(Form.TEXT, Impact.REBOOT),
    "description": _rule(Form.DESCRIPTION, Impact.NONE),
    "tags": _rule(Form.TAGS, Impact.NONE),
    "onboot": _rule(Form.BOOL, Impact.NONE, "0"),
    "protection": _rule(Form.BOOL, Impact.NONE, "0"),
    "startup": _properties(Impact.NONE, "order"),
    "hookscript": _rule(Form.TEXT, Impact.NONE),
    "memory": _rule(Form.NUMBER, Impact.HOT, "512"),
    "swap": _rule(Form.NUMBER, Impact.HOT, "512"),
    "cores": _rule(Form.NUMBER, Impact.HOT),
    "cpulimit": _rule(Form.NUMBER, Impact.HOT, "0"),
    "cpuunits": _rule(Form.NUMBER, Impact.HOT),
    "nameserver": _rule(Form.LIST, Impact.REBOOT),
    "searchdomain": _rule(Form.LIST, Impact.REBOOT),
    "features": _properties(Impact.REBOOT, "", "nesting keyctl fuse mknod force_rw_sys"),
    "tty": _rule(Form.NUMBER, Impact.REBOOT, "2"),
    "console": _rule(Form.BOOL, Impact.REBOOT, "1"),
    "cmode": _rule(Form.TEXT, Impact.REBOOT, "tty"),
    "timezone": _rule(Form.TEXT, Impact.REBOOT),
    "unprivileged": OptionRule(
        form=Form.BOOL, impact=Impact.DATA_LOSS, default="0", create_only=True
    ),
    "arch": OptionRule(form=Form.TEXT, impact=Impact.REBOOT, default="amd64", create_only=True),
    "ostype": OptionRule(form=Form.TEXT, impact=Impact.REBOOT, create_only=True),
    "net": _properties(Impact.HOT, "", "firewall link_down"),
    "rootfs": _properties(Impact.REBOOT, "volume", _DISK_BOOLS),
    "mp": _properties(Impact.REBOOT, "volume", _DISK_BOOLS),
}

RULES: Mapping[GuestKind, Mapping[str, OptionRule]] = {
    GuestKind.VM: _VM_RULES,
    GuestKind.CONTAINER: _CONTAINER_RULES,
}

DISK_BASES: Mapping[GuestKind, frozenset[str]] = {
    GuestKind.VM: frozenset({"scsi", "virtio", "sata", "ide", "efidisk", "tpmstate"}),
    GuestKind.CONTAINER: frozenset({"rootfs", "mp"}),
}
"""Options that name a volume, without their number."""

_TRUE = frozenset({"1", "yes", "on", "true"})
_FALSE = frozenset({"0", "no", "off", "false"})


def base_of(key: str) -> str:
    """Return an option's name without its number (``net0`` → ``net``)."""
    return key.rstrip("0123456789")


def rule_for(kind: GuestKind, key: str) -> OptionRule | None:
    """Return the rule of an option, or None if qlop does not model it."""
    rules = RULES[kind]
    return rules.get(key) or rules.get(base_of(key))


def canonical(kind: GuestKind, key: str, value: str | float) -> OptionValue:
    """Return ``value``, as a person or PVE wrote it, in canonical form."""
    rule = rule_for(kind, key)
    text = _plain(value)
    if rule is None:
        return text
    match rule.form:
        case Form.BOOL:
            return canonical_bool(text)
        case Form.NUMBER:
            return canonical_number(text)
        case Form.TAGS:
            return ";".join(sorted(set(_words(text.lower()))))
        case Form.LIST:
            return " ".join(_words(text))
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
        found[key] = canonical_bool(value) if key in rule.bool_keys else value
    return found


def render_properties(properties: Properties, default_key: str = "") -> str:
    """Return a property string, the property without a key first, the rest sorted."""
    first = [properties[default_key]] if default_key and default_key in properties else []
    rest = [f"{key}={properties[key]}" for key in sorted(properties) if key != default_key]
    return ",".join([*first, *rest])


def is_met(kind: GuestKind, key: str, want: OptionValue, have: OptionValue | None) -> bool:
    """Return whether what is there satisfies what is wanted.

    Of a property string only the wanted properties count; the others belong to whoever
    set them. An option that is not set has PVE's default.
    """
    if have is None:
        rule = rule_for(kind, key)
        have = rule.default if rule is not None else ""
    if isinstance(want, str) or isinstance(have, str):
        return want == have
    return all(have.get(name, "") == value for name, value in want.items())


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
    return str(int(number)) if number == int(number) else f"{number:.6f}".rstrip("0")


def _plain(value: str | float) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(";", " ").split()
