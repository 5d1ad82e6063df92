"""Say what stands in the way of a replacement, before it begins and while it goes on."""

from dataclasses import replace

from qlop.model.action import HandOverDisk
from qlop.model.desired import CloneSource, DesiredGuest
from qlop.model.guest import Disk, GuestKind, Power
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import bulk, halfmade, power, rebuild, template
from qlop.planner.capacity import storage_on
from qlop.planner.draft import Draft
from qlop.planner.ownership import carried, mark_of
from qlop.planner.rebuild import Rebuild

RENAMING = frozenset({"dir", "nfs", "cifs", "btrfs", "lvm", "lvmthin", "zfspool", "rbd"})
"""Storage types that give a volume to another guest: those with the feature ``rename``
(``volume_has_feature`` of the plugins in PVE/Storage)."""


def to_begin(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, reason: str
) -> Held | None:
    """Return why a guest can't be replaced, and is not even asked about."""
    if want.vmid == guest.vmid:
        return Held(
            reason=Hold.REPLACEMENT,
            message=f"{reason}; but its manifest asks for VMID {guest.vmid}, and PVE can't give"
            " that to another guest while this one has it",
            remedy="write another vmid together with the change, or leave vmid out",
        )
    if have.options.get("protection") == "1":
        return Held(
            reason=Hold.PROTECTED,
            message=f"{reason}; but its protection flag is set",
            remedy="say protection: false first if it is to be replaced",
        )
    if power.is_ha_managed(guest):
        return Held(
            reason=Hold.HA_MANAGED,
            message=f"{reason}; but the HA manager owns its power",
            remedy="take it out of HA until it is replaced",
        )
    if guest.power not in {Power.RUNNING, Power.STOPPED}:
        return Held(
            reason=Hold.POWER_UNKNOWN,
            message=f"{reason}; but it is {guest.power.value}",
            remedy="start it, or shut it down",
        )
    kept = rebuild.carries(want, guest, have)
    if kept and guest.kind is not want.kind:
        return _held(f"{reason}; but a disk of a VM is no volume of a container")
    return _disks_hold(draft, guest, have, kept, reason) or _template_hold(
        draft, want, kept, reason
    )


def to_go_on(
    draft: Draft, guest: ObservedGuest, have: GuestConfig, heir: ObservedGuest
) -> Held | None:
    """Return why a replacement can't go on now; ``heir`` is there already."""
    who = f"{heir.vmid}, which is to take the place of {guest.vmid},"
    if heir.lock:
        return Held(
            reason=Hold.LOCKED,
            message=f"{who} is locked ({heir.lock})",
            remedy="wait for the task; if none runs, `qm unlock` or `pct unlock` on its node",
        )
    task = draft.tasks.get(heir.vmid)
    if task is not None:
        return Held(reason=Hold.TASK_RUNNING, message=f"{task.user} runs {task.verb} on {who}")
    held = bulk.hold(draft, heir)
    if held is not None:
        return replace(held, message=f"{who} waits: {held.message}")
    if heir.template:
        return Held(reason=Hold.IS_TEMPLATE, message=f"somebody made {who} a template")
    node = draft.source.observed.nodes.get(heir.node)
    if node is None or not node.online:
        return Held(reason=Hold.NODE_OFFLINE, message=f"{who} is on {heir.node}, which is offline")
    half = halfmade.whole_hold(draft, heir)
    if half is not None:
        return half
    left = carried(guest)
    if power.is_ha_managed(guest):
        return Held(
            reason=Hold.HA_MANAGED,
            message=f"it gives way to {heir.vmid}, and the HA manager owns its power",
            remedy="take it out of HA until it is replaced",
        )
    if not left:
        return None
    return _heir_hold(guest, heir, left, who) or _disks_hold(
        draft, guest, have, left, f"it gives way to {heir.vmid}"
    )


def other_wish(guest: ObservedGuest, heir: ObservedGuest, why: Rebuild) -> Held:
    """Return the hold of a replacement whose heir is no longer what is wanted."""
    new = ", ".join(f"{one.field} {one.old or 'not set'} -> {one.new}" for one in why.changes)
    return Held(
        reason=Hold.REPLACEMENT,
        message=f"{heir.vmid} was made to take the place of {guest.vmid}, and its manifest has"
        f" become another one: {new}",
        remedy=f"put the manifest back, or destroy {heir.vmid} by hand if no disk was handed"
        f" to it; {where_text(guest, heir)}",
    )


def lost(want: DesiredGuest, guest: ObservedGuest, former: ObservedGuest) -> Held | None:
    """Return the hold of a guest that lacks a disk it should have been handed.

    PVE takes a disk from one guest before it gives it to the other: if that fails half-way
    the volume is there, under the new guest's number, and in neither configuration.
    """
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    wanted, left = {disk.slot for disk in want.disks}, carried(former)
    gone = [
        slot
        for slot in mark_of(former).carries
        if slot not in guest.config.value.disks and slot not in left and slot in wanted
    ]
    if not gone:
        return None
    slots = ", ".join(gone)
    others = where_text(former, guest) if len(gone) < len(mark_of(former).carries) else ""
    rest = f"; {others}" if others else ""
    tool = "qm disk rescan" if guest.kind.value == "qemu" else "pct rescan"
    return Held(
        reason=Hold.DATA_LOSS,
        message=f"{slots} was to be handed over by {former.vmid}, and neither has it: the"
        f" handing over must have failed half-way, with the volume still on its storage{rest}",
        remedy=f"`{tool} --vmid {guest.vmid}` on {guest.node} lists it as unused; attach it as"
        f" {slots}, and it goes on",
    )


def torn(action: HandOverDisk, message: str) -> Held | None:
    """Return the hold of a disk that PVE gave a new name, and could not write down.

    It renames the volume first and writes the configurations then (``move_vm_disk`` in
    PVE/API2/Qemu.pm): without quorum, the second fails and the first stays.
    """
    if "does not exist" not in message:
        return None
    slot, giver, heir = action.slot, action.vmid, action.heir
    tool = "qm disk rescan" if action.kind is GuestKind.VM else "pct rescan"
    return Held(
        reason=Hold.DATA_LOSS,
        message=f"{slot} of {giver} could not be handed over to {heir}: {message}; PVE may"
        " have renamed the volume and been kept from writing that down",
        remedy=f"`{tool} --vmid {heir}` on {action.node} lists it as unused; attach it as {slot}"
        f" to {heir}, and take {slot} out of {giver}",
    )


def where_text(guest: ObservedGuest, heir: ObservedGuest) -> str:
    """Return which guest has which of the disks that are carried over."""
    assert isinstance(heir.config, Known), "ownership is proven by the configuration"
    left, there = carried(guest), heir.config.value.disks
    handed = [slot for slot in mark_of(guest).carries if slot in there]
    parts = [f"{', '.join(left)} is still in {guest.vmid}"] if left else []
    parts += [f"{', '.join(handed)} is in {heir.vmid}"] if handed else []
    return "; ".join(parts) or "no disk is carried over"


def _disks_hold(
    draft: Draft, guest: ObservedGuest, have: GuestConfig, kept: tuple[str, ...], reason: str
) -> Held | None:
    """Return why PVE would not hand these disks over."""
    if kept and have.options.get("parent"):
        return _held(
            f"{reason}; but it has snapshots (the last is {have.options['parent']}), and PVE"
            f" hands no disk over that a snapshot uses ({', '.join(kept)})",
            "delete its snapshots, and take snapshots.keep out of the manifest until then",
        )
    for slot in kept:
        why = _immovable(draft, guest, have.disks[slot])
        if why:
            return _held(
                f"{reason}; but {slot} can't be handed over: {why}",
                f"move {slot} to a storage of another type, or don't say persistent",
            )
    return None


def _immovable(draft: Draft, guest: ObservedGuest, disk: Disk) -> str:
    if disk.storage is None:
        return f"{disk.volume} is no volume of a storage"
    seen = storage_on(draft.source.observed, disk.storage, guest.node)
    if seen is None:
        return f"its storage {disk.storage} is not active on {guest.node}"
    if seen.plugin not in RENAMING or disk.volume.endswith(".subvol"):
        return f"{disk.storage} ({seen.plugin}) can't rename volumes"
    return ""


def _template_hold(
    draft: Draft, want: DesiredGuest, kept: tuple[str, ...], reason: str
) -> Held | None:
    """Return why a disk that is carried over would find its slot taken by the template's."""
    if not isinstance(want.source, CloneSource) or not kept:
        return None
    wanted = want.source.template
    for one in draft.templates:
        if wanted not in {one.vmid, one.name} or not isinstance(one.config, Known):
            continue
        taken = sorted(template.slots(one) & set(kept))
        if taken:
            return _held(
                f"{reason}; but template {one.vmid} brings a {taken[0]} of its own",
                "take that disk out of the template, or have the persistent one in another"
                " slot first",
            )
    return None


def _heir_hold(
    guest: ObservedGuest, heir: ObservedGuest, left: tuple[str, ...], who: str
) -> Held | None:
    assert isinstance(heir.config, Known), "ownership is proven by the configuration"
    both = [slot for slot in left if slot in heir.config.value.disks]
    if both:
        return _held(
            f"{who} has a {both[0]} already, and so has {guest.vmid}",
            f"detach the one in {heir.vmid} if it is not the data",
        )
    if heir.node != guest.node:
        return _held(
            f"{who} is on {heir.node}, and {', '.join(left)} on {guest.node}: PVE hands disks"
            " over on one node only",
            f"migrate {heir.vmid} to {guest.node}",
        )
    if heir.power is not Power.STOPPED:
        return _held(f"{who} is {heir.power.value} before it has its disks", "shut it down")
    return None


def _held(message: str, remedy: str = "") -> Held:
    return Held(reason=Hold.REPLACEMENT, message=message, remedy=remedy)
