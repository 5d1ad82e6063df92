"""Explained: whatever is not as its manifest says has a verdict with a reason.

Total and audit-clean besides: no state of the world makes the planner raise, and the
audit finds nothing in what it makes.
"""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.reading import Known
from qlop.model.verdict import Act, Converged, Held
from qlop.planner import planner
from qlop.planner.audit import audit
from tests.laws.test_owned_only import is_ours
from tests.strategies import World, worlds


@given(worlds())
def test_every_subject_has_a_verdict_with_a_reason(world: World) -> None:
    plan = planner.plan(world.source)
    planned_ids = [planned.id for planned in plan.actions]

    assert set(world.desired.guests) <= set(plan.verdicts)
    assert {planned.action.subject for planned in plan.actions} <= set(plan.verdicts)
    for name, subject in plan.verdicts.items():
        assert subject.subject == name
        match subject.verdict:
            case Act(actions=ids, held=held):
                mine = [one.id for one in plan.actions if one.action.subject == name]
                assert (list(ids), bool(ids)) == (mine, True)
                assert held is None or held.message
            case Held(message=message):
                assert message
                assert not [one for one in planned_ids if one.startswith(f"{name}/")]
            case Converged():
                assert not [one for one in planned_ids if one.startswith(f"{name}/")]


@given(worlds())
def test_every_guest_of_ours_is_accounted_for(world: World) -> None:
    plan = planner.plan(world.source)
    told = {subject.vmid for subject in plan.verdicts.values()}
    doubled = {
        word.strip(",")
        for subject in plan.verdicts.values()
        if isinstance(subject.verdict, Held)
        for word in subject.verdict.message.split()
    }
    for guest in world.observed.guests.values():
        if is_ours(guest, world) and isinstance(guest.config, Known):
            assert guest.vmid in told or str(guest.vmid) in doubled


@given(worlds())
def test_every_action_has_a_reason(world: World) -> None:
    for planned in planner.plan(world.source).actions:
        assert planned.reason
        assert planned.id.startswith(f"{planned.action.subject}/")
        assert all(change.field for change in planned.changes)


@given(worlds())
def test_the_audit_finds_nothing(world: World) -> None:
    source = world.source

    assert audit(source, planner.plan(source)) == ()


@given(worlds(), st.data())
def test_no_world_makes_the_planner_raise(world: World, data: st.DataObject) -> None:
    """Not even one with nodes, storages or templates taken out of it."""
    seen = world.observed
    names = data.draw(st.sets(st.sampled_from(sorted(seen.guests))))
    torn = replace(
        world,
        observed=replace(
            seen,
            guests={vmid: guest for vmid, guest in seen.guests.items() if vmid not in names},
            nodes={} if data.draw(st.booleans()) else seen.nodes,
            storages={} if data.draw(st.booleans()) else seen.storages,
        ),
    )

    plan = planner.plan(torn.source)

    assert set(torn.desired.guests) <= set(plan.verdicts)
