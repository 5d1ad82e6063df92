"""Decide whether a text has one of PVE's named formats, and take property strings apart.

Texts and patterns as in ``PVE/JSONSchema.pm``, ``PVE/QemuServer/*.pm``, ``PVE/Storage.pm``.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

from qlop.sim import device_formats, roles, schema
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

_DRIVE = r"ide[0-3]|sata[0-5]|scsi([12]?\d|30)|virtio(\d|1[0-5])"

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
    "pve-bridge-id": (r"[-_.\w]+", "invalid bridge ID '{}'\n"),
    "urlencoded": (r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {}\n"),
    "disk-size": (r"(\d+(\.\d+)?)([KMGT])?", "value does not look like a valid disk size: {}\n"),
    "pve-roleid": (r"[A-Za-z0-9.\-_]+", "role name '{}' contains invalid characters\n"),
    "pve-groupid": (r"[A-Za-z0-9.\-_]+", "group name '{}' contains invalid characters\n"),
    "pve-qm-bootdev": (
        rf"{_DRIVE}|net([12]?\d|3[01])|usb(\d|1[0-3])|hostpci(\d|1[0-5])",
        "invalid boot device '{}'\n",
    ),
    "pve-qm-bootdisk": (
        rf"{_DRIVE}|efidisk0|tpmstate0",
        "invalid boot disk '{}'\n",
    ),
    "pve-phys-bits": (
        r"host|0?[89]|[1-5]\d|6[0-4]",
        "value must be an integer between 8 and 64 or 'host'\n",
    ),
    "pve-cpuset": (
        r"\s*\d+(-\d+)?(\s*,\s*\d+(-\d+)?)*\s*",
        "unable to parse cpuset option\n",
    ),
    "pve-ha-resource-id": (r"[a-z]+:\S+", "value does not look like a valid ha resource id\n"),
    "pve-ha-resource-or-vm-id": (
        r"[a-z]+:\S+|\d+",
        "value does not look like a valid ha resource id\n",
    ),
    "pve-ha-node": (
        r"([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)(:\d+)?",
        "value does not look like a valid ha node\n",
    ),
    "pve-tokenid": (
        r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+",
        "value '{}' does not look like a valid token ID\n",
    ),
    "email": (
        r"[\w+\-~]+(\.[\w+\-~]+)*@[a-zA-Z0-9\-]+(\.[a-zA-Z0-9\-]+)*",
        "value does not look like a valid email address\n",
    ),
}

_STORAGE_CONTENT = {"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}
_POOL_LEVELS_MAX = 3
_PORT_MAX = 65535
_AREAS = {
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian",
    "Pacific",
}  # fmt: skip
_TASK_STATES = {"ok", "error", "warning", "unknown"}
_HOTPLUG = {"network", "disk", "cpu", "memory", "usb", "cloudinit"}


def complaint(name: str, value: str, where: str, check_key: CheckKey) -> str:
    """Return what is wrong with ``value`` as format ``name``, or an empty string."""
    if value == UNDEFINED:
        return ""
    keys = property_keys(name)
    if keys is not None:
        text = _check_properties(keys, value, where, check_key)
        validate = device_formats.VALIDATORS.get(name)
        return text if text or validate is None else validate(value)
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
    if name in device_formats.KEYS:
        return device_formats.KEYS[name]
    if name == "pve-qm-ide":
        name = "@ide"
    return schema.table().formats.get(name)


def _single(name: str, value: str) -> str:
    if name in _PATTERNS:
        pattern, text = _PATTERNS[name]
        return "" if re.fullmatch(pattern, value) else text.format(value)
    checker = _CHECKERS.get(name)
    return checker(value) if checker is not None else ""


def _pool(value: str) -> str:
    parts = value.split("/")
    if len(parts) > _POOL_LEVELS_MAX:
        return f"pool name '{value}' nested too deeply (max levels = {_POOL_LEVELS_MAX})\n"
    good = all(re.fullmatch(r"[A-Za-z0-9._-]+", part) for part in parts)
    return "" if good else f"pool name '{value}' contains invalid characters\n"


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
    return "" if value.lower() in _TASK_STATES else f"invalid status '{value}'\n"


def _hotplug(value: str) -> str:
    if value in {"0", "1"}:
        return ""
    for item in re.split(r"[,;\s]+", value.strip()):
        if item and item not in _HOTPLUG:
            return f"invalid hotplug feature '{item}'\n"
    return ""


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
    return "" if ok else f"value does not look like a valid ipv{version} network configuration\n"


def _privilege(value: str) -> str:
    return "" if value in roles.ALL else f"invalid privilege '{value}'\n"


def _ip(value: str) -> str:
    is_one = not _address(4, value) or not _address(6, value)
    return "" if is_one else "value does not look like a valid IP address\n"


def _address_or_name(value: str) -> str:
    is_one = not _ip(value) or not _dns(value)
    return "" if is_one else f"value does not look like a valid address: {value}\n"


def _container_nameserver(value: str) -> str:
    local, percent, interface = value.partition("%")
    if percent and local.startswith("fe80:"):
        value = local if not _single("pve-iface", interface) else ""
    return _ip(value)


def _ip_or_cidr(value: str) -> str:
    is_one = not _ip(value) or not _cidr(value)
    return "" if is_one else "value does not look like a valid IP address or CIDR network\n"


def _ports(value: str) -> str:
    """Complain of a port beyond the last; names of services are the host's to know."""
    for item in re.split(r"[,:]", value):
        if item.isdigit() and int(item) > _PORT_MAX:
            return f"invalid port '{item}'\n"
    return ""


def _cidr(value: str) -> str:
    try:
        ok = "/" in value and bool(ipaddress.ip_interface(value))
    except ValueError:
        ok = False
    return "" if ok else "value does not look like a valid CIDR network\n"


def _storage_pair(value: str) -> str:
    parts = value.split(":")
    checked = parts if len(parts) == 2 and all(parts) else [value]
    for part in [] if value == "1" else checked:
        if text := _storage_id(part):
            return f"entry '{value}' contains invalid ID - {text}\n\n"
    return ""


def _timezone(value: str) -> str:
    """Complain of a zone that is in no area of ``zone.tab``."""
    ok = value in {"host", "UTC"} or (value.partition("/")[0] in _AREAS and "/" in value)
    return "" if ok else f"invalid time zone '{value}'\n"


def _mount_path(value: str) -> str:
    is_bad = re.search(r"/\.\.?/|/\.\.?$|^\.\.?/", value) is not None
    return f"{value} contains illegal character sequences\n" if is_bad else ""


def _container_device(value: str) -> str:
    is_bad = re.search(r"/\.\.?(/|$)", value) or not value.startswith("/dev/")
    return f"{value} is not a valid device path\n" if is_bad else ""


_CHECKERS: Mapping[str, Callable[[str], str]] = {
    "pve-poolid": _pool,
    "ip": _ip,
    "address": _address_or_name,
    "lxc-ip-with-ll-iface": _container_nameserver,
    "CIDR": _cidr,
    "IPorCIDR": _ip_or_cidr,
    "pve-fw-dport-spec": _ports,
    "pve-fw-sport-spec": _ports,
    "storage-pair": _storage_pair,
    "pve-ct-timezone": _timezone,
    "pve-lxc-dev-string": _container_device,
    "dns-name": _dns,
    "pve-configid": _config_id,
    "pve-storage-id": _storage_id,
    "pve-tag": _tag,
    "mac-addr": _mac,
    "pve-volume-id": _volid,
    "pve-volume-id-or-qm-path": _volid_or_path,
    "pve-volume-id-or-absolute-path": _volid_or_path,
    "pve-lxc-mp-string": _mount_path,
    "pve-storage-content": _content,
    "pve-task-status-type": _task_status,
    "pve-hotplug-features": _hotplug,
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
        if spec is not None and spec.requires and spec.requires not in parsed:
            lines.append(f"{where}.{spec.requires}: missing property required by '{where}.{key}'")
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
        if not item:
            return "missing key in comma-separated list property\n"
        found[key] = item
    return found
