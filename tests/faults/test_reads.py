"""Every fault on each read that an action's life depends on: all laws hold.

Each read of each action meets a third of the faults, in turn, so that neighbors meet the
others; with the ``night`` profile each meets all of them.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from qlop.sim.faults import Effect, Fault, Match
from tests.faults.errands import Errand, all_errands
from tests.faults.trial import tried

READS = {
    "permissions": "GET /access/permissions",
    "resources": "GET /cluster/resources",
    "cluster-status": "GET /cluster/status",
    "tasks": "GET /cluster/tasks",
    "log": "GET /cluster/log",
    "config": "GET */config",
    "pending": "GET */pending",
    "power": "GET */status/current",
    "snapshots": "GET */snapshot",
    "task-status": "GET /nodes/*/tasks/*/status",
}
"""Listings of the observer, looks of guard and arrival, questions of the task watch."""

MISHAPS = (
    ("refused", Effect.REFUSE, 0.0, 1),
    ("595", Effect.CONNECT, 0.0, 1),
    ("596", Effect.PIPE, 0.0, 1),
    ("half", Effect.HALF, 0.0, 1),
    ("lost", Effect.LOSE, 0.0, 1),
    ("slow", Effect.SLOW, 50.0, 1),
    ("500 for a while", Effect.SERVER, 0.0, None),
    ("too slow for a while", Effect.SLOW, 70.0, None),
    ("node down", Effect.NODE_DOWN, 45.0, 1),
    ("node down again and again", Effect.NODE_DOWN, 20.0, 2),
    ("quorum lost", Effect.QUORUM_LOST, 45.0, 1),
    ("quorum lost for a while", Effect.QUORUM_LOST, 45.0, None),
    ("stale list", Effect.STALE, 45.0, 1),
    ("stale list for a while", Effect.STALE, 45.0, None),
)
"""What goes wrong, for how many seconds, how often (None: until it is disarmed)."""

DEADLY = 0.3
"""Seconds after which a task dies whose log can't be had."""


ALL_AT_ONCE = os.environ.get("HYPOTHESIS_PROFILE") == "night"
THIRDS = 3

ERRANDS = all_errands()


def mishaps(errand: Errand, read: str) -> Iterator[tuple[str, Effect, float, int | None]]:
    """Return the mishaps whose turn it is."""
    turn = ERRANDS.index(errand) + list(READS).index(read)
    for number, mishap in enumerate(MISHAPS):
        if ALL_AT_ONCE or number % THIRDS == turn % THIRDS:
            yield mishap


def cases() -> Iterator[tuple[Errand, str]]:
    """Return every action with every read."""
    for errand in ERRANDS:
        for read in READS:
            yield errand, read


@pytest.mark.parametrize(
    ("errand", "read"),
    [pytest.param(errand, read, id=f"{errand.id}-{read}") for errand, read in cases()],
)
def test_no_fault_of_a_read_makes_an_action_break_a_law(
    errand: Errand, read: str, tally: Counter[str]
) -> None:
    told = []
    for name, effect, seconds, times in mishaps(errand, read):
        fault = Fault(effect=effect, match=Match(route=READS[read]), times=times, seconds=seconds)
        tally["faults of reads"] += 1
        told += [
            f"{name}: {broken}"
            for broken in tried(errand, [fault], name=f"{errand.id} {read} {name}")
        ]

    assert not told, "\n".join(told)


@pytest.mark.parametrize("errand", [pytest.param(one, id=one.id) for one in ERRANDS if one.task])
def test_a_task_that_fails_and_whose_log_can_not_be_had(
    errand: Errand, tally: Counter[str]
) -> None:
    told = []
    for name, effect, seconds, _ in mishaps(errand, "task-status"):
        dies = Fault(effect=Effect.TASK, match=Match(task=errand.task), seconds=DEADLY)
        log = Match(route="GET /nodes/*/tasks/*/log")
        silent = Fault(effect=effect, match=log, times=None, seconds=seconds)
        tally["faults of reads"] += 1
        told += [
            f"{name}: {broken}"
            for broken in tried(errand, [dies, silent], name=f"{errand.id} log {name}")
        ]

    assert not told, "\n".join(told)
