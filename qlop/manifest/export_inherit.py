"""Leave out of a manifest what it inherits, and take back what it should not inherit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from qlop.manifest import kinds, merge
from qlop.manifest.marks import Path, Yaml, text_of
from qlop.manifest.merge import Base, Layer
from qlop.manifest.validate import Entry
from qlop.model.units import parse_size

_TAKEN_BACK: Mapping[str, Yaml] = {
    "agent.enabled": False,
    "agent.freeze": True,
    "agent.trim": False,
    "agent.type": "virtio",
    "bios": "seabios",
    "cloudInit.sshKeys": [],
    "cloudInit.upgrade": True,
    "container.console": True,
    "container.consoleMode": "tty",
    "container.features.forceRwSys": False,
    "container.features.fuse": False,
    "container.features.keyctl": False,
    "container.features.mknod": False,
    "container.features.nesting": False,
    "container.tty": 2,
    "container.unprivileged": False,
    "cpu.flags": [],
    "cpu.limit": 0,
    "cpu.numa": False,
    "cpu.sockets": 1,
    "description": "",
    "disks": [],
    "dns.search": [],
    "dns.servers": [],
    "hotplug": ["network", "disk", "usb"],
    "kvm": True,
    "mountPoints": [],
    "networks": [],
    "onBoot": False,
    "protection": False,
    "scsiController": "lsi",
    "serialPorts": [],
    "tablet": True,
    "tags": [],
}
"""What means the same as not saying it: PVE's own default, or an empty list."""

_TAKEN_BACK_FROM: Mapping[str, Mapping[str, Yaml]] = {
    "vm": {"cpu.cores": 1, "cpu.type": "kvm64", "machine": "pc", "osType": "other"},
    "container": {"swap": "512MiB"},
}

_NOT_OF_THE_GUEST = frozenset(
    {
        "changes",
        "maxUnavailable",
        "placement",
        "power",
        "shutdown",
        "source",
        "vmidRange",
        "windows",
    }
)
"""What a service inherits is about qlop and not about the guest as it is."""

_OF_THE_GUEST_BUT_KEPT = frozenset({"snapshots"})


def base_of(entries: Iterable[Entry], profiles: Sequence[str], guest_type: str) -> Base:
    """Return what a service of ``guest_type`` that names ``profiles`` inherits."""
    known = {(entry.kind, entry.name): entry for entry in entries if entry.valid}
    cluster = next((entry for entry in known.values() if entry.kind == "Cluster"), None)
    layers = []
    defaults = cluster.spec.get("defaults") if cluster is not None else None
    if cluster is not None and isinstance(defaults, dict):
        layers.append(_layer(cluster, defaults, merge.DEFAULTS_LABEL, guest_type))
    for name in profiles:
        entry = known["Profile", name]
        layers.append(_layer(entry, entry.spec, name, guest_type))
    return merge.merge_layers(layers)


def fits(entry: Entry, guest_type: str) -> bool:
    """Return whether a profile is one for guests of this type."""
    return entry.spec.get("type", guest_type) == guest_type


def minimal(full: Mapping[str, Yaml], base: Base, node: str) -> dict[str, Yaml]:
    """Return what a service must say to be ``full`` with what it inherits.

    ``node`` is where the guest is: it may stay there, whatever nodes are inherited.
    """
    own = _different(full, base.spec)
    # An empty list is what is left of one whose items could not be said.
    own = {key: value for key, value in own.items() if value != [] or _counts(key, base)}
    guest_type = str(full["type"])
    taken_back = {**_TAKEN_BACK, **_TAKEN_BACK_FROM[guest_type]}
    for path in base.leaves:
        if _is_about_guest(path) and not merge.is_said(full, path):
            value = taken_back.get(text_of(path))
            if value is not None and value != _at(base.spec, path):
                _put(own, path, value)
    nodes = _at(base.spec, ("placement", "nodes"))
    if isinstance(nodes, list) and node not in nodes:
        _put(own, ("placement", "nodes"), [node])
    if _at(base.spec, ("snapshots", "keep")):
        _put(own, ("snapshots", "keep"), [])
    if "power" in full and "power" not in base.spec and full["power"] == "running":
        own.pop("power", None)
    return own


def unwanted(
    full: Mapping[str, Yaml], own: Mapping[str, Yaml], base: Base
) -> Iterator[tuple[str, str]]:
    """Yield each key inherited that the guest does not have, and where it comes from."""
    own = merge.normal(own)
    for path, label in base.leaves.items():
        if (
            _is_about_guest(path)
            and not merge.is_said(own, path)
            and not merge.is_said(full, path)
        ):
            default = {**_TAKEN_BACK, **_TAKEN_BACK_FROM[str(full["type"])]}.get(text_of(path))
            if default is None or default != _at(base.spec, path):
                yield text_of(path), label


def _layer(entry: Entry, spec: Mapping[str, Yaml], label: str, guest_type: str) -> Layer:
    return Layer(
        label=label,
        spec=kinds.fitting(spec, guest_type),
        document=entry.document,
        above=("spec",),
    )


def _is_about_guest(path: Path) -> bool:
    return path[0] not in _NOT_OF_THE_GUEST | _OF_THE_GUEST_BUT_KEPT


def _counts(key: str, base: Base) -> bool:
    """Return whether an empty list says anything."""
    return key in base.spec or _TAKEN_BACK.get(key) != []


def _different(full: Mapping[str, Yaml], base: Mapping[str, Yaml]) -> dict[str, Yaml]:
    own: dict[str, Yaml] = {}
    for key, value in full.items():
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key != "source":
            inner = _different(value, below)
            if inner:
                own[key] = inner
        elif key not in base or not _is_same(value, below):
            own[key] = value
    return own


def _is_same(one: Yaml, other: Yaml) -> bool:
    """Return whether two values mean the same: ``2048MiB`` is ``2GiB``."""
    if isinstance(one, str) and isinstance(other, str):
        try:
            return one == other or parse_size(one) == parse_size(other)
        except ValueError:
            return False
    return type(one) is type(other) and one == other


def _at(spec: Mapping[str, Yaml], path: Path) -> Yaml:
    node: Yaml = dict(spec)
    for step in path:
        node = node.get(str(step)) if isinstance(node, dict) else None
    return node


def _put(spec: dict[str, Yaml], path: Path, value: Yaml) -> None:
    node = spec
    for step in path[:-1]:
        inner = node.get(str(step))
        copied: dict[str, Yaml] = dict(inner) if isinstance(inner, dict) else {}
        node[str(step)] = copied
        node = copied
    node[str(path[-1])] = value
