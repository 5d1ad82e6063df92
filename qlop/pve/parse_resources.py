"""Read the rows of ``/cluster/resources`` and ``/cluster/status``.

Pure. A row of a guest is first reduced to its *key*: the few fields that matter, as a
tuple. Two equal keys mean an unchanged guest, whatever its counters did meanwhile, so a
cycle in which nothing happened costs one tuple a guest.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from qlop.model.guest import GuestKind, Power
from qlop.model.ids import NodeName, PoolId, StorageId, VmId
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.reading import Known, Unknown
from qlop.ports import Json
from qlop.pve.payload import Misread, Row, flag, rows_of, text, whole

GUEST_FIELDS = (
    "vmid", "type", "node", "status", "lock", "tags", "name", "template", "pool", "hastate",
    "maxmem",
)  # fmt: skip
"""What a guest's row is reduced to. Left out is what moves by itself (``cpu``, ``uptime``)."""

RowKey = tuple[Json, ...]
"""The values of ``GUEST_FIELDS`` in a row, None for those it lacks."""

_GUEST_TYPES = {kind.value: kind for kind in GuestKind}
_POWERS = {
    "running": Power.RUNNING,
    "stopped": Power.STOPPED,
    "paused": Power.PAUSED,
    "io-error": Power.PAUSED,
    "suspended": Power.PAUSED,
}
"""QEMU's run states that mean a power state of ours (``qmpstatus``). Those of a migration
(``postmigrate``, ``inmigrate``, ``prelaunch``) pass by themselves; after
``internal-error`` or ``guest-panicked`` nothing that qlop could do would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRow:
    """A guest as the cluster lists it; ``status`` is PVE's word for what it does."""

    vmid: VmId
    kind: GuestKind
    node: NodeName
    name: str
    status: str
    power: Power
    template: bool
    lock: str
    tags: str
    pool: PoolId | None
    ha_state: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """What one node says about the cluster: whether it is quorate, who is online.

    A node that is in no cluster has no quorum to lose: it is quorate.
    """

    name: str
    quorate: bool
    online: Mapping[NodeName, bool]


def guest_key(row: Row) -> RowKey:
    """Return what matters of a guest's row."""
    get: Callable[[str], Json] = row.get
    return tuple(map(get, GUEST_FIELDS))


def is_guest(row: Row) -> bool:
    """Return whether a row of ``/cluster/resources`` is a guest."""
    return row.get("type") in _GUEST_TYPES


def parse_guest_row(row: Row) -> Known[GuestRow] | Unknown:
    """Return a guest's row; ``Unknown`` if even who it is can't be read."""
    if not row.get("vmid") or not row.get("node"):
        return Unknown(f"guest {row.get('id')!r} names no VMID or no node")
    try:
        lock = sys.intern(text(row, "lock"))
        status = sys.intern(text(row, "status", "unknown"))
        return Known(
            GuestRow(
                vmid=VmId(whole(row, "vmid")),
                kind=_GUEST_TYPES[text(row, "type")],
                node=NodeName(sys.intern(text(row, "node"))),
                name=text(row, "name"),
                status=status,
                power=power_of(status, lock),
                template=flag(row, "template"),
                lock=lock,
                tags=sys.intern(text(row, "tags").strip()),
                pool=PoolId(sys.intern(text(row, "pool"))) if row.get("pool") else None,
                ha_state=sys.intern(text(row, "hastate")),
                memory_bytes=whole(row, "maxmem"),
            )
        )
    except Misread as error:
        return Unknown(f"guest {row.get('id')!r} not understood: {error}")


def power_of(status: str, lock: str) -> Power:
    """Return the power state that PVE's status and lock amount to."""
    power = _POWERS.get(status, Power.UNKNOWN)
    # Hibernated: stopped, with its memory on disk (vm_suspend, PVE/QemuServer.pm).
    if power is Power.STOPPED and lock == "suspended":
        return Power.SUSPENDED
    return power


def parse_guest_status(payload: Json) -> Known[tuple[Power, str]] | Unknown:
    """Return a guest's power and lock, from ``GET …/status/current`` of its node.

    A paused VM is ``running`` there, and ``qmpstatus`` says the rest.
    """
    if not isinstance(payload, dict):
        return Unknown("guest status not understood: expected an object")
    try:
        lock = text(payload, "lock")
        status = text(payload, "status", "unknown")
        detail = text(payload, "qmpstatus", status)
    except Misread as error:
        return Unknown(f"guest status not understood: {error}")
    return Known((power_of(detail if status == "running" else status, lock), lock))


def parse_nodes(rows: Iterable[Row]) -> Known[dict[NodeName, ObservedNode]] | Unknown:
    """Return the nodes among the rows of ``/cluster/resources``.

    A row that is ``unknown`` rather than ``offline`` is a member that is online and has
    not reported yet (``extract_node_stats``, PVE/API2Tools.pm).
    """
    try:
        nodes = [_node(row) for row in rows if row.get("type") == "node"]
    except Misread as error:
        return Unknown(f"a node's row is not understood: {error}")
    return Known({node.name: node for node in nodes})


def _node(row: Row) -> ObservedNode:
    return ObservedNode(
        name=NodeName(sys.intern(text(row, "node"))),
        online=text(row, "status") != "offline",
        cores=whole(row, "maxcpu"),
        memory_bytes=whole(row, "maxmem"),
        memory_used_bytes=whole(row, "mem"),
        maintenance=text(row, "hastate") == "maintenance",
        uptime_s=whole(row, "uptime"),
    )


def parse_storages(
    rows: Iterable[Row],
) -> Known[dict[tuple[StorageId, NodeName], ObservedStorage]] | Unknown:
    """Return the storages among the rows of ``/cluster/resources``, by name and node."""
    try:
        storages = [_storage(row) for row in rows if row.get("type") == "storage"]
    except Misread as error:
        return Unknown(f"a storage's row is not understood: {error}")
    return Known({(storage.storage, storage.node): storage for storage in storages})


def _storage(row: Row) -> ObservedStorage:
    return ObservedStorage(
        storage=StorageId(sys.intern(text(row, "storage"))),
        node=NodeName(sys.intern(text(row, "node"))),
        shared=flag(row, "shared"),
        active=text(row, "status") == "available",
        content=frozenset(text(row, "content").replace(",", " ").split()),
        plugin=sys.intern(text(row, "plugintype")),
        total_bytes=whole(row, "maxdisk"),
        used_bytes=whole(row, "disk"),
    )


def parse_cluster_status(payload: Json) -> Known[ClusterStatus] | Unknown:
    """Return what ``GET /cluster/status`` shows."""
    try:
        rows = rows_of(payload, "cluster status")
        clusters = [row for row in rows if row.get("type") == "cluster"]
        nodes = [row for row in rows if row.get("type") == "node"]
        return Known(
            ClusterStatus(
                name=text(clusters[0], "name") if clusters else "",
                quorate=flag(clusters[0], "quorate") if clusters else len(nodes) == 1,
                online={NodeName(text(row, "name")): flag(row, "online") for row in nodes},
            )
        )
    except Misread as error:
        return Unknown(f"cluster status not understood: {error}")
