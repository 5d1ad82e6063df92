"""Judge whether a guest that is to be destroyed could be had back from a backup."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from qlop.model.guest import Disk, GuestKind
from qlop.model.history import Tombstone
from qlop.model.ids import VmId
from qlop.model.observed import GuestConfig, ObservedBackup, Verification
from qlop.model.policy import BackupNeed, Prune, Pruning
from qlop.model.reading import Known, Reading, Unknown
from qlop.model.verdict import Held, Hold
from qlop.planner.settle import SKEW

LEAD = timedelta(days=1)
"""So long before a guest may be destroyed its backups are looked for: that one is missing
is then said before it matters."""

_REMEDY = "back it up in PVE (it may stay stopped), or set policy.prune.backup: notNeeded"


def wanted(
    tombstones: Mapping[VmId, Tombstone], pruning: Pruning, now: datetime
) -> frozenset[VmId]:
    """Return the guests whose backups must be known now, or soon."""
    if pruning.mode is not Prune.DESTROY or pruning.backup is BackupNeed.NOT_NEEDED:
        return frozenset()
    return frozenset(
        vmid for vmid, stone in tombstones.items() if stone.at + pruning.grace - LEAD <= now
    )


def judge(
    stone: Tombstone,
    kind: GuestKind,
    have: GuestConfig,
    reading: Reading[tuple[ObservedBackup, ...]] | None,
) -> ObservedBackup | Held:
    """Return the backup from which the guest could be had back as it is, or what is missing.

    Only one that was begun after the guest was seen stopped holds its last state. Where a
    storage verifies backups, it must have found this one good.
    """
    left_out = _left_out(kind, have)
    if left_out:
        return Held(
            reason=Hold.BACKUP_NEEDED,
            message=f"no backup has {', '.join(left_out)}: what PVE leaves out of backups"
            " would be lost with it",
            remedy="take it into backups (backup: true), or away from the guest, by hand; or"
            " set policy.prune.backup: notNeeded",
        )
    if not isinstance(reading, Known):
        why = reading.reason if isinstance(reading, Unknown) else "they were not read yet"
        return Held(
            reason=Hold.OBSERVATION_INCOMPLETE,
            message=f"whether there is a backup of it is not known: {why}",
            remedy="see that its storages answer and that the token may list backups",
        )
    fresh = [one for one in reading.value if is_fresh(one, stone, kind)]
    good = [one for one in fresh if is_good(one)]
    if good:
        return max(good, key=lambda one: (one.taken_at, one.volume, one.node))
    if fresh:
        return _unverified(fresh)
    return Held(
        reason=Hold.BACKUP_NEEDED,
        message=f"there is no backup of it from after {stone.at:%Y-%m-%d %H:%M} UTC, when it"
        f" was stopped{_newest(reading.value)}",
        remedy=_REMEDY,
    )


def is_fresh(backup: ObservedBackup, stone: Tombstone, kind: GuestKind) -> bool:
    """Return whether a backup was begun after the guest was seen stopped."""
    return backup.kind is kind and backup.taken_at > stone.at + SKEW


def is_good(backup: ObservedBackup) -> bool:
    """Return whether nothing speaks against a backup that its storage could know."""
    return backup.verification in {Verification.GOOD, Verification.NOT_OFFERED}


def _unverified(fresh: list[ObservedBackup]) -> Held:
    pending = [one for one in fresh if one.verification is Verification.PENDING]
    if pending:
        return Held(
            reason=Hold.BACKUP_NEEDED,
            message=f"its backup {pending[-1].volume} is not verified yet",
            remedy="verify it on the backup server, or wait for its verify job",
        )
    return Held(
        reason=Hold.BACKUP_NEEDED,
        message=f"its backup {fresh[-1].volume} was verified and found damaged",
        remedy=_REMEDY,
    )


def _newest(backups: tuple[ObservedBackup, ...]) -> str:
    if not backups:
        return ""
    newest = max(one.taken_at for one in backups)
    return f"; the newest is of {newest:%Y-%m-%d %H:%M} UTC"


def _left_out(kind: GuestKind, have: GuestConfig) -> list[str]:
    """Return the volumes that would be destroyed and are in no backup."""
    slots = [slot for slot, disk in have.disks.items() if not _is_backed_up(kind, disk)]
    return [*sorted(slots), *sorted(have.unused.values())]


def _is_backed_up(kind: GuestKind, disk: Disk) -> bool:
    """Return whether vzdump takes a disk along, or it is nothing that could be lost.

    Of a VM everything but what says ``backup=0``; of a container its root and the mount
    points that say ``backup=1`` (``mountpoint_backup_enabled``, PVE/LXC/Config.pm). Paths
    of the node stay where they are when a container is destroyed.
    """
    if disk.storage is None or disk.is_cdrom:
        return True
    if kind is GuestKind.VM:
        return disk.properties.get("backup", "1") != "0"
    return disk.slot == "rootfs" or disk.properties.get("backup") == "1"
