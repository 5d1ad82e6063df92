"""Hold back new disks that can't be made where their guest is.

PVE refuses a write as a whole. Without this, a disk on a storage that is missing would
keep every other change of the guest from being written.
"""

from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.verdict import Held, Hold
from qlop.planner.capacity import storage_on
from qlop.planner.config import Difference


def hold_back(
    found: Difference,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    observed: Observed,
) -> None:
    """Turn each new disk whose storage is not to be had on the guest's node into a hold."""
    content = "images" if want.kind is GuestKind.VM else "rootdir"
    for disk in want.disks:
        if disk.slot in have.disks or disk.slot not in found.set or disk.storage is None:
            continue
        seen = storage_on(observed, disk.storage, guest.node)
        if seen is None:
            message = f"has no active storage {disk.storage}"
        elif content not in seen.content:
            message = f"does not keep {content} on storage {disk.storage}"
        else:
            continue
        del found.set[disk.slot]
        found.changes = [change for change in found.changes if change.field != disk.slot]
        found.holds.append(
            Held(
                reason=Hold.NO_STORAGE,
                message=f"{disk.slot} can't be made: its node {guest.node} {message}",
                remedy=f"make storage {disk.storage} available on {guest.node}, or name another",
            )
        )
