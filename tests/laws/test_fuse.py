"""Fuse: a plan that would take away too much at once is not carried out at all."""

from hypothesis import given

from qlop.model.action import DestroyGuest, RebootGuest, ShutdownGuest
from qlop.model.verdict import Held, Hold
from qlop.planner import planner
from tests.laws.test_owned_only import is_ours
from tests.strategies import World, worlds


@given(worlds())
def test_no_plan_strikes_more_than_the_fuse_allows(world: World) -> None:
    plan = planner.plan(world.source)
    struck = {
        planned.action.vmid
        for planned in plan.actions
        if isinstance(planned.action, DestroyGuest | ShutdownGuest | RebootGuest)
    }
    fuse = world.desired.cluster.policy.fuse
    owned = sum(is_ours(guest, world) for guest in world.observed.guests.values())

    assert len(struck) <= max(fuse.guests, int(fuse.share * owned))


@given(worlds())
def test_a_blown_fuse_leaves_nothing(world: World) -> None:
    plan = planner.plan(world.source)
    blown = [
        one
        for one in plan.verdicts.values()
        if isinstance(one.verdict, Held) and one.verdict.reason is Hold.FUSE
    ]

    assert not (blown and plan.actions)
