"""Grow a disk, or have PVE read how large it is already.

PVE grows the volume first and writes the configuration after that; between the two the
quorum may be lost, or the worker. The configuration then says less than the volume has, and
to grow that to the size it has is nothing to PVE: for a VM the task ends well and changes
nothing (``resize_vm``, PVE/API2/Qemu.pm), for a container the call is refused (``resize_vm``,
PVE/API2/LXC.pm).

When a VM's disk is written, PVE notes the size of its volume, whatever size it is told
(``$create_disks``, PVE/API2/Qemu.pm, since 7.2): to write it as it is does no harm, and
mends it. What is written of a container's disk waits for a reboot, so that is left to a
person.
"""

from collections.abc import Iterator
from datetime import timedelta

from qlop.model.action import ConfigureGuest, ResizeDisk
from qlop.model.desired import DesiredGuest
from qlop.model.device import disk_text
from qlop.model.guest import GuestKind
from qlop.model.history import EXPECTS_DIGEST, WITHOUT_EFFECT, Failure, History
from qlop.model.ids import NodeName, VmId
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.units import format_size
from qlop.model.verdict import Held, Hold
from qlop.planner.config import Difference
from qlop.planner.draft import Draft
from qlop.planner.step import Step, action_id, premise_of

REFUSED_AS_LARGE = (
    "already at specified size",
    "unable to shrink disk size",
    "shrinking disks is not supported",
)
"""What PVE says if a volume that is to grow is as large, or larger, already."""

RETRY = timedelta(hours=1)
"""When to ask again what PVE refused so: a rollback may have made the volume smaller."""


def hold_back(draft: Draft, found: Difference, want: DesiredGuest, guest: ObservedGuest) -> None:
    """Turn a container's growth that PVE refused as done into a hold, until it is tried again."""
    if want.kind is GuestKind.VM:
        return
    history = draft.source.history
    for grown in tuple(found.grow):
        slot, size_bytes, change = grown
        grow = resize(want, guest.vmid, guest.node, slot, size_bytes)
        failure = history.failures.get(action_id(grow))
        if failure is None or not _is_refused(failure):
            continue
        again = failure.at + RETRY
        if again <= draft.source.now:
            continue
        draft.wake(again)
        draft.unsure.add(guest.vmid)
        found.grow.remove(grown)
        found.holds.append(
            Held(
                reason=Hold.UNSUPPORTED_CHANGE,
                message=f"{slot} is {change.old} by its configuration and should be"
                f" {change.new}, and PVE says of its volume: {failure.message}",
                remedy=f"`pct rescan --vmid {guest.vmid}` on {guest.node} has PVE note the size"
                " that the volume has",
                until=again,
            )
        )


def steps(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    found: Difference,
    history: History,
    *,
    digest: str,
) -> Iterator[Step]:
    """Yield what makes each disk as large as it should be, or has its size read.

    ``digest`` is that of the configuration as the first of them finds it.
    """
    for slot, size_bytes, change in found.grow:
        grow = resize(want, guest.vmid, guest.node, slot, size_bytes, digest=digest)
        read = _reading(want, guest, have, slot, size_bytes, digest=digest)
        is_large = want.kind is GuestKind.VM and _is_large(grow, read, history)
        should = f"{slot} should be {format_size(size_bytes)}"
        yield Step(
            action=read if is_large else grow,
            reason=f"{should}, and may be: PVE is to read its size" if is_large else should,
            impact=change.impact,
            premise=premise_of(have),
            takes=(f"node:{guest.node}",),
            expects={EXPECTS_DIGEST: have.digest} if is_large else {},
            changes=(change,),
        )
        digest = ""


def resize(
    want: DesiredGuest,
    vmid: VmId,
    node: NodeName,
    slot: str,
    size_bytes: int,
    *,
    digest: str = "",
) -> ResizeDisk:
    """Return the growth of a disk."""
    return ResizeDisk(
        subject=want.name,
        vmid=vmid,
        kind=want.kind,
        node=node,
        slot=slot,
        size_bytes=size_bytes,
        digest=digest,
    )


def _reading(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    slot: str,
    size_bytes: int,
    *,
    digest: str,
) -> ConfigureGuest:
    """Return the write of a disk as it is, with which PVE reads its size.

    It names the size that is wanted: PVE passes over what it is told a second time.
    """
    disk = have.disks[slot]
    return ConfigureGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=want.kind,
        node=guest.node,
        digest=digest,
        set={slot: disk_text(disk.volume, size_bytes, disk.properties)},
    )


def _is_large(grow: ResizeDisk, read: ConfigureGuest, history: History) -> bool:
    """Return whether PVE took a growth for done, and the size was not read since."""
    failure = history.failures.get(action_id(grow))
    if failure is None:
        return False
    since = history.repetitions.get(action_id(read))
    is_told = failure.message.startswith(WITHOUT_EFFECT) or _is_refused(failure)
    return is_told and (since is None or since.at < failure.at)


def _is_refused(failure: Failure) -> bool:
    return any(one in failure.message for one in REFUSED_AS_LARGE)
