"""Decide about guests of ours that no manifest names any more.

What is removed from the manifests is *orphaned*, and so is a guest whose place another one
has taken. If the policy says so it is shut down,
gets a *tombstone*, is kept for a time of grace, and is destroyed only then, with evidence
that it could be had back. Everything before the last step can be undone.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from qlop.model.action import DestroyGuest, StartGuest
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.history import Tombstone
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedBackup, ObservedGuest
from qlop.model.orders import Undelete
from qlop.model.policy import BackupNeed, Prune
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import bulk, burial, evidence, former, ownership, power, release, unsettled
from qlop.planner.burial import GIVEN_UP
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place, needs_seal
from qlop.planner.step import Step, Steps, place_of, premise_of

ORPHAN_GRACE = timedelta(seconds=180)
"""Its manifest is gone, and with it the time-out it had: PVE's own default serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orphan:
    """An orphan that nothing speaks against touching.

    ``why`` it is one; ``may_start`` if nobody else has its place.
    """

    name: GuestName
    place: Place
    guest: ObservedGuest
    have: GuestConfig
    why: str = GIVEN_UP
    may_start: bool = True


def plan_orphans(draft: Draft) -> None:
    """Note what happens to each orphan, as far as the cluster's policy allows it."""
    wanted = {place_of(want): want for want in draft.source.desired.guests.values()}
    due: list[tuple[Tombstone, _Orphan, ObservedBackup | None]] = []
    owners = draft.ownership
    for place in sorted(set(owners.owned) - wanted.keys()):
        guest = owners.owned[place]
        name = burial.known_as(draft, guest, place)
        draft.orphans.add(name)
        if not unsettled.hold(draft, name, place):
            _plan_orphan(draft, due, place, guest, name=name)
    for place in sorted({*owners.formers, *owners.heirs} & owners.owned.keys()):
        heirs = [owners.heirs[place]] if place in owners.heirs and place not in wanted else []
        for guest in (*owners.formers.get(place, ()), *heirs):
            name = burial.known_as(draft, guest, place)
            draft.orphans.add(name)
            if not unsettled.hold_former(draft, name, guest.vmid):
                _plan_orphan(draft, due, place, guest, name=name, want=wanted.get(place))
    for stone, orphan, backup in sorted(due, key=lambda one: (one[0].at, one[1].place)):
        _destroy(draft, stone, orphan, backup)
    draft.notices += burial.reprieves(draft)


def _plan_orphan(
    draft: Draft,
    due: list[tuple[Tombstone, _Orphan, ObservedBackup | None]],
    place: Place,
    guest: ObservedGuest,
    *,
    name: GuestName,
    want: DesiredGuest | None = None,
) -> None:
    """Note what an orphan needs, or that it is due to go; ``want`` is who has its place."""
    if release.plan_guest(draft, name, place, guest):
        return
    why = GIVEN_UP if want is None else former.text(draft, guest)
    held = _hold(draft, guest, why)
    if held is not None:
        draft.conclude(name, guest.vmid, held)
        return
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    orphan = _Orphan(
        name=name,
        place=place,
        guest=guest,
        have=guest.config.value,
        why=why,
        may_start=draft.ownership.owned.get(place) is guest,
    )
    ending = former.ending(draft, name, want, guest) if want is not None else None
    found = ending if ending is not None else _fate(draft, orphan)
    if isinstance(found, Steps):
        draft.decide(name, guest.vmid, place, found)
    else:
        due.append((found[0], orphan, found[1]))


def _fate(draft: Draft, orphan: _Orphan) -> Steps | tuple[Tombstone, ObservedBackup | None]:
    """Return what an orphan needs now, or the tombstone and backup by which it may go."""
    guest, pruning = orphan.guest, draft.source.desired.cluster.policy.prune
    undelete = draft.orders.undeleted.get(orphan.place)
    if undelete is not None:
        return _kept(orphan, undelete)
    if orphan.have.options.get("protection") == "1":
        return Steps(held=_protected(orphan.why))
    if pruning.mode is Prune.NEVER:
        return Steps(held=_orphaned(orphan))
    unread = ownership.unread_hold(draft.ownership, "no orphan is touched before they are known")
    if unread is not None:
        return Steps(held=unread)
    if guest.power is not Power.STOPPED:
        return Steps(steps=(_shutdown(orphan),))
    return Steps(held=_orphaned(orphan)) if pruning.mode is Prune.STOP else _grave(draft, orphan)


def _grave(draft: Draft, orphan: _Orphan) -> Steps | tuple[Tombstone, ObservedBackup | None]:
    """Return why a stopped orphan is still kept, or by which tombstone it may go."""
    guest, pruning = orphan.guest, draft.source.desired.cluster.policy.prune
    stone = burial.standing(draft, orphan.place, guest, orphan.have)
    if stone is None:
        stone = burial.tombstone(draft, orphan.name, orphan.place, guest, orphan.have)
        draft.notices.append(stone)
        return Steps(held=burial.grace_hold(draft, stone, None, orphan.why))
    backup: ObservedBackup | Held | None = None
    if pruning.backup is BackupNeed.REQUIRED:
        seen = draft.source.observed.backups.get(guest.vmid)
        backup = evidence.judge(stone, guest.kind, orphan.have, seen)
    if stone.at + pruning.grace > draft.source.now:
        return Steps(held=burial.grace_hold(draft, stone, backup, orphan.why))
    if isinstance(backup, Held):
        return Steps(held=backup)
    return stone, backup


def _destroy(
    draft: Draft, stone: Tombstone, orphan: _Orphan, backup: ObservedBackup | None
) -> None:
    guest = orphan.guest
    held = burial.turn_hold(draft, guest)
    if held is not None:
        draft.conclude(orphan.name, guest.vmid, held)
        return
    kept = f"it was kept for its time of grace since {stone.at:%Y-%m-%d %H:%M} UTC"
    sure = f"backup {backup.volume}" if backup is not None else "the policy needs no backup"
    step = Step(
        action=DestroyGuest(
            subject=orphan.name, vmid=guest.vmid, kind=guest.kind, node=guest.node
        ),
        reason=f"{orphan.why}; {kept}; {sure}",
        impact=Impact.DATA_LOSS,
        premise=premise_of(orphan.have, Power.STOPPED, backup),
        takes=(f"node:{guest.node}", f"destroy:{guest.node}"),
    )
    draft.decide(orphan.name, guest.vmid, orphan.place, Steps(steps=(step,)))


def _kept(orphan: _Orphan, order: Undelete) -> Steps:
    """Return the start of a guest that somebody undeleted, or that it is kept."""
    guest = orphan.guest
    if guest.power is Power.STOPPED and orphan.may_start:
        start = Step(
            action=StartGuest(
                subject=orphan.name, vmid=guest.vmid, kind=guest.kind, node=guest.node
            ),
            reason=f"{order.by} undeleted it",
            impact=Impact.HOT,
            premise=premise_of(orphan.have, guest.power),
            takes=(f"node:{guest.node}",),
        )
        return Steps(steps=(start,))
    return Steps(
        held=Held(
            reason=Hold.ORPHANED,
            message=f"{orphan.why}; {order.by} undeleted it, and it is kept"
            f" until {order.until:%Y-%m-%d %H:%M} UTC",
            remedy="put its manifest back before then",
            until=order.until,
        )
    )


def _shutdown(orphan: _Orphan) -> Step:
    guest = orphan.guest
    return Step(
        action=power.shutdown(orphan.name, guest, ORPHAN_GRACE, force_stop=False),
        reason=orphan.why,
        impact=Impact.DOWNTIME,
        premise=premise_of(orphan.have, guest.power),
        takes=(f"node:{guest.node}",),
    )


def _hold(draft: Draft, guest: ObservedGuest, why: str) -> Held | None:
    node = draft.source.observed.nodes.get(guest.node)
    if node is None or not node.online:
        return Held(
            reason=Hold.NODE_OFFLINE,
            message=f"{why}, and its node {guest.node} is offline",
        )
    if guest.template:
        return Held(reason=Hold.IS_TEMPLATE, message="somebody made it a template")
    if guest.lock:
        return Held(
            reason=Hold.LOCKED,
            message=f"{why}; it is locked ({guest.lock})",
        )
    task = draft.tasks.get(guest.vmid)
    if task is not None:
        return Held(
            reason=Hold.TASK_RUNNING,
            message=f"{why}; {task.user} runs {task.verb} on it",
        )
    held = bulk.hold(draft, guest)
    if held is not None:
        return replace(held, message=f"{why}; {held.message}")
    if power.is_ha_managed(guest):
        return Held(
            reason=Hold.HA_MANAGED,
            message=f"{why}, and the HA manager owns it",
            remedy="take it out of HA",
        )
    if guest.power not in {Power.RUNNING, Power.STOPPED}:
        return Held(
            reason=Hold.POWER_UNKNOWN,
            message=f"{why}; it is {guest.power.value}",
        )
    assert isinstance(guest.config, Known)
    if needs_seal(guest.config.value):
        return Held(
            reason=Hold.IDENTITY_MISMATCH,
            message=f"{why}, and its identity was never sealed",
            remedy="destroy it by hand",
        )
    return None


def _protected(why: str) -> Held:
    return Held(
        reason=Hold.PROTECTED,
        message=f"{why}, and its protection flag is set",
        remedy="clear the flag in PVE if it really is to go",
    )


def _orphaned(orphan: _Orphan) -> Held:
    remedy = "put its manifest back, destroy it by hand, or set policy.prune"
    if orphan.why != GIVEN_UP:
        remedy = "destroy it by hand when it is no longer needed, or set policy.prune"
    return Held(reason=Hold.ORPHANED, message=f"{orphan.why}; the policy keeps it", remedy=remedy)
