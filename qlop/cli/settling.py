"""Decide when ``apply`` is over, and how it ended."""

from collections.abc import Collection
from datetime import timedelta
from enum import Enum
from typing import Final

from qlop.controller.cycle import CycleResult
from qlop.model.finding import Severity
from qlop.model.ids import GuestName
from qlop.model.status import SubjectStatus
from qlop.model.verdict import Hold
from qlop.render.status import held_of

FAILURES_MAX = 3
"""An action that failed so often in a row is not going to succeed by itself."""
PATIENCE = timedelta(seconds=90)
"""How long to wait, with nothing under way, for what should pass by itself: longer than a
guest without checks is given to come up (``readyAfter``, a minute)."""
_PASSING: Final = frozenset(
    {
        Hold.AMBIGUOUS,
        Hold.BACKOFF,
        Hold.BUDGET,
        Hold.CONFIG_UNREAD,
        Hold.DEPENDENCY,
        Hold.HEALTH_UNKNOWN,
        Hold.IN_FLIGHT,
        Hold.LOCKED,
        Hold.OBSERVATION_INCOMPLETE,
        Hold.POWER_UNKNOWN,
        Hold.ROLLOUT,
        Hold.TASK_RUNNING,
    }
)


class Settling(Enum):
    """Where an ``apply`` is."""

    WORKING = "working"
    CONVERGED = "converged"
    HELD = "held"
    FAILED = "failed"


def judge(result: CycleResult, *, quiet_for: timedelta) -> Settling:
    """Return where things are after ``result``, nothing having happened for ``quiet_for``."""
    if result.plan is None or result.source is None:
        hopeless = any(one.severity is Severity.ERROR for one in result.status.findings)
        return Settling.FAILED if hopeless or quiet_for >= PATIENCE else Settling.WORKING
    subjects = result.status.subjects
    if any(one.inflight is not None for one in subjects) or result.started:
        return Settling.WORKING
    if not result.source.observed.complete:
        return Settling.FAILED if quiet_for >= PATIENCE else Settling.WORKING
    if not result.plan.actions and all(one.is_ready for one in subjects):
        return Settling.CONVERGED
    if any(_is_watched(one) for one in subjects):
        return Settling.WORKING  # That has an end, and then the change stays or is undone.
    exhausted = exhausted_failures(result)
    waiting = [one for one in subjects if not one.is_ready and one.name not in exhausted]
    if any(_may_pass(one) for one in waiting) and quiet_for < PATIENCE:
        return Settling.WORKING
    if exhausted or any(held_of(one) is None for one in waiting):
        return Settling.FAILED
    return Settling.HELD


def may_go_on(
    result: CycleResult, *, besides: Collection[GuestName], quiet_for: timedelta
) -> bool:
    """Return whether there is something to wait for at other guests than ``besides``."""
    exhausted = exhausted_failures(result)
    waiting = [
        one
        for one in result.status.subjects
        if not one.is_ready and one.name not in besides and one.name not in exhausted
    ]
    if any(_is_watched(one) for one in waiting):
        return True
    holds = [held for one in waiting if (held := held_of(one)) is not None]
    return quiet_for < PATIENCE and any(held.reason in _PASSING for held in holds)


def exhausted_failures(result: CycleResult) -> dict[str, str]:
    """Return the guests whose action failed too often, and what PVE said last."""
    if result.source is None:
        return {}
    history = result.source.history
    return {
        action.partition("/")[0]: failure.message
        for action, failure in sorted([*history.unsent.items(), *history.failures.items()])
        if failure.count >= FAILURES_MAX
    }


def _may_pass(subject: SubjectStatus) -> bool:
    held = held_of(subject)
    return held is None or held.reason in _PASSING


def _is_watched(subject: SubjectStatus) -> bool:
    held = held_of(subject)
    return held is not None and held.reason is Hold.VERIFYING
