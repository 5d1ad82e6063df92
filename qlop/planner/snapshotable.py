"""Tell beforehand whether a snapshot of a guest is possible, and why not.

Which storages and formats can be snapshotted: ``volume_has_feature`` of the plugins in
``PVE/Storage``. Every volume of a guest has to be (``has_feature``, PVE/QemuConfig.pm and
PVE/LXC/Config.pm), drives with an ISO or cloud-init left out.
"""

from datetime import timedelta

from qlop.model.device import is_local_path
from qlop.model.guest import Disk, GuestKind
from qlop.model.ids import StorageId
from qlop.model.node import ObservedStorage
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.reading import Known
from qlop.model.units import MIB, format_size
from qlop.planner.capacity import Capacity, storage_on

SNAPSHOTS_MAX = 20
"""PVE knows no limit; a guest with more of them has snapshots that nobody looks after,
and chains of copies that make every write slower."""

OLD = timedelta(days=30)
"""A snapshot keeps all that was overwritten since: after a month that is much."""

STATE_EXTRA = 500 * MIB
"""What PVE adds to twice the memory for a state with RAM (``PVE/QemuConfig.pm``)."""

_ALWAYS = frozenset({"lvmthin", "zfspool", "zfs", "rbd"})
_IN_FORMAT = {
    "dir": frozenset({"qcow2"}),
    "nfs": frozenset({"qcow2"}),
    "cifs": frozenset({"qcow2"}),
    "glusterfs": frozenset({"qcow2"}),
    "lvm": frozenset({"qcow2"}),
    "btrfs": frozenset({"qcow2", "raw", "subvol"}),
}


def refusal(
    guest: ObservedGuest,
    have: GuestConfig,
    observed: Observed,
    capacity: Capacity,
    *,
    memory: bool,
) -> str:
    """Return why no snapshot of ``guest`` can be taken now; empty if it can.

    ``memory``: with the RAM of a running VM.
    """
    if not isinstance(guest.snapshots, Known):
        return "its snapshots could not be listed"
    count = len(guest.snapshots.value)
    if count >= SNAPSHOTS_MAX:
        return f"it has {count} snapshots already; delete some that nobody needs"
    stores: dict[StorageId, ObservedStorage] = {}
    for disk in have.disks.values():
        if disk.is_cdrom:
            continue
        why = _volume_refusal(guest, disk, observed)
        if why:
            return f"{disk.slot} {why}"
        if disk.storage is not None and (seen := storage_on(observed, disk.storage, guest.node)):
            stores[disk.storage] = seen
    needed = 2 * guest.memory_bytes + STATE_EXTRA if memory and guest.kind is GuestKind.VM else 0
    for name, store in sorted(stores.items()):
        free = capacity.storage_free(store)
        if free <= needed:
            left = format_size(max(0, free) // MIB * MIB)
            return f"storage {name} has only {left} left that may be used"
    return ""


def old_ones(guest: ObservedGuest, observed: Observed) -> tuple[str, ...]:
    """Return the snapshots that are older than is good, by name and day, anybody's."""
    if not isinstance(guest.snapshots, Known):
        return ()
    return tuple(
        f"{one.name} of {one.taken_at:%Y-%m-%d}"
        for one in guest.snapshots.value
        if one.taken_at is not None and observed.taken_at - one.taken_at > OLD
    )


def _volume_refusal(guest: ObservedGuest, disk: Disk, observed: Observed) -> str:
    if is_local_path(disk) or disk.storage is None:
        return "is no volume of a storage, and PVE snapshots all or nothing"
    store = storage_on(observed, disk.storage, guest.node)
    if store is None:
        return f"is on {disk.storage}, which is not active on {guest.node}"
    if store.plugin in _ALWAYS:
        return ""
    able = _IN_FORMAT.get(store.plugin, frozenset())
    form = _format(disk)
    if form in able:
        return ""
    what = f"{form} on {disk.storage} ({store.plugin})"
    return f"is {what}, which can't be snapshotted"


def _format(disk: Disk) -> str:
    """Return a volume's format as its name tells it, as PVE does (``parse_name_dir``)."""
    name = disk.volume.partition(":")[2].rpartition("/")[2]
    if name.startswith(("subvol-", "basevol-")):
        return "subvol"
    _, dot, suffix = name.rpartition(".")
    known = {"qcow2", "raw", "vmdk", "subvol"}
    return suffix if dot and suffix in known else "raw"
