"""Decide what to do: the list of steps, in this order, and why in this order.

1. *World*: without quorum, or with an incomplete listing, nothing may be concluded from
   absence and PVE would refuse to write: every subject is held.
2. *Unsettled*: a guest with an action in flight is left alone until that has ended; what
   it will need is booked before anything else is.
3. *Existing guests*: first those that are there, so that what they need is booked
   before new guests are placed. Per guest: configuration, relocation, power, snapshots.
4. *Missing guests*: those to be adopted, for which there is one. Then the largest first, because small ones fit where large ones don't.
5. *Orphans*: what is ours and no longer wanted goes last, so that nothing is taken away
   before its successor has a place. One that looks renamed is asked about.
6. *Gates*: what people suspended or froze; then starts whose address is up elsewhere, and what waits for what it depends on, or
   for its turn in a rollout; then budgets, then the fuse, which looks at what is left. A manifest's own consents were asked for in 3.
"""

from qlop.model.plan import Plan, PlanInput
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import (
    adoption,
    advice,
    bad,
    birth,
    bulk,
    collision,
    dependency,
    fuse,
    gates,
    orphan,
    present,
    release,
    renamed,
    rollout,
    stranger,
    suspend,
    unread,
    unsettled,
)
from qlop.planner.draft import Draft
from qlop.planner.step import place_of


def plan(source: PlanInput) -> Plan:
    """Return what brings the observed cluster to the desired one.

    Total and deterministic: no state of the world makes it raise, equal inputs give
    equal plans, in whatever order they are listed.
    """
    draft = Draft(source)
    draft.capacity.left = bulk.leaving(source.observed, source.now)
    blocked = _world_hold(source)
    if blocked is not None:
        for name, guest in source.desired.guests.items():
            owned = draft.ownership.owned.get(place_of(guest))
            draft.conclude(name, owned.vmid if owned is not None else None, blocked)
        return draft.frozen(stranger.unmanaged(draft), unread.unknown(draft))
    missing = []
    wanted = [source.desired.guests[name] for name in sorted(source.desired.guests)]
    settled = [want for want in wanted if not unsettled.hold(draft, want.name, place_of(want))]
    for want in settled:
        owned = draft.ownership.owned.get(place_of(want))
        if owned is None:
            missing.append(want)
        elif not release.plan_guest(draft, want.name, place_of(want), owned):
            present.plan_guest(draft, want, owned)
    if missing:
        missing = adoption.plan_guests(draft, missing)
    for want in sorted(missing, key=lambda one: (-one.memory_bytes, one.service, one.index)):
        birth.plan_guest(draft, want)
    advice.suggest_adoption(draft, missing)
    bad.spare_others(draft)
    orphan.plan_orphans(draft)
    renamed.ask(draft)
    unsettled.hold_rest(draft)
    unread.hold_orphans(draft)
    suspend.hold_suspended(draft)
    strikes = fuse.wave(draft)
    collision.keep_apart(draft)
    dependency.keep_dependencies(draft)
    rollout.keep_order(draft)
    gates.keep_budgets(draft)
    fuse.blow(draft, strikes)
    return draft.frozen(stranger.unmanaged(draft), unread.unknown(draft))


def _world_hold(source: PlanInput) -> Held | None:
    observed = source.observed
    if isinstance(observed.quorate, Known) and not observed.quorate.value:
        return Held(
            reason=Hold.NO_QUORUM,
            message="the cluster has no quorum: PVE refuses every change",
            remedy="bring nodes back until more than half of the votes are there",
        )
    if not isinstance(observed.quorate, Known) or not observed.complete:
        gaps = "; ".join(observed.gaps) or "the listing of guests was not answered"
        return Held(
            reason=Hold.OBSERVATION_INCOMPLETE,
            message=f"the cluster could not be seen whole: {gaps}",
            remedy="see that an API endpoint answers; qlop looks again every cycle",
        )
    return None
