"""A cycle is quiet only if nothing could make another plan of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.desired import EmptySource, Placement
from qlop.model.history import History
from qlop.model.observed import Observed
from qlop.model.plan import Plan, PlanInput
from qlop.model.reading import Unknown
from qlop.planner import planner
from qlop.planner.quiet import is_quiet
from tests import builders as b
from tests.planner.test_present import task

SOURCE = b.plan_input(
    b.desired(b.desired_guest()), b.observed(b.guest(), tasks=(task("x", "OK"),))
)
PLAN = planner.plan(SOURCE)
LATER = SOURCE.now + timedelta(hours=5)
BUSY_NODES = {
    name: replace(node, memory_used_bytes=7) for name, node in SOURCE.observed.nodes.items()
}
FULLER_STORES = {
    key: replace(store, used_bytes=7) for key, store in SOURCE.observed.storages.items()
}


def seeing(**changes: object) -> PlanInput:
    observed = replace(SOURCE.observed, taken_at=LATER, **changes)  # type: ignore[arg-type]
    return replace(SOURCE, observed=observed, now=LATER)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(SOURCE, id="the-same"),
        pytest.param(seeing(), id="only-later"),
        pytest.param(seeing(nodes=BUSY_NODES), id="nodes-are-busier"),
        pytest.param(seeing(storages=FULLER_STORES), id="storages-are-fuller"),
        pytest.param(seeing(tasks=()), id="a-task-that-is-over-is-forgotten"),
    ],
)
def test_quiet(now: PlanInput) -> None:
    assert is_quiet(SOURCE, PLAN, now)


def _without(observed: Observed) -> Observed:
    return replace(observed, guests=dict(observed.guests))


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(replace(SOURCE, observed=_without(SOURCE.observed)), id="guests-read-anew"),
        pytest.param(
            replace(SOURCE, desired=b.desired(b.desired_guest())), id="manifests-read-anew"
        ),
        pytest.param(replace(SOURCE, history=History()), id="something-was-journalled"),
        pytest.param(seeing(complete=False), id="listing-cut"),
        pytest.param(seeing(quorate=Unknown("x")), id="quorum-not-seen"),
        pytest.param(seeing(gaps=("x",)), id="gaps"),
        pytest.param(seeing(tasks=(task(),)), id="a-task-runs"),
        pytest.param(seeing(nodes={b.PVE1: b.node(b.PVE1, online=False)}), id="nodes-come-and-go"),
        pytest.param(
            seeing(nodes={n: b.node(n, maintenance=True) for n in b.NODES}), id="maintenance"
        ),
        pytest.param(seeing(storages={}), id="storages-come-and-go"),
    ],
)
def test_not_quiet(now: PlanInput) -> None:
    assert not is_quiet(SOURCE, PLAN, now)


def planned_of(source: PlanInput) -> Plan:
    return planner.plan(source)


def test_a_plan_with_actions_is_never_quiet() -> None:
    source = b.plan_input(b.desired(b.desired_guest()), b.observed())

    assert not is_quiet(source, planned_of(source), source)


def test_a_plan_that_looked_for_room_is_never_quiet() -> None:
    nowhere = b.desired_guest(source=EmptySource(), placement=Placement(allowed=frozenset()))
    full = b.desired_guest(source=EmptySource(), memory_bytes=2**50)

    for want, quiet in ((nowhere, True), (full, False)):
        source = b.plan_input(b.desired(want), b.observed())
        plan = planned_of(source)
        assert plan.actions == ()
        assert is_quiet(source, plan, source) is quiet


@pytest.mark.parametrize(("after_s", "quiet"), [(9, True), (10, False)])
def test_a_plan_that_waits_is_quiet_until_its_time_has_come(after_s: int, *, quiet: bool) -> None:
    plan = replace(PLAN, reconsider_at=SOURCE.now + timedelta(seconds=10))
    now = replace(SOURCE, now=SOURCE.now + timedelta(seconds=after_s))

    assert is_quiet(SOURCE, plan, now) is quiet
