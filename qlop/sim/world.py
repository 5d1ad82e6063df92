"""Describe a cluster to simulate: nodes, storages, templates, guests, users, timing.

``hospital()`` is the three-node cluster the project grew from; ``fleet()`` makes one of any
size for benchmarks; ``load()`` reads the same from YAML. A description is a value: the
simulator never changes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import yaml

GIB = 1024**3
TIB = 1024**4

DEFAULT_TOKEN = "root@pam!qlop=11111111-2222-3333-4444-555555555555"  # noqa: S105 - no secret
"""A token with all rights, for tests and demonstrations; in ``Authorization`` it follows
``PVEAPIToken=``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds of simulated time.

    Defaults are what a small cluster of SATA SSDs and 10 Gbit/s shows.
    """

    start_s: float = 1.5
    stop_s: float = 0.8
    boot_s: float = 12.0
    guest_shutdown_s: float = 4.0
    lxc_start_s: float = 1.5
    lxc_shutdown_s: float = 1.5
    create_s: float = 0.3
    destroy_s: float = 1.0
    config_s: float = 0.2
    snapshot_s: float = 1.0
    allocate_s: float = 0.5
    copy_s_per_gib: float = 4.0
    linked_clone_s: float = 1.5
    unpack_s: float = 6.0
    lxc_resize_s: float = 3.0
    """Checking and growing the file system of a stopped container."""
    migrate_s: float = 4.0
    migrate_s_per_gib_memory: float = 1.0
    migrate_s_per_gib_disk: float = 8.0
    backup_s_per_gib: float = 5.0
    push_s: float = 10.0
    """The rhythm of each node's status daemon (``pvestatd``)."""
    detect_s: float = 7.5
    """Until the others have noticed that a node is gone (corosync's token timeout)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """A host."""

    name: str
    cores: int = 8
    memory_gib: float = 32
    version: str = "9.1.5"
    bridges: Sequence[str] = ("vmbr0",)
    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSpec:
    """An entry of the storage configuration."""

    name: str
    type: str
    content: Sequence[str]
    total_gib: float = 900
    shared: bool = False
    nodes: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A file that is on a storage from the start: ISO, container template, cloud image.

    ``nodes`` limits it to those nodes' part of a local storage; empty: every node's.
    """

    volid: str
    size_gib: float = 0.5
    nodes: Sequence[str] = ()
    os: str = "none"
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """A guest that exists from the start.

    ``config`` is in the API's terms. Disks given there as ``STORAGE:GIB`` are allocated
    (with ``os`` installed on the first one), as at a creation.
    """

    vmid: int
    node: str
    kind: str = "qemu"
    running: bool = False
    config: Mapping[str, str] = field(default_factory=dict)
    os: str = "agent"
    pool: str = ""
    used_gib: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AclSpec:
    """One entry of the access control list; ``who`` is a user or ``user!token``."""

    path: str
    who: str
    role: str
    propagate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpec:
    """A user with tokens.

    ``tokens`` maps a token's id to its secret; ``privsep`` names the tokens whose rights are
    their own entries' and the user's, intersected.
    """

    userid: str
    password: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    privsep: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """A whole cluster at its first instant."""

    name: str = "sim"
    nodes: Sequence[NodeSpec] = (NodeSpec(name="pve1"),)
    storages: Sequence[StorageSpec] = ()
    volumes: Sequence[VolumeSpec] = ()
    guests: Sequence[GuestSpec] = ()
    pools: Sequence[str] = ()
    users: Sequence[UserSpec] = ()
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    acl: Sequence[AclSpec] = ()
    timing: Timing = field(default_factory=Timing)


def root(token: str = DEFAULT_TOKEN) -> UserSpec:
    """Return root@pam with a token that has all rights."""
    who, _, secret = token.partition("=")
    user, _, token_id = who.partition("!")
    return UserSpec(userid=user, password="sim-password", tokens={token_id: secret})  # noqa: S106


def _template(vmid: int, node: str, storage: str) -> GuestSpec:
    suffix = ",format=qcow2" if storage == "nas" else ""
    return GuestSpec(
        vmid=vmid,
        node=node,
        used_gib=2.0,
        config={
            "name": "debian-12-cloud",
            "template": "1",
            "cores": "2",
            "memory": "2048",
            "ostype": "l26",
            "agent": "1",
            "scsihw": "virtio-scsi-single",
            "scsi0": f"{storage}:3{suffix}",
            "ide2": f"{storage}:cloudinit",
            "net0": "virtio,bridge=vmbr0",
            "serial0": "socket",
            "vga": "serial0",
            "boot": "order=scsi0",
            "description": "Debian 12 cloud image with the guest agent",
        },
    )


LOCAL = StorageSpec(
    name="local",
    type="dir",
    content=("iso", "vztmpl", "import", "snippets", "backup"),
    total_gib=94,
    options={"path": "/var/lib/vz"},
)
LOCAL_LVM = StorageSpec(
    name="local-lvm",
    type="lvmthin",
    content=("images", "rootdir"),
    total_gib=830,
    options={"thinpool": "data", "vgname": "pve"},
)
NAS = StorageSpec(
    name="nas",
    type="nfs",
    content=("backup", "iso", "vztmpl", "images"),
    total_gib=4000,
    shared=True,
    options={"server": "192.0.2.9", "export": "/export/pve", "path": "/mnt/pve/nas"},
)

_VOLUMES = (
    VolumeSpec(volid="local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", size_gib=0.12),
    VolumeSpec(volid="local:import/debian-12-genericcloud-amd64.qcow2", size_gib=3.0, os="agent"),
    VolumeSpec(volid="local:iso/debian-12.8.0-amd64-netinst.iso", size_gib=0.63),
    VolumeSpec(volid="local:snippets/vendor.yaml", size_gib=0.00001),
    VolumeSpec(volid="nas:iso/debian-12.8.0-amd64-netinst.iso", size_gib=0.63),
)


def hospital() -> ClusterSpec:
    """Return the hospital's three nodes, empty but for templates.

    Template 9000 is on shared storage, so it can be cloned to any node; 9001 to 9003 are
    its copies on each node's own thin pool, for linked clones.
    """
    nodes = (
        NodeSpec(name="pve1", cores=8, memory_gib=24),
        NodeSpec(name="pve2", cores=8, memory_gib=32),
        NodeSpec(name="pve3", cores=4, memory_gib=24),
    )
    return ClusterSpec(
        name="hospital",
        nodes=nodes,
        storages=(LOCAL, LOCAL_LVM, NAS),
        volumes=_VOLUMES,
        guests=(
            _template(9000, "pve1", "nas"),
            *(_template(9001 + index, node.name, "local-lvm") for index, node in enumerate(nodes)),
        ),
        users=(root(),),
    )


def fleet(nodes: int, guests: int) -> ClusterSpec:
    """Return a cluster of ``nodes`` nodes with ``guests`` running guests, one in ten an LXC."""
    hosts = tuple(
        NodeSpec(name=f"pve{index + 1}", cores=64, memory_gib=1024) for index in range(nodes)
    )
    return ClusterSpec(
        name="fleet",
        nodes=hosts,
        storages=(LOCAL, LOCAL_LVM, NAS),
        volumes=_VOLUMES,
        guests=(
            _template(9000, "pve1", "nas"),
            *(_fleet_guest(10_000 + index, hosts[index % nodes].name) for index in range(guests)),
        ),
        users=(root(),),
    )


def _fleet_guest(vmid: int, node: str) -> GuestSpec:
    if vmid % 10 == 9:
        return GuestSpec(
            vmid=vmid,
            node=node,
            kind="lxc",
            running=True,
            config={
                "hostname": f"ct-{vmid}",
                "arch": "amd64",
                "ostype": "debian",
                "memory": "512",
                "swap": "512",
                "cores": "1",
                "unprivileged": "1",
                "rootfs": "local-lvm:4",
                "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
            },
        )
    return GuestSpec(
        vmid=vmid,
        node=node,
        running=True,
        config={
            "name": f"vm-{vmid}",
            "cores": "2",
            "memory": "2048",
            "ostype": "l26",
            "agent": "1",
            "scsihw": "virtio-scsi-single",
            "scsi0": "local-lvm:8",
            "net0": "virtio,bridge=vmbr0",
            "tags": "fleet",
        },
    )


class SpecError(ValueError):
    """The description of a cluster has something it can't have."""


T = TypeVar("T")


def load(text: str) -> ClusterSpec:
    """Return the cluster that a YAML document describes.

    Keys are the field names of ``ClusterSpec`` and its parts. ``base: hospital`` starts
    from the hospital's cluster; what else is given replaces or, for ``guests``, ``volumes``
    and ``users``, is added. A cluster without users gets the default token.

    Raises:
        SpecError: an unknown key, or a value of the wrong kind.
    """
    raw = yaml.safe_load(text)
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise SpecError("a cluster is a mapping")
    return from_mapping(raw)


_PARTS: Mapping[str, type[Any]] = {
    "nodes": NodeSpec,
    "storages": StorageSpec,
    "volumes": VolumeSpec,
    "guests": GuestSpec,
    "users": UserSpec,
    "acl": AclSpec,
}
_ADDED = {"guests", "volumes", "users"}


def from_mapping(raw: Mapping[str, Any]) -> ClusterSpec:
    """Return the cluster that plain mappings and lists describe; see ``load``."""
    values = dict(raw)
    base = values.pop("base", None)
    if base not in {None, "hospital"}:
        raise SpecError(f"base: '{base}' is unknown; there is 'hospital'")
    start = hospital() if base else ClusterSpec(users=(root(),))
    given: dict[str, Any] = {name: getattr(start, name) for name in _names(ClusterSpec)}
    for key, value in values.items():
        if key in _PARTS:
            items = tuple(_build(_PARTS[key], item, key) for item in value)
            given[key] = (*given[key], *items) if key in _ADDED else items
        elif key == "timing":
            given[key] = _build(Timing, value, key)
        elif key in given:
            given[key] = value
        else:
            raise SpecError(f"'{key}' is not a key of a cluster; there are {sorted(given)}")
    return ClusterSpec(**given)


def _build(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise SpecError(f"{where}: a mapping is wanted, not {value!r}")
    unknown = set(value) - set(_names(kind))
    if unknown:
        raise SpecError(f"{where}: {sorted(unknown)} unknown; there are {_names(kind)}")
    plain = dict(value)
    if isinstance(plain.get("config"), dict):
        plain["config"] = {key: _text(item) for key, item in plain["config"].items()}
    try:
        return kind(**plain)
    except TypeError as error:
        raise SpecError(f"{where}: {error}") from error


def _names(kind: type[Any]) -> list[str]:
    return [item.name for item in fields(kind)]


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
