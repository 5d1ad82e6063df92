"""No evidence, no destruction: on a partial view nothing is made, moved or destroyed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import CloneGuest, CreateGuest, DestroyGuest, MigrateGuest
from qlop.model.ids import VmId
from qlop.model.reading import Absent, Known, Reading, Unknown
from qlop.planner import planner
from tests import builders as b
from tests.planner import look
from tests.strategies import World, worlds

NO_QUORUM: list[Reading[bool]] = [Known(value=False), Unknown("no answer"), Absent()]


@given(worlds(), st.sampled_from(NO_QUORUM), st.booleans())
def test_without_quorum_nothing_is_done(
    world: World,
    quorate: Reading[bool],
    complete: bool,  # noqa: FBT001 - drawn
) -> None:
    half = replace(world, observed=replace(world.observed, quorate=quorate, complete=complete))

    assert planner.plan(half.source).actions == ()


@given(worlds())
def test_on_a_listing_that_was_cut_nothing_is_done(world: World) -> None:
    cut = replace(world, observed=replace(world.observed, complete=False))

    assert planner.plan(cut.source).actions == ()


@given(worlds(), st.data())
def test_while_any_guest_is_unread_none_is_made_moved_or_destroyed(
    world: World, data: st.DataObject
) -> None:
    guests = dict(world.observed.guests)
    vmid: VmId = data.draw(st.sampled_from(sorted(guests)))
    guests[vmid] = replace(guests[vmid], config=Unknown("no answer"))
    half = replace(world, observed=replace(world.observed, guests=guests))

    for planned in planner.plan(half.source).actions:
        assert not isinstance(
            planned.action, CreateGuest | CloneGuest | MigrateGuest | DestroyGuest
        )


@given(worlds())
def test_nothing_is_sent_to_a_node_that_is_not_there(world: World) -> None:
    online = {name for name, node in world.observed.nodes.items() if node.online}

    for planned in planner.plan(world.source).actions:
        action = planned.action
        targets = [action.target] if isinstance(action, CloneGuest | MigrateGuest) else []
        assert {action.node, *targets} <= online


@given(worlds())
def test_nothing_that_is_locked_or_busy_is_touched(world: World) -> None:
    busy = {
        task.vmid
        for task in world.observed.tasks
        if not task.exit_status and task.verb != "vncproxy"
    }
    flying = {one.intended.vmid for one in world.source.history.inflight.values()}

    for planned in planner.plan(world.source).actions:
        guest = world.observed.guests.get(planned.action.vmid)
        if guest is not None:
            assert guest.lock in {"", "suspended"}
            assert guest.vmid not in busy | flying


@pytest.mark.parametrize("gap", [(), ("pve2: no answer",)])
def test_a_gap_is_told(gap: tuple[str, ...]) -> None:
    want = b.desired(b.desired_guest())
    plan = look.plan_of(want, b.observed(complete=False, gaps=gap))

    assert (gap[0] if gap else "was not answered") in look.held(plan).message
