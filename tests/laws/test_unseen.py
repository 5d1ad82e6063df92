"""Unseen: what was read before an action ended is never held against its guest."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qlop.model.action import Verb
from qlop.model.history import Dispatched, Ending, Finished, Intended, JournalRecord
from qlop.model.ids import ActionId, GuestName, VmId
from qlop.model.plan import Plan, PlanInput
from qlop.model.reading import Known
from qlop.model.unseen import as_seen
from qlop.model.verdict import Held, Hold
from qlop.planner import planner
from qlop.planner.audit import audit
from tests import builders as b
from tests.strategies import World, worlds

ENDED = b.NOW + timedelta(seconds=1)
FINAL = (Ending.SUCCEEDED, Ending.FAILED, Ending.SUPERSEDED)
VERBS = tuple(verb for verb in Verb if verb not in {Verb.CREATE, Verb.CLONE})


@pytest.mark.timeout(60)  # It draws a world twice as often as it plans one.
@given(worlds(), st.sampled_from(VERBS), st.sampled_from(FINAL), st.data())
def test_nothing_is_done_to_or_written_of_it(
    world: World, verb: Verb, ending: Ending, data: st.DataObject
) -> None:
    subjects = sorted(_ours(world).items())
    assume(subjects)
    name, vmid = data.draw(st.sampled_from(subjects))
    life = _life(world, name, vmid, verb, ending)
    late = replace(world, records=(*world.records, *life)).source
    seen = replace(late, history=as_seen(late.history, world.observed.taken_at))

    plan = planner.plan(seen)

    assert audit(seen, plan) == ()
    assert name not in {planned.action.subject for planned in plan.actions}
    assert vmid not in {planned.action.vmid for planned in plan.actions}
    assert not [one for one in _written(plan) if one in {name, vmid}]
    assert _is_held(plan, seen, name), plan.verdicts[name]


def _ours(world: World) -> dict[GuestName, VmId]:
    """Guests that a manifest names, that carry the mark of that place, and that are idle."""
    flying = world.source.history.inflight.values()
    busy = {(one.intended.service, one.intended.index) for one in flying}
    names = {(want.service, want.index): name for name, want in world.desired.guests.items()}
    marks = [
        (guest.vmid, guest.config.value.mark)
        for guest in world.observed.guests.values()
        if isinstance(guest.config, Known)
    ]
    return {
        names[place]: vmid
        for vmid, mark in marks
        if mark is not None and (place := (mark.service, mark.index)) in names.keys() - busy
    }


def _life(
    world: World, name: GuestName, vmid: VmId, verb: Verb, ending: Ending
) -> tuple[JournalRecord, ...]:
    want = world.desired.guests[name]
    action = ActionId(f"{name}/{verb.value}/f00d")
    begun = replace(
        b.intended(verb, service=want.service, index=want.index, vmid=vmid),
        subject=name,
        action=action,
    )
    assert isinstance(begun, Intended)
    return (
        begun,
        Dispatched(at=b.NOW, action=action, attempt=1, upid=None),
        Finished(at=ENDED, action=action, attempt=1, ending=ending),
    )


def _written(plan: Plan) -> Iterator[str | int]:
    for one in plan.notices:
        yield one.subject if hasattr(one, "subject") else one.vmid
    for judged in plan.judgments:
        yield judged.subject


def _is_held(plan: Plan, source: PlanInput, name: GuestName) -> bool:
    """Where nothing at all was seen, that is the reason of everything."""
    verdict = plan.verdicts[name].verdict
    assert isinstance(verdict, Held)
    blind = not source.observed.complete or verdict.reason is Hold.NO_QUORUM
    return blind or verdict.reason is Hold.IN_FLIGHT
