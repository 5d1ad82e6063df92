"""Replay: wherever the journal is cut, no action in flight is begun a second time."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import CloneGuest, CreateGuest
from qlop.model.folding import fold
from qlop.planner import planner
from tests.laws.world import limit_of, run
from tests.strategies import World, calm_worlds


@given(calm_worlds(), st.data())
def test_cut_anywhere_no_guest_in_flight_is_touched(world: World, data: st.DataObject) -> None:
    """The world is as it is at the end; the journal may know less of it."""
    stages = list(run(world, at_most=limit_of(world)))
    records = stages[-1].world.records
    cut = data.draw(st.integers(0, len(records)))
    for stage in stages:
        killed = replace(stage.world, records=records[:cut])
        flying = fold(killed.records).inflight.values()
        busy = {one.intended.vmid for one in flying}

        for planned in planner.plan(killed.source).actions:
            assert planned.action.vmid not in busy


@given(calm_worlds())
def test_forgetting_all_of_the_journal_makes_no_second_guest(world: World) -> None:
    """Seals apart: a clone that was not sealed yet is ours only by the journal."""
    for stage in run(world, at_most=limit_of(world)):
        amnesiac = replace(stage.world, records=())
        there = {
            (guest.config.value.mark.service, guest.config.value.mark.index)  # type: ignore[union-attr]
            for guest in stage.world.observed.guests.values()
            if guest.config.value.mark is not None  # type: ignore[union-attr]
        }
        for planned in planner.plan(amnesiac.source).actions:
            if isinstance(planned.action, CreateGuest | CloneGuest):
                assert (planned.service, planned.index) not in there
