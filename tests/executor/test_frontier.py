"""Which actions of a plan may start at once."""

import pytest

from qlop.executor.frontier import frontier, places
from qlop.model.action import Verb
from qlop.model.ids import ActionId, GuestName
from qlop.model.plan import PlannedAction
from qlop.model.policy import Limits
from tests.executor.planned import plan_of, planned


def on(
    name: str, *takes: str, verb: Verb = Verb.START, after: tuple[ActionId, ...] = ()
) -> PlannedAction:
    return planned(verb, name, takes=takes, after=after)


A, B, C = on("a", "node:pve1"), on("b", "node:pve1"), on("c", "node:pve1")
CLONE = on("d", "node:pve1", "storage:nas", verb=Verb.CLONE)
LATER = on("d", verb=Verb.CONFIGURE, after=(CLONE.id,))


def started(
    *actions: PlannedAction,
    busy: tuple[str, ...] = (),
    taken: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> tuple[PlannedAction, ...]:
    return frontier(
        plan_of(*actions),
        busy={GuestName(name) for name in busy},
        taken=taken,
        underway=len(busy),
        limits=limits or Limits(),
    )


TWO = Limits(node=2)
CASES = [
    pytest.param(started(A, B), (A, B), id="independent-guests-start-together"),
    pytest.param(started(A, on("a", verb=Verb.REBOOT)), (A,), id="one-action-per-guest"),
    pytest.param(started(A, B, busy=("a",)), (B,), id="a-busy-guest-waits"),
    pytest.param(started(CLONE, LATER), (CLONE,), id="what-comes-after-waits"),
    pytest.param(started(LATER), (LATER,), id="what-is-not-of-this-plan-is-done"),
    pytest.param(started(A, B, C, limits=TWO), (A, B), id="the-plan-s-order-is-the-priority"),
    pytest.param(
        started(A, B, taken=("node:pve1",), limits=TWO), (A,), id="running-actions-take-places"
    ),
    pytest.param(
        started(CLONE, on("e", "storage:nas"), on("f", "storage:local")),
        (CLONE, on("f", "storage:local")),
        id="a-full-queue-holds-up-only-who-stands-in-it",
    ),
    pytest.param(
        started(CLONE, A, taken=("storage:nas",), limits=Limits(node=1)),
        (A,),
        id="who-waits-holds-no-other-place",
    ),
    pytest.param(
        started(A, B, busy=("x", "y"), limits=Limits(cluster=3)),
        (A,),
        id="the-cluster-has-a-limit",
    ),
    pytest.param(
        started(A, busy=("x", "y"), limits=Limits(cluster=1)), (), id="more-than-the-limit"
    ),
    pytest.param(started(), (), id="an-empty-plan"),
]


@pytest.mark.parametrize(("chosen", "expected"), CASES)
def test_frontier(chosen: tuple[PlannedAction, ...], expected: tuple[PlannedAction, ...]) -> None:
    assert chosen == expected


@pytest.mark.parametrize(
    ("queue", "count"),
    [("node:pve1", 6), ("migration:pve1", 2), ("storage:lvm@pve1", 1), ("moon:full", 1)],
)
def test_places(queue: str, count: int) -> None:
    assert places(queue, Limits()) == count
