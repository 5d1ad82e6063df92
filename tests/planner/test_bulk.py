"""While a task of PVE's is at work on a whole node, its guests are left to that."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.guest import Power
from qlop.model.ids import NodeName, Upid
from qlop.model.observed import ObservedGuest, ObservedTask
from qlop.model.policy import Policy, Prune, Pruning
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

WANT = b.desired(b.desired_guest())
CHANGED = b.desired(b.desired_guest(options={"cores": "2"}))
STOPPING = Policy(prune=Pruning(mode=Prune.STOP))


def task(
    verb: str,
    *,
    ago_s: float = 30,
    ended_ago_s: float | None = None,
    node: NodeName = b.PVE1,
    user: str = "ani@pve",
) -> ObservedTask:
    ended = None if ended_ago_s is None else b.NOW - timedelta(seconds=ended_ago_s)
    return ObservedTask(
        upid=Upid(f"UPID:{node}:0001:0001:0001:{verb}::{user}:"),
        node=node,
        verb=verb,
        vmid=None,
        user=user,
        started_at=b.NOW - timedelta(seconds=ago_s),
        exit_status="" if ended is None else "OK",
        ended_at=ended,
    )


def stopped(*, onboot: bool = True) -> ObservedGuest:
    config = b.config(b.mark(), options={"onboot": "1"} if onboot else {})
    return b.guest(power=Power.STOPPED, config=config)


def answer(guest: ObservedGuest, *tasks: ObservedTask, uptime_s: int = 86_400) -> look.Answer:
    nodes = [replace(b.node(name), uptime_s=uptime_s) for name in b.NODES]
    return look.answer(look.plan_of(WANT, b.observed(guest, nodes=nodes, tasks=tasks)))


@pytest.mark.parametrize(
    "verb", ["stopall", "suspendall", "migrateall", "bulk-shutdown", "bulk-migrate"]
)
def test_guests_are_left_alone_while_they_are_taken_away(verb: str) -> None:
    guest = b.guest()

    plan = look.plan_of(CHANGED, b.observed(guest, tasks=(task(verb),)))

    assert look.held(plan).reason is Hold.TASK_RUNNING
    assert f"ani@pve runs {verb} since 07:59:30 UTC" in look.held(plan).message
    assert plan.actions == ()


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(task("stopall", node=b.PVE2), ("start",), id="of-another-node"),
        pytest.param(task("startall", ago_s=1801), ("start",), id="a-startall-that-hangs"),
        pytest.param(task("startall", ago_s=1799), Hold.TASK_RUNNING, id="a-startall"),
        pytest.param(
            task("stopall", ago_s=200, ended_ago_s=119), Hold.TASK_RUNNING, id="its-aftermath"
        ),
        pytest.param(task("stopall", ago_s=200, ended_ago_s=120), ("start",), id="long-over"),
        pytest.param(task("migrateall", ago_s=9, ended_ago_s=1), ("start",), id="moved-away"),
    ],
)
def test_a_stopped_guest_waits(other: ObservedTask, expected: look.Answer) -> None:
    assert answer(stopped(), other) == expected


def test_what_the_boot_does_not_start_is_started_at_once() -> None:
    assert answer(stopped(onboot=False), task("startall"), uptime_s=40) == ("start",)


@pytest.mark.parametrize(
    ("uptime_s", "tasks", "expected"),
    [
        pytest.param(40, (), Hold.TASK_RUNNING, id="it-has-not-begun"),
        pytest.param(359, (), Hold.TASK_RUNNING, id="it-may-be-set-to-begin-late"),
        pytest.param(360, (), ("start",), id="it-never-comes"),
        pytest.param(0, (), ("start",), id="nobody-knows-of-a-boot"),
        pytest.param(
            90, (task("startall", ago_s=60, ended_ago_s=5),), ("start",), id="it-is-over"
        ),
        pytest.param(
            90,
            (task("startall", ago_s=999, ended_ago_s=900),),
            Hold.TASK_RUNNING,
            id="that-was-an-earlier-boot",
        ),
    ],
)
def test_after_a_boot(
    uptime_s: int, tasks: tuple[ObservedTask, ...], expected: look.Answer
) -> None:
    assert answer(stopped(), *tasks, uptime_s=uptime_s) == expected


@pytest.mark.parametrize(
    ("tasks", "uptime_s", "after_s"),
    [
        pytest.param((), 40, 320, id="a-boot"),
        pytest.param((task("startall", ago_s=60),), 90, 1740, id="a-startall"),
        pytest.param((task("stopall", ago_s=99, ended_ago_s=20),), 9999, 100, id="a-stopall"),
    ],
)
def test_the_wait_has_an_end(
    tasks: tuple[ObservedTask, ...], uptime_s: int, after_s: float
) -> None:
    nodes = [replace(b.node(name), uptime_s=uptime_s) for name in b.NODES]

    plan = look.plan_of(WANT, b.observed(stopped(), nodes=nodes, tasks=tasks))

    assert plan.reconsider_at == b.NOW + timedelta(seconds=after_s)


def test_no_guest_is_brought_to_a_node_that_is_being_emptied() -> None:
    tasks = tuple(task("migrateall", node=name) for name in b.NODES)

    plan = look.plan_of(WANT, b.observed(tasks=tasks))

    assert look.held(plan).reason is Hold.NO_NODE
    assert "is being emptied, or shut down, by a task of PVE's" in look.held(plan).message


def test_an_orphan_is_left_alone_too() -> None:
    have = b.observed(b.guest(), tasks=(task("migrateall"),))

    plan = look.plan_of(b.desired(policy=STOPPING), have)

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.TASK_RUNNING
