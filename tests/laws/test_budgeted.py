"""Budgeted: of one service no more are down at once than may be, whatever the cause."""

from hypothesis import given

from qlop.model.action import (
    Action,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    ShutdownGuest,
    verb_of,
)
from qlop.model.guest import Power
from qlop.model.ids import ServiceName
from qlop.model.impact import Impact
from qlop.model.plan import PlannedAction
from qlop.model.reading import Known
from qlop.planner import planner
from tests.laws.test_owned_only import is_ours
from tests.laws.world import limit_of, run
from tests.strategies import World, calm_worlds, worlds


def takes_down(planned: PlannedAction) -> bool:
    action: Action = planned.action
    if isinstance(action, MigrateGuest):
        return action.mode is MigrationMode.RESTART
    return isinstance(action, ShutdownGuest | RebootGuest) or planned.impact is Impact.DOWNTIME


def down(world: World, service: ServiceName) -> set[int]:
    """The guests that should run and of which it is not certain that they do."""
    wanted = {
        guest.index
        for guest in world.desired.guests.values()
        if guest.service == service and guest.power is Power.RUNNING
    }
    return wanted - up(world, service)


def up(world: World, service: ServiceName) -> set[int]:
    found = set()
    for guest in world.observed.guests.values():
        if guest.power is Power.RUNNING and is_ours(guest, world):
            assert isinstance(guest.config, Known)
            mark = guest.config.value.mark
            assert mark is not None
            if mark.service == service:
                found.add(mark.index)
    return found


def wanted_running(world: World, planned: PlannedAction) -> bool:
    want = world.desired.guests.get(planned.action.subject)
    return want is not None and want.power is Power.RUNNING


@given(worlds())
def test_no_plan_takes_down_more_than_is_left_of_the_budget(world: World) -> None:
    plan = planner.plan(world.source)
    for name, service in world.desired.services.items():
        taken = {
            planned.index
            for planned in plan.actions
            if planned.service == name and takes_down(planned) and wanted_running(world, planned)
        }
        before = down(world, name)
        if taken - before:
            assert len(taken | before) <= service.update.max_unavailable


@given(calm_worlds())
def test_at_every_step(world: World) -> None:
    for stage in run(world, at_most=limit_of(world)):
        if stage.done is None or not takes_down(stage.done):
            continue
        if wanted_running(stage.world, stage.done):
            service = stage.world.desired.services[stage.done.service]
            before = down(stage.world, stage.done.service)
            assert len(before | {stage.done.index}) <= service.update.max_unavailable, verb_of(
                stage.done.action
            )
