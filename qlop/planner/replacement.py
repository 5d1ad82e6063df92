"""Replace a guest by one that is built anew, and hand its persistent disks over.

It begins with a mark on the guest that it gives way, for which consent is asked; from then
on the cluster itself says how far it came, whatever becomes of the journal. Then the heir
is made, beside the guest and without its disks. Then, stop-first, the guest is shut down,
each persistent disk is handed over, and the heir started; start-first, the heir is started,
and the guest shut down when that is healthy (``former``).

At each point each disk is in exactly one guest, and the guest is only left alone, never
destroyed: that is for later, by the rules for what is given up.
"""

from dataclasses import replace

from qlop.model.action import ConfigureGuest, HandOverDisk, ReplaceGuest, StartGuest
from qlop.model.build import build_of, build_text
from qlop.model.consent import FREE, REPLACE, Consent
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.history import EXPECTS_COMPLETION, EXPECTS_DIGEST
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.owner import OwnerMark, signed_description, strip_mark
from qlop.model.reading import Known
from qlop.model.rollout import Order
from qlop.model.verdict import Held
from qlop.planner import bad, birth, consent, obstacle, power, rebuild
from qlop.planner.capacity import promised_bytes
from qlop.planner.config import change_of
from qlop.planner.draft import Draft
from qlop.planner.ownership import carried
from qlop.planner.rebuild import Rebuild
from qlop.planner.step import Step, Steps, action_id, beside, place_of, premise_of


def plan_replacement(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> Steps | None:
    """Return what a replacement asks for now; None if there is none, or it only waits.

    See ``waiting`` for what it waits for.
    """
    heir = draft.ownership.heirs.get(place_of(want))
    if heir is not None:
        return _go_on(draft, want, guest, have, heir)
    mark = _mark(have)
    why = _why(draft, want, guest, have)
    if why is None:
        return Steps(steps=(_taken_back(want, guest, have),)) if mark.yields else None
    if not _is_agreed(mark, want, guest, have):
        return None
    return _build(draft, want, guest, have)


def waiting(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> Steps | None:
    """Return the beginning of a replacement, or why it waits; None if there is none due."""
    why = _why(draft, want, guest, have)
    if why is None:
        return None
    reason = rebuild.reason_text(why, guest.vmid, want, guest, have)
    held = obstacle.to_begin(draft, want, guest, have, reason)
    if held is not None:
        return Steps(held=held)
    step = _signing(want, guest, have, why, reason)
    step = replace(step, disrupts=_order(draft, want) is Order.STOP_FIRST)
    judged = consent.judged(draft, want, step, want.consents.of(REPLACE, step.impact))
    if not judged.steps:
        return judged
    rest = _build(draft, want, guest, have)
    if not rest.steps:
        return rest
    return Steps(steps=(*judged.steps, *rest.steps))


def without_cause(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> DesiredGuest:
    """Return what is wanted of a guest as long as it is not replaced."""
    why = _why(draft, want, guest, have)
    if why is None:
        return want
    kept = {key: value for key, value in want.options.items() if key not in why.options}
    return replace(want, options=kept)


def first_start(draft: Draft, want: DesiredGuest, step: Step) -> Step:
    """Return the start of a guest, after that the one whose place it took is down."""
    formers = draft.ownership.formers.get(place_of(want), ())
    if not formers or step.premise is None or not isinstance(step.action, StartGuest):
        return step
    older = beside(formers[-1])
    return replace(
        step,
        premise=replace(step.premise, beside=older),
        expects={**step.expects, EXPECTS_COMPLETION: str(older.vmid)},
    )


def _why(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> Rebuild | None:
    return rebuild.reason_for(want, guest, have, draft.templates)


def _is_agreed(
    mark: OwnerMark, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> bool:
    """Return whether a guest was signed as giving way to exactly what is wanted now."""
    kept = rebuild.carries(want, guest, have)
    return mark.yields == build_of(want.source) and mark.carries == kept


def _signing(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, why: Rebuild, reason: str
) -> Step:
    boots = have.options.get("onboot") == "1"
    mark = replace(
        _mark(have),
        yields=build_of(want.source),
        carries=rebuild.carries(want, guest, have),
        boots=boots or _mark(have).boots,
    )
    action = ReplaceGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
        digest=have.digest,
        build=mark.yields,
        carries=mark.carries,
        writes=_signed(have, mark) | ({"onboot": "0"} if boots else {}),
    )
    return Step(
        action=action,
        reason=reason,
        impact=max(change.impact for change in why.changes),
        premise=premise_of(have),
        takes=(f"node:{guest.node}",),
        expects={EXPECTS_DIGEST: have.digest},
        changes=why.changes,
    )


def _taken_back(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Step:
    """Return the write after which a guest no longer gives way."""
    mark = _mark(have)
    boots = mark.boots and have.options.get("onboot", "0") == "0"
    plain = replace(mark, yields="", carries=(), boots=False)
    action = ConfigureGuest(
        subject=want.name,
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
        digest=have.digest,
        set=_signed(have, plain) | ({"onboot": "1"} if boots else {}),
    )
    changes = [change_of(consent.OWNER_MARK, f"yields={mark.yields}", "", Impact.NONE)]
    if boots:
        changes.append(change_of("onboot", "0", "1", Impact.NONE))
    return Step(
        action=action,
        reason="its manifest no longer asks for another one in its place",
        impact=Impact.NONE,
        premise=premise_of(have),
        takes=(f"node:{guest.node}",),
        expects={EXPECTS_DIGEST: have.digest},
        changes=tuple(changes),
    )


def _build(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    """Return how the heir is made, and all that follows."""
    kept = rebuild.carries(want, guest, have)
    bare = _bare(want, kept)
    if _order(draft, want) is Order.STOP_FIRST:
        draft.capacity.vacate(guest.node, want.service, promised_bytes(guest, want))
    made = birth.creation(
        draft,
        bare,
        generation=_mark(have).generation + 1,
        reason=f"it takes the place of {guest.vmid}",
        only_on=guest.node if kept else None,
    )
    if not made.steps:
        return made
    if _order(draft, want) is Order.START_FIRST:
        return made
    if made.held is not None:  # The guest runs until the heir has what it needs.
        return made
    steps = [step for step in made.steps if not isinstance(step.action, StartGuest)]
    first = made.steps[0].action
    down = _down(draft, want, guest, have)
    if down.held is not None:
        return Steps(steps=tuple(steps), held=down.held)
    target = getattr(first, "target", first.node)
    heir = replace(guest, vmid=first.vmid, kind=want.kind, node=target)
    handed = [_handing(want, guest, have, slot, heir, premised=False) for slot in kept]
    start = _start(want, heir, None)
    return Steps(steps=(*steps, *down.steps, *handed, *start))


def _bare(want: DesiredGuest, missing: tuple[str, ...]) -> DesiredGuest:
    """Return what an heir is to be until it is in charge.

    Without the disks that it has yet to get, and not started with its node, whatever its
    template says: that would be without them, and beside the guest that is in charge.
    """
    options = {**want.options, "onboot": "0"}
    disks = tuple(one for one in want.disks if one.slot not in missing)
    return replace(want, disks=disks, options=options)


def _go_on(
    draft: Draft,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    heir: ObservedGuest,
) -> Steps:
    """Return what is left to do now that the heir is there."""
    assert isinstance(heir.config, Known), "ownership is proven by the configuration"
    ready = heir.config.value
    held = obstacle.to_go_on(draft, guest, have, heir)
    if held is None:
        held = obstacle.lost(want, heir, guest)
        if held is not None:
            draft.unsure.add(heir.vmid)
    why = _why(draft, want, heir, ready)
    if held is None and why is not None:
        held = obstacle.other_wish(guest, heir, why)
    if held is None and set(carried(guest)) == set(_mark(have).carries):
        held = bad.hold(draft, want)  # Once a disk has gone over, going on is the shorter way.
    if held is not None:
        return _kept_up(draft, want, guest, have, held)
    left = carried(guest)
    bare = replace(_bare(want, left), consents=FREE)
    writes = consent.plan_writes(draft, bare, heir, ready)
    if writes.holds:
        return _kept_up(draft, want, guest, have, writes.holds[0])
    written = tuple(_relying_on(guest, step) for step in writes.steps)
    if _order(draft, want) is Order.START_FIRST and not left:
        return Steps(steps=(*written, *_start(want, heir, ready)))
    down = _down(draft, want, guest, have)
    handed = [_handing(want, guest, have, slot, heir, premised=True) for slot in left]
    start = _start(want, heir, ready)
    torn = _torn(draft, handed)
    if torn is not None:
        return Steps(held=torn)
    if down.held is not None:
        return Steps(steps=written, held=down.held)
    return Steps(steps=(*written, *down.steps, *handed, *start))


def _relying_on(guest: ObservedGuest, step: Step) -> Step:
    """Return a write to the heir, provided that the guest is still in charge.

    The cluster's listing is up to ten seconds old: the guest may have given way since, and
    what an heir is to be is not what it is to be then.
    """
    assert step.premise is not None, "the heir is there"
    power = guest.power if guest.power is not Power.UNKNOWN else None
    return replace(step, premise=replace(step.premise, beside=beside(guest, power)))


def _torn(draft: Draft, handed: list[Step]) -> Held | None:
    """Return the hold of a disk whose volume PVE has renamed, and no more than that."""
    for step in handed:
        failure = draft.source.history.failures.get(action_id(step.action))
        if failure is not None and isinstance(step.action, HandOverDisk):
            held = obstacle.torn(step.action, failure.message)
            if held is not None:
                return held
    return None


def _kept_up(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, held: Held
) -> Steps:
    """Return the start of a guest that is to give way and can't yet, if it has all its disks."""
    mark = _mark(have)
    has_all = set(carried(guest)) == set(mark.carries)
    heir = draft.ownership.heirs.get(place_of(want))
    if not has_all or heir is None or heir.power is not Power.STOPPED:
        return Steps(held=held)
    if guest.kind is not want.kind or guest.power is not Power.STOPPED:
        return Steps(held=held)
    powered = power.plan_power(want, guest, have)
    steps = tuple(
        replace(step, premise=replace(step.premise, beside=beside(heir)))
        for step in powered.steps
        if step.premise is not None
    )
    return Steps(steps=steps, held=held)


def _down(draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Steps:
    """Return the shutdown of a guest that gives way, if it runs.

    Consent was given with the mark; where that depends on a window, one has to be open now.
    """
    if guest.power is Power.STOPPED:
        return Steps()
    stopped = replace(want, power=Power.STOPPED, kind=guest.kind)
    downed = power.plan_power(stopped, guest, have)
    if not downed.steps:
        return downed
    step = replace(downed.steps[0], reason=f"it gives way to {_heir_text(draft, want)}")
    said = want.consents.of(REPLACE, step.impact)
    return consent.judged(
        draft, want, step, Consent.WINDOW if said is Consent.WINDOW else Consent.DO
    )


def _heir_text(draft: Draft, want: DesiredGuest) -> str:
    heir = draft.ownership.heirs.get(place_of(want))
    new = build_text(build_of(want.source))
    return f"{heir.vmid}, built from {new}" if heir is not None else f"one built from {new}"


def _handing(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    slot: str,
    heir: ObservedGuest,
    *,
    premised: bool,
) -> Step:
    """Return the handing over of one disk; ``premised`` if the heir is there already."""
    action = HandOverDisk(
        subject=want.name,
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
        slot=slot,
        heir=heir.vmid,
        digest="",
    )
    premise = premise_of(have, Power.STOPPED)
    return Step(
        action=action,
        reason=f"{heir.vmid} takes its place, and {slot} is persistent",
        impact=Impact.NONE,
        premise=replace(premise, beside=beside(heir)) if premised else premise,
        takes=(f"node:{guest.node}",),
    )


def _start(want: DesiredGuest, heir: ObservedGuest, ready: GuestConfig | None) -> tuple[Step, ...]:
    """Return the start of the heir; its configuration is None while it is not made."""
    if want.power is not Power.RUNNING:
        return ()
    action = StartGuest(subject=want.name, vmid=heir.vmid, kind=want.kind, node=heir.node)
    return (
        Step(
            action=action,
            reason="it should be running",
            impact=Impact.HOT,
            premise=None if ready is None else premise_of(ready, Power.STOPPED),
            takes=(f"node:{heir.node}",),
            expects={EXPECTS_COMPLETION: "heir"},
        ),
    )


def _order(draft: Draft, want: DesiredGuest) -> Order:
    return draft.source.desired.services[want.service].update.order


def _mark(have: GuestConfig) -> OwnerMark:
    assert have.mark is not None, "only owned guests are replaced"
    return have.mark


def _signed(have: GuestConfig, mark: OwnerMark) -> dict[str, str]:
    text = have.options.get("description", "")
    assert isinstance(text, str), "a description is no property string"
    return {"description": signed_description(strip_mark(text), mark)}
