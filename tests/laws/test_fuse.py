"""Fuse: a plan that would take away too much at once is not carried out at all."""

import pytest
from hypothesis import given

from qlop.model.action import DestroyGuest, MigrateGuest, MigrationMode, RebootGuest, ShutdownGuest
from qlop.model.plan import Plan
from qlop.model.verdict import Held, Hold
from qlop.planner import planner
from tests.laws.reach import MORE, Reach, reaching
from tests.laws.test_owned_only import is_ours
from tests.laws.world import limit_of, run
from tests.strategies import World, worlds

REACH = Reach()


def check(world: World, plan: Plan) -> None:
    """Check that no more are struck than the fuse allows, and nobody if it is blown."""
    struck = {
        planned.action.vmid
        for planned in plan.actions
        if isinstance(planned.action, DestroyGuest | ShutdownGuest | RebootGuest)
        or (
            isinstance(planned.action, MigrateGuest)
            and planned.action.mode is MigrationMode.RESTART
        )
    }
    fuse = world.desired.cluster.policy.fuse
    owned = sum(is_ours(guest, world) for guest in world.observed.guests.values())
    blown = [
        one
        for one in plan.verdicts.values()
        if isinstance(one.verdict, Held) and one.verdict.reason is Hold.FUSE
    ]

    assert len(struck) <= max(fuse.guests, int(fuse.share * owned))
    assert not (blown and plan.actions)
    REACH.note("struck", when=bool(struck))
    REACH.note("blown", when=bool(blown))


@pytest.mark.slow  # draws three times as many worlds as others
@pytest.mark.timeout(120)
@reaching(REACH, struck=2, blown=1)
@given(worlds())
@MORE
def test_no_plan_strikes_more_than_the_fuse_allows(world: World) -> None:
    REACH.note("drawn")
    check(world, planner.plan(world.source))


@given(worlds())
def test_at_every_step(world: World) -> None:
    for stage in run(world, at_most=limit_of(world)):
        check(stage.world, stage.plan)
