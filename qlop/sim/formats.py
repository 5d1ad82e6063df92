"""Decide whether a text has one of PVE's named formats, and take property strings apart.

Texts and patterns as in ``PVE/JSONSchema.pm``, ``PVE/QemuServer/*.pm``, ``PVE/Storage.pm``.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

from qlop.sim import roles, schema
from qlop.sim.schema import Spec

UNDEFINED = "\x01"
"""A JSON ``null``: defined to exist and nothing more."""

CheckKey = Callable[[str, Spec, str], str]

_DNS = re.compile(
    r"([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)(\.([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?))*"
)
_CONFIG_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]+", re.ASCII)
_STORAGE_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*", re.ASCII)
_MAC = re.compile(r"[a-fA-F0-9][02468aceACE](:[a-fA-F0-9]{2}){5}")
_VOLID = re.compile(r"([a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]):(\S+)", re.ASCII)

_PATTERNS: Mapping[str, tuple[str, str]] = {
    "pve-vmid": (r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID\n"),
    "pve-node": (
        r"[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?",
        "value does not look like a valid node name\n",
    ),
    "pve-iface": (
        r"[a-zA-Z][a-zA-Z0-9_]{1,20}([:.]\d+)?",
        "invalid network interface name '{}'\n",
    ),
    "pve-bridge-id": (r"[-_.\w]+", "value does not look like a valid bridge id\n"),
    "urlencoded": (r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {}\n"),
    "disk-size": (r"(\d+(\.\d+)?)([KMGT])?", "value does not look like a valid disk size: {}\n"),
    "pve-roleid": (r"[A-Za-z0-9.\-_]+", "role name '{}' contains invalid characters\n"),
    "pve-groupid": (r"[A-Za-z0-9.\-_]+", "group name '{}' contains invalid characters\n"),
    "pve-poolid": (
        r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}",
        "pool name '{}' contains invalid characters\n",
    ),
}

_STORAGE_CONTENT = {"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}
_TASK_STATES = {"ok", "error", "warning", "unknown"}
_HOTPLUG = {"network", "disk", "cpu", "memory", "usb", "cloudinit"}

_CPU_MODELS = frozenset(
    [
        "486",
        "Broadwell",
        "Broadwell-IBRS",
        "Broadwell-noTSX",
        "Broadwell-noTSX-IBRS",
        "Cascadelake-Server",
        "Cascadelake-Server-noTSX",
        "Cascadelake-Server-v2",
        "Cascadelake-Server-v4",
        "Cascadelake-Server-v5",
        "ClearwaterForest",
        "Conroe",
        "Cooperlake",
        "Cooperlake-v2",
        "EPYC",
        "EPYC-Genoa",
        "EPYC-Genoa-v2",
        "EPYC-IBPB",
        "EPYC-Milan",
        "EPYC-Milan-v2",
        "EPYC-Milan-v3",
        "EPYC-Rome",
        "EPYC-Rome-v2",
        "EPYC-Rome-v3",
        "EPYC-Rome-v4",
        "EPYC-Turin",
        "EPYC-v3",
        "EPYC-v4",
        "GraniteRapids",
        "GraniteRapids-v2",
        "Haswell",
        "Haswell-IBRS",
        "Haswell-noTSX",
        "Haswell-noTSX-IBRS",
        "Icelake-Client",
        "Icelake-Client-noTSX",
        "Icelake-Server",
        "Icelake-Server-noTSX",
        "Icelake-Server-v3",
        "Icelake-Server-v4",
        "Icelake-Server-v5",
        "Icelake-Server-v6",
        "IvyBridge",
        "IvyBridge-IBRS",
        "KnightsMill",
        "Nehalem",
        "Nehalem-IBRS",
        "Opteron_G1",
        "Opteron_G2",
        "Opteron_G3",
        "Opteron_G4",
        "Opteron_G5",
        "Penryn",
        "SandyBridge",
        "SandyBridge-IBRS",
        "SapphireRapids",
        "SapphireRapids-v2",
        "SapphireRapids-v3",
        "SierraForest",
        "Skylake-Client",
        "Skylake-Client-IBRS",
        "Skylake-Client-noTSX-IBRS",
        "Skylake-Client-v4",
        "Skylake-Server",
        "Skylake-Server-IBRS",
        "Skylake-Server-noTSX-IBRS",
        "Skylake-Server-v4",
        "Skylake-Server-v5",
        "Westmere",
        "Westmere-IBRS",
        "athlon",
        "core2duo",
        "coreduo",
        "host",
        "kvm32",
        "kvm64",
        "max",
        "pentium",
        "pentium2",
        "pentium3",
        "phenom",
        "qemu32",
        "qemu64",
        "x86-64-v2",
        "x86-64-v2-AES",
        "x86-64-v3",
        "x86-64-v4",
    ]
)

_OWN: Mapping[str, Mapping[str, Spec]] = {
    "pve-qm-boot": {
        "legacy": Spec(type="s", pattern="[acdn]{1,4}", optional=True, default_key=True),
        "order": Spec(type="s", format="pve-qm-bootdev-list", optional=True),
    },
    "pve-qm-ipconfig": {
        "ip": Spec(type="s", format="pve-ipv4-config", optional=True),
        "gw": Spec(type="s", format="ipv4", optional=True),
        "ip6": Spec(type="s", format="pve-ipv6-config", optional=True),
        "gw6": Spec(type="s", format="ipv6", optional=True),
    },
    "pve-qm-cicustom": {
        key: Spec(type="s", format="pve-volume-id", optional=True)
        for key in ("meta", "network", "user", "vendor")
    },
}


def complaint(name: str, value: str, where: str, check_key: CheckKey) -> str:
    """Return what is wrong with ``value`` as format ``name``, or an empty string."""
    if value == UNDEFINED:
        return ""
    keys = property_keys(name)
    if keys is not None:
        return _check_properties(keys, value, where, check_key)
    if name.endswith(("-list", "-alist")) and name != "pve-hotplug-features":
        single = name.removesuffix("-list").removesuffix("-alist")
        for item in re.split(r"[,;\s\0]+", value.strip()):
            if item and (text := _single(single, item)):
                return text
        return ""
    if name.endswith("-opt"):
        return _single(name.removesuffix("-opt"), value) if value else ""
    return _single(name, value)


def property_keys(name: str) -> Mapping[str, Spec] | None:
    """Return the keys of a property-string format, or ``None`` if it is not one."""
    if name in _OWN:
        return _OWN[name]
    if name == "pve-qm-ide":
        name = "@ide"
    return schema.table().formats.get(name)


def _single(name: str, value: str) -> str:
    if name in _PATTERNS:
        pattern, text = _PATTERNS[name]
        return "" if re.fullmatch(pattern, value) else text.format(value)
    checker = _CHECKERS.get(name)
    return checker(value) if checker is not None else ""


def _dns(value: str) -> str:
    return "" if _DNS.fullmatch(value) else "value does not look like a valid DNS name\n"


def _config_id(value: str) -> str:
    return "" if _CONFIG_ID.fullmatch(value) else f"invalid configuration ID '{value}'\n"


def _storage_id(value: str) -> str:
    if _STORAGE_ID.fullmatch(value):
        return ""
    return f"storage ID '{value}' contains illegal characters\n"


def _tag(value: str) -> str:
    return "" if _TAG.fullmatch(value) else "invalid characters in tag\n"


def _mac(value: str) -> str:
    return (
        "" if _MAC.fullmatch(value) else "value does not look like a valid unicast MAC address\n"
    )


def _volid(value: str) -> str:
    return "" if _VOLID.fullmatch(value) else f"unable to parse volume ID '{value}'\n"


def _volid_or_path(value: str) -> str:
    return "" if value in {"none", "cdrom"} or value.startswith("/") else _volid(value)


def _content(value: str) -> str:
    return "" if value in _STORAGE_CONTENT else f"invalid content type '{value}'\n"


def _task_status(value: str) -> str:
    return "" if value in _TASK_STATES else f"invalid status '{value}'\n"


def _hotplug(value: str) -> str:
    if value in {"0", "1"}:
        return ""
    for item in re.split(r"[,;\s]+", value.strip()):
        if item and item not in _HOTPLUG:
            return f"unknown hotplug feature '{item}'\n"
    return ""


def _cpu(value: str) -> str:
    model = value.split(",", 1)[0].removeprefix("cputype=")
    if model in _CPU_MODELS or model.startswith("custom-") or "=" in model:
        return ""
    return f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)\n"


def _startup(value: str) -> str:
    good = all(re.fullmatch(r"(order=)?\d+|up=\d+|down=\d+", part) for part in value.split(","))
    return "" if good else "unable to parse startup options\n"


def _address(version: int, value: str) -> str:
    try:
        ok = ipaddress.ip_address(value).version == version
    except ValueError:
        ok = False
    return "" if ok else f"value does not look like a valid IPv{version} address\n"


def _interface(version: int, value: str) -> str:
    words = {"dhcp", "manual"} if version == 4 else {"dhcp", "auto", "manual"}
    if value in words:
        return ""
    try:
        ok = "/" in value and ipaddress.ip_interface(value).version == version
    except ValueError:
        ok = False
    return "" if ok else f"value does not look like a valid IPv{version} network configuration\n"


def _privilege(value: str) -> str:
    return "" if value in roles.ALL else f"invalid privilege '{value}'\n"


_CHECKERS: Mapping[str, Callable[[str], str]] = {
    "dns-name": _dns,
    "pve-configid": _config_id,
    "pve-storage-id": _storage_id,
    "pve-tag": _tag,
    "mac-addr": _mac,
    "pve-volume-id": _volid,
    "pve-volume-id-or-qm-path": _volid_or_path,
    "pve-volume-id-or-absolute-path": _volid_or_path,
    "pve-lxc-mp-string": lambda _: "",
    "pve-storage-content": _content,
    "pve-task-status-type": _task_status,
    "pve-hotplug-features": _hotplug,
    "pve-vm-cpu-conf": _cpu,
    "pve-startup-order": _startup,
    "pve-priv": _privilege,
    "ipv4": lambda value: _address(4, value),
    "ipv6": lambda value: _address(6, value),
    "pve-ipv4-config": lambda value: _interface(4, value),
    "pve-ipv6-config": lambda value: _interface(6, value),
}


_NOT_IN_SCHEMA = (
    "property is not defined in schema and the schema does not allow additional properties"
)


def _check_properties(
    keys: Mapping[str, Spec], value: str, where: str, check_key: CheckKey
) -> str:
    parsed = split_properties(keys, value)
    if isinstance(parsed, str):
        return parsed
    lines = []
    for key, item in parsed.items():
        spec = keys.get(key)
        if spec is None:
            lines.append(f"{where}.{key}: {_NOT_IN_SCHEMA}")
        elif text := check_key(f"{where}.{key}", spec, item):
            lines.append(f"{where}.{key}: {text}")
    lines += [
        f"{where}.{key}: property is missing and it is not optional"
        for key, spec in keys.items()
        if not spec.optional and not spec.alias and key not in parsed
    ]
    return "".join(["format error\n", *(f"{line}\n" for line in sorted(lines))]) if lines else ""


def split_properties(keys: Mapping[str, Spec], value: str) -> dict[str, str] | str:
    """Return the keys and values of a property string, aliases resolved, or a complaint."""
    default = next((key for key, spec in keys.items() if spec.default_key), None)
    found: dict[str, str] = {}
    for part in value.split(","):
        if not part.strip():
            continue
        key, equals, item = part.strip().partition("=")
        if not equals:
            if default is None:
                return "value without key, but schema does not define a default key\n"
            if default in found:
                return "duplicate key in comma-separated list property: " + default + "\n"
            found[default] = key
            continue
        spec = keys.get(key)
        if spec is not None and spec.alias:
            if spec.key_alias:
                found[spec.key_alias] = key
            key = spec.alias
        if key in found:
            return f"duplicate key in comma-separated list property: {key}\n"
        found[key] = item
    return found
