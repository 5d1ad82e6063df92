"""Move guests off nodes where they may not be."""

from collections.abc import Callable

from qlop.model.action import MigrateGuest, MigrationMode
from qlop.model.desired import DesiredCluster, DesiredGuest
from qlop.model.device import is_local_path
from qlop.model.guest import Disk, GuestKind, Power
from qlop.model.ids import NodeName, StorageId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.verdict import Held, Hold
from qlop.planner import ownership, placement
from qlop.planner.capacity import Capacity, promised_bytes, storage_on
from qlop.planner.ownership import Ownership
from qlop.planner.power import is_ha_managed
from qlop.planner.step import Step, Steps, premise_of


def plan_relocation(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    *,
    cluster: DesiredCluster,
    observed: Observed,
    owners: Ownership,
    capacity: Capacity,
    consented: Callable[[Step], Steps],
) -> Steps:
    """Return the move that an owned guest needs, if it needs one.

    ``consented`` asks for the manifest's consent; without it nothing is booked.
    Only what the manifest forbids moves a guest: a node outside the allowed set, or a
    service it must be kept apart from. Preferences and spreading choose a node for a
    new guest; they never move one that runs.
    """
    reason = _reason(want, guest, capacity)
    if not reason:
        return Steps()
    if guest.power is Power.UNKNOWN:
        return Steps(
            held=Held(
                reason=Hold.POWER_UNKNOWN,
                message=f"{reason}; how it can be moved depends on whether it runs",
                remedy="wait for its node's statistics",
            )
        )
    if is_ha_managed(guest):
        return Steps(
            held=Held(
                reason=Hold.HA_MANAGED,
                message=f"{reason}, and the HA manager owns its placement",
                remedy="move it in HA, or take it out of HA",
            )
        )
    unread = ownership.unread_hold(
        owners, f"{reason}, and how much room they need elsewhere is not known"
    )
    blocked = unread or _blocked(guest, have, observed)
    if blocked is not None:
        return Steps(held=blocked)
    chosen = _choose(want, guest, have, cluster=cluster, observed=observed, capacity=capacity)
    if isinstance(chosen, Held):
        return Steps(held=chosen)
    step = _move(want, guest, have, observed=observed, target=chosen.node, reason=reason)
    judged = consented(step)
    if not judged.steps:
        return judged
    capacity.leave(guest.node, want.service)
    capacity.promise(chosen.node, want.service, promised_bytes(guest, want))
    for storage, size in _copied(guest, have, observed).items():
        there = storage_on(observed, storage, chosen.node)
        if there is not None:
            capacity.take(there, size)
    return judged


def _reason(want: DesiredGuest, guest: ObservedGuest, capacity: Capacity) -> str:
    if not placement.is_allowed(want, guest.node):
        allowed = ", ".join(sorted(want.placement.allowed or ()))
        return f"it is on {guest.node}, which is not among the allowed nodes ({allowed})"
    clashing = placement.conflicts(want, guest.node, capacity)
    if clashing and min(clashing) < want.service:  # of two that clash, one moves
        return (
            f"it is on {guest.node} with {', '.join(clashing)}, which it must be kept apart from"
        )
    return ""


def _choose(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    *,
    cluster: DesiredCluster,
    observed: Observed,
    capacity: Capacity,
) -> placement.Chosen | Held:
    def refuses(node: NodeName) -> placement.Refusal:
        if node == guest.node:
            return Hold.NO_NODE, "is where it is now"
        for disk in _volumes(have):
            assert disk.storage is not None
            if storage_on(observed, disk.storage, node) is None:
                return Hold.NO_STORAGE, f"has no active storage {disk.storage}"
        for storage, size in sorted(_copied(guest, have, observed).items()):
            there = storage_on(observed, storage, node)
            if there is not None and size > max(0, capacity.storage_free(there)):
                return Hold.NO_CAPACITY, f"has no room for its disks on {storage}"
        return None

    needed = promised_bytes(guest, want)
    return placement.choose(
        want, cluster, observed, capacity, refuses=refuses, memory_bytes=needed
    )


def _copied(guest: ObservedGuest, have: GuestConfig, observed: Observed) -> dict[StorageId, int]:
    """Return the bytes that a move copies, by storage: those of local disks."""
    sizes: dict[StorageId, int] = {}
    for disk in _volumes(have):
        if disk.storage is not None and _is_local(disk, guest.node, observed):
            sizes[disk.storage] = sizes.get(disk.storage, 0) + (disk.size_bytes or 0)
    return sizes


def _move(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    *,
    observed: Observed,
    target: NodeName,
    reason: str,
) -> Step:
    if guest.power is Power.STOPPED:
        mode = MigrationMode.OFFLINE
    elif guest.kind is GuestKind.CONTAINER:
        mode = MigrationMode.RESTART
    else:
        mode = MigrationMode.ONLINE
    local = any(_is_local(disk, guest.node, observed) for disk in _volumes(have))
    action = MigrateGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        target=target,
        mode=mode,
        with_local_disks=local,
        grace_s=int(want.shutdown_timeout.total_seconds()),
    )
    interrupts = mode is MigrationMode.RESTART
    return Step(
        action=action,
        reason=reason,
        impact=Impact.DOWNTIME if interrupts else Impact.HOT,
        premise=premise_of(have, guest.power),
        takes=(
            f"node:{guest.node}",
            f"node:{target}",
            f"migration:{guest.node}",
            f"migration:{target}",
        ),
        disrupts=interrupts,
    )


def _blocked(guest: ObservedGuest, have: GuestConfig, observed: Observed) -> Held | None:
    for disk in have.disks.values():
        if is_local_path(disk) and disk.properties.get("shared") != "1":
            what = f"{disk.slot} is a path of {guest.node} ({disk.volume})"
        elif (
            disk.is_cdrom
            and disk.storage is not None
            and not _is_cloud_init(disk)
            and _is_local(disk, guest.node, observed)
        ):
            what = f"{disk.slot} holds {disk.volume}, which only {guest.node} has"
        else:
            continue
        return Held(
            reason=Hold.UNSUPPORTED_CHANGE,
            message=f"it can't move: {what}",
            remedy="take it out, or put it on a storage that the nodes share",
        )
    return None


def _volumes(have: GuestConfig) -> tuple[Disk, ...]:
    return tuple(
        disk
        for disk in have.disks.values()
        if disk.storage is not None and (not disk.is_cdrom or _is_cloud_init(disk))
    )


def _is_cloud_init(disk: Disk) -> bool:
    return "cloudinit" in disk.volume


def _is_local(disk: Disk, node: NodeName, observed: Observed) -> bool:
    if disk.storage is None:
        return False
    seen = storage_on(observed, disk.storage, node)
    return seen is None or not seen.shared
