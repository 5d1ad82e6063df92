"""Bring one existing guest of ours to what its manifest says."""

from collections.abc import Callable
from dataclasses import replace

from qlop.model.action import RegenerateCloudInit
from qlop.model.consent import FREE, PLACEMENT, POWER, Consent, strictest
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import (
    bulk,
    config,
    consent,
    former,
    halfmade,
    holder,
    locked,
    placement,
    power,
    relocation,
    replacement,
    reserved,
    snapshot,
    verify,
    wayback,
    write,
)
from qlop.planner.draft import Draft
from qlop.planner.step import Step, Steps, place_of, premise_of


def plan_guest(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> None:
    """Note what an owned guest needs, or why it is left as it is."""
    draft.decide(want.name, guest.vmid, place_of(want), needs(draft, want, guest))


def needs(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> Steps:
    """Return what an owned guest needs, or why it is left as it is."""
    held = _hold(draft, want, guest)
    if held is not None:
        return Steps(held=held)
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    have = guest.config.value
    tried = verify.plan_trial(draft, want, guest, have)
    if tried is not None:
        return tried
    if not halfmade.is_unborn(draft, want, guest):
        replaced = replacement.plan_replacement(draft, want, guest, have)
        if replaced is not None:
            return replaced
        due = replacement.waiting(draft, want, guest, have)
        if due is not None:
            return _until_replaced(draft, want, guest, have, due)
    shape = _shape_hold(draft, want, guest)
    if shape is not None:
        return Steps(held=shape)
    return former.after(draft, want, _as_wanted(draft, want, guest, have))


def _as_wanted(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    if guest.power is Power.SUSPENDED:
        return _hibernated(draft, want, guest, have)
    return _steps(draft, want, guest, have)


def _until_replaced(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, due: Steps
) -> Steps:
    """Return what a guest needs that is to be replaced: that, or care while it waits."""
    if due.steps or guest.kind is not want.kind:
        return due
    stays = replacement.without_cause(draft, want, guest, have)
    rest = _as_wanted(draft, stays, guest, have)
    held = [one for one in (due.held, rest.held) if one is not None]
    return replace(rest, held=_merged(held), warnings=(*rest.warnings, *due.warnings))


def _steps(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    """Return configuration, relocation, power and snapshots, in this order.

    A stopped guest is configured before it starts, so that it comes up as it should be.
    A guest that has to move is moved before a reboot: the reboot may then be its start
    on the new node. Snapshots come last: they are of the guest as it should be.
    """
    unready = None
    if halfmade.is_unborn(draft, want, guest):
        unready = reserved.start_hold(want, have)
        want = former.booting(draft, replace(want, consents=FREE))
    parts = consent.plan_writes(draft, want, guest, have)
    for step in _cloud_init(draft, want, guest, have, parts.steps):
        parts.add(consent.judged(draft, want, step, want.consents.hot))
    parts.add(
        relocation.plan_relocation(
            want,
            guest,
            have,
            cluster=draft.source.desired.cluster,
            observed=draft.source.observed,
            owners=draft.ownership,
            capacity=draft.capacity,
            consented=lambda step: consent.judged(
                draft, want, step, want.consents.of(PLACEMENT, step.impact)
            ),
        )
    )
    parts.add(Steps(held=unready) if unready else _power(draft, want, guest, have))
    parts.add(_reboot(draft, want, guest, have, parts))
    steps, guarding = verify.guarded(draft, want, guest, have, parts.steps)
    holds = parts.holds if guarding is None else [guarding, *parts.holds]
    if not steps:
        steps += wayback.cleanup(draft, want, guest, have)
    if not steps and not holds:
        snapped = snapshot.plan_snapshots(want, guest, have)
        steps += snapped.steps
        holds += [snapped.held] if snapped.held is not None else []
    return Steps(
        steps=tuple(steps),
        held=_merged(holds),
        note=_notes(draft, want, guest, have) if not steps else "",
        warnings=tuple(parts.warnings),
    )


def _power(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    powered = power.plan_power(want, guest, have)
    if not powered.steps:
        return powered
    (step,) = powered.steps
    step = replacement.first_start(draft, want, step)
    return consent.judged(draft, want, step, want.consents.of(POWER, step.impact))


def _reboot(
    draft: Draft,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    writes: consent.Writes,
) -> Steps:
    """Return the reboot that is due, or note that one may be if it turns out to run."""
    told = {said: set[str]() for said in Consent}
    for name in {*config.managed_pending(want, have), *writes.rebooting}:
        told[want.consents.of(name, Impact.REBOOT)].add(name)
    if guest.power is Power.UNKNOWN and want.power is Power.STOPPED:
        draft.may_be_struck.add(want.name)
    if want.power is not Power.RUNNING or guest.power not in {Power.RUNNING, Power.UNKNOWN}:
        return Steps()
    due = told[Consent.DO] | told[Consent.WINDOW] | told[Consent.ASK]
    said = strictest(Consent.DO, *(one for one in told if told[one] & due))
    if not due and told[Consent.WARN]:
        due, said = told[Consent.WARN], Consent.WARN
    if not due:
        return Steps()
    step = power.reboot_step(want, guest, have, tuple(sorted(due)))
    if guest.power is Power.UNKNOWN:
        if consent.may(draft, want, step, said):
            draft.may_be_struck.add(want.name)
        return Steps()
    return consent.judged(draft, want, step, said)


def _hibernated(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> Steps:
    """Return the start of a hibernated VM: PVE refuses all else until it has woken up."""
    if want.power is Power.RUNNING:
        return _power(draft, want, guest, have)
    want = consent.heeded(want, have)
    found = config.difference(want, guest, have)
    moved = not placement.is_allowed(want, guest.node)
    pooled = write.pool_step(want, guest, have)
    if not (moved or found.holds or found.changes or found.grow or pooled):
        return Steps(note="it is hibernated")
    return Steps(
        held=Held(
            reason=Hold.LOCKED,
            message="it is hibernated and differs from its manifest:"
            " PVE refuses every change until it has been started",
            remedy="start it and shut it down in PVE, or say power: running",
        )
    )


def _cloud_init(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, steps: list[Step]
) -> tuple[Step, ...]:
    """Return the writing of the cloud-init drive, if a running VM's no longer fits.

    PVE writes it itself when a VM starts (``PVE::QemuServer::vm_start_nolock``).
    """
    if guest.power is not Power.RUNNING or want.kind is not GuestKind.VM:
        return ()
    owes = want.name in draft.source.history.owes_regeneration
    changes = any(step.expects.get("cloud-init") for step in steps)
    has_drive = any("cloudinit" in disk.volume for disk in have.disks.values())
    if not has_drive or not (owes or changes):
        return ()
    action = RegenerateCloudInit(
        subject=want.name, vmid=guest.vmid, kind=want.kind, node=guest.node
    )
    return (
        Step(
            action=action,
            reason="its cloud-init options changed",
            impact=Impact.HOT,
            premise=premise_of(have),
            takes=(f"node:{guest.node}",),
        ),
    )


def _hold(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> Held | None:
    checks: tuple[Callable[[], Held | None], ...] = (
        lambda: _node_hold(draft, guest.node),
        lambda: _template_hold(guest),
        lambda: locked.hold(draft, want, guest),
        lambda: bulk.hold(draft, guest),
        lambda: halfmade.whole_hold(draft, guest),
        lambda: former.lost_hold(draft, want, guest),
    )
    return next((held for check in checks if (held := check()) is not None), None)


def _node_hold(draft: Draft, node: NodeName) -> Held | None:
    seen = draft.source.observed.nodes.get(node)
    if seen is not None and seen.online:
        return None
    return Held(
        reason=Hold.NODE_OFFLINE,
        message=f"its node {node} is offline; whether it runs there can't be known, and"
        " starting it elsewhere could run it twice",
        remedy=f"bring {node} back, or fence it and recover the guest by hand",
    )


def _template_hold(guest: ObservedGuest) -> Held | None:
    if not guest.template:
        return None
    return Held(
        reason=Hold.IS_TEMPLATE,
        message="somebody made it a template",
        remedy="remove the owner mark (last line) from its notes, and a new guest is made",
    )


def _shape_hold(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> Held | None:
    if guest.kind is not want.kind:
        return Held(
            reason=Hold.UNSUPPORTED_CHANGE,
            message=f"it is a {guest.kind.name.lower()} and should be a {want.kind.name.lower()}",
            remedy="give the service another name, so that a new guest is built beside it",
        )
    if want.vmid is not None and want.vmid != guest.vmid:
        return Held(
            reason=Hold.UNSUPPORTED_CHANGE,
            message=f"it has VMID {guest.vmid} and should have {want.vmid}:"
            f" PVE can't change a VMID{_whose(draft, want.vmid)}",
            remedy=f"write vmid: {guest.vmid}, or back it up and restore it by hand",
        )
    return None


def _whose(draft: Draft, vmid: VmId) -> str:
    other = draft.source.observed.guests.get(vmid)
    return "" if other is None else f"; {vmid} is that of {holder.text(draft, other)}"


def _merged(holds: list[Held]) -> Held | None:
    """Return the holds of one guest as one: the first gives the reason."""
    if len(holds) < 2:
        return holds[0] if holds else None
    return Held(
        reason=holds[0].reason,
        message="; ".join(held.message for held in holds),
        remedy="; ".join(held.remedy for held in holds if held.remedy),
    )


def _notes(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> str:
    both = (_note(want, have), wayback.note(draft, want, guest, have))
    return "; ".join(one for one in both if one)


def _note(want: DesiredGuest, have: GuestConfig) -> str:
    wanted = {disk.slot for disk in want.disks}
    extra = sorted(
        slot for slot, disk in have.disks.items() if slot not in wanted and not disk.is_cdrom
    )
    notes = [f"disks that no manifest names: {', '.join(extra)}"] if extra else []
    if have.unused:
        notes.append(f"detached volumes: {', '.join(sorted(have.unused.values()))}")
    return "; ".join(notes)
