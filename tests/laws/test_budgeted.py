"""Budgeted: of a service, on a node, in the cluster no more are down than may be, ever."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.action import (
    Action,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    ShutdownGuest,
    verb_of,
)
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.history import Ending
from qlop.model.ids import NodeName, ServiceName
from qlop.model.impact import Impact
from qlop.model.plan import PlannedAction
from qlop.model.reading import Known
from qlop.planner import planner
from tests.laws.crowds import Place, Time, crowds
from tests.laws.crowds import takes_down as downs
from tests.laws.reach import MORE, Reach, reaching
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
            if stage.done.index in before:
                continue  # It is down already, and is moved, say, before it starts.
            assert len(before | {stage.done.index}) <= service.update.max_unavailable, verb_of(
                stage.done.action
            )


REACH = Reach()


@dataclass(slots=True)
class Away:
    """Who should run and is of no use, or may not be; and who of them is only ill."""

    places: dict[Place, NodeName | None]
    ill: set[Place]
    """Those of them that run all the same; one of a service at a time may be cured."""
    starting: set[ServiceName]
    """Services of which it is not known of one how it is."""

    def within(self, *, service: str | None = None, node: NodeName | None = None) -> int:
        return sum(
            service in {None, place[0]} and node in {None, where}
            for place, where in self.places.items()
        )


def away(time: Time) -> Away:
    """Told from what is seen and what is under way, by the words of the law."""
    owned, world = time.owned(), time.world
    found = Away({}, set(), set())
    for want in world.desired.guests.values():
        place = (want.service, want.index)
        guest = owned.get(place)
        if want.power is not Power.RUNNING:
            continue
        health = world.observed.health.get(guest.vmid) if guest is not None else None
        condition = health.condition if health is not None else Condition.HEALTHY
        works = guest is not None and guest.power is Power.RUNNING and want.name not in time.flying
        if not works or condition is not Condition.HEALTHY:
            found.places[place] = guest.node if guest is not None else None
        if works and condition is Condition.UNHEALTHY:
            found.ill.add(place)
        if works and condition is Condition.UNKNOWN:
            found.starting.add(want.service)
    return found


def check_taken(time: Time, taken: Sequence[PlannedAction]) -> None:
    """Check that these may be taken down, all at once."""
    desired, out, owned = time.world.desired, away(time), time.owned()
    budget = desired.cluster.policy.budget
    busy = {one.service for one, _ in time.flying.values() if at_stake(time, one)}
    ill: Counter[ServiceName] = Counter()
    bound = []
    for planned in taken:
        place = (planned.service, planned.index)
        if place in out.ill:
            ill[planned.service] += 1
            if ill[planned.service] > 1 or planned.service in busy | out.starting:
                bound.append(place)
        elif place not in out.places:
            bound.append(place)
    for place in bound:
        out.places[place] = owned[place].node
    for service in {place[0] for place in bound}:
        limit = desired.services[service].update.max_unavailable
        assert out.within(service=service) <= limit, f"of {service}"
    if bound and budget.cluster is not None:
        assert out.within() <= budget.cluster, "in the cluster"
    for node in {owned[place].node for place in bound} if budget.node is not None else ():
        assert out.within(node=node) <= (budget.node or 0), f"on {node}"
    well = [place for place in bound if place not in out.ill]
    REACH.note("well", when=bool(well))
    REACH.note("ill", when=bool(ill))
    REACH.note("others", when=bool(well) and len(out.places) > len(well))


def takes_down_now(planned: PlannedAction) -> bool:
    return downs(planned.action)


def at_stake(time: Time, planned: PlannedAction) -> bool:
    want = time.world.desired.guests.get(planned.action.subject)
    return want is not None and want.power is Power.RUNNING and takes_down_now(planned)


@pytest.mark.slow  # draws three times as many worlds as others
@pytest.mark.timeout(120)
@reaching(REACH, well=2, ill=1, others=1)
@given(crowds())
@MORE
def test_no_plan_takes_down_more_than_any_budget_allows(world: World) -> None:
    REACH.note("drawn")
    time = Time(world)
    taken = [one for one in time.plan().actions if at_stake(time, one)]
    check_taken(time, list({one.action.subject: one for one in taken}.values()))


ALONG = Reach()


@pytest.mark.slow  # makes a dozen plans of each world
@pytest.mark.timeout(120)
@reaching(ALONG, crowded=10)
@given(crowds(), st.data())
def test_whatever_happens_meanwhile_no_more_are_taken_down(
    world: World, data: st.DataObject
) -> None:
    """Actions begin and end in any order; guests fall ill, die and come back between them."""
    ALONG.note("drawn")
    time, most = Time(world), 0
    for _ in range(data.draw(st.integers(4, 16))):
        plan = time.plan()
        ready, flying = time.ready(plan), sorted(time.flying)
        what = data.draw(st.sampled_from(["begin", "begin", "begin", "end", "befall"]))
        if what == "begin" and ready:
            planned = data.draw(st.sampled_from(ready))
            if at_stake(time, planned):
                check_taken(time, [planned])
            time.begin(planned, is_listed=data.draw(st.booleans()))
        elif what == "end" and flying:
            ending = data.draw(st.sampled_from([Ending.SUCCEEDED, Ending.FAILED]))
            time.end(data.draw(st.sampled_from(flying)), ending)
        elif owned := sorted(
            guest.vmid for guest in time.owned().values() if guest.name not in time.flying
        ):
            condition = data.draw(st.sampled_from([None, *Condition]))
            power = data.draw(st.sampled_from([Power.RUNNING, Power.RUNNING, Power.STOPPED]))
            time.befall(data.draw(st.sampled_from(owned)), condition, power)
        most = max(most, len(time.flying))
    ALONG.note("crowded", when=most > 1)
