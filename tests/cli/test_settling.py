"""When an ``apply`` is over, and how it ended."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.cli import settling
from qlop.cli.settling import Settling
from qlop.controller.cycle import CycleResult
from qlop.model.finding import Finding, Severity
from qlop.model.history import Failure, History
from qlop.model.ids import ActionId
from qlop.model.verdict import Act, Converged, Held, Hold
from tests.cli.scripts import result, subject
from tests.render import worlds

GOOD = subject(Converged())
DOING = subject(Act(actions=(worlds.REBOOT.id,)))
NOTHING, LONG = timedelta(), timedelta(minutes=2)
BAD = Finding(severity=Severity.ERROR, code="x", message="x")


def held(reason: Hold) -> CycleResult:
    return result(GOOD, subject(Held(reason=reason, message="x"), name="db"))


def failed(count: int) -> History:
    action = ActionId("web-1/start/x")
    failure = Failure(count=count, at=worlds.NOW, error="invalid", message="no such disk")
    return History(failures={action: failure})


@pytest.mark.parametrize(
    ("found", "quiet_for", "expected"),
    [
        pytest.param(result(GOOD), NOTHING, Settling.CONVERGED, id="all-as-wanted"),
        pytest.param(result(), NOTHING, Settling.CONVERGED, id="nothing-wanted"),
        pytest.param(
            result(DOING, plan=worlds.PLAN), NOTHING, Settling.WORKING, id="something-to-do"
        ),
        pytest.param(
            result(DOING, plan=worlds.PLAN), LONG, Settling.FAILED, id="to-do-and-never-done"
        ),
        pytest.param(
            result(subject(Converged(), flying=True)), LONG, Settling.WORKING, id="under-way"
        ),
        pytest.param(
            result(GOOD, started=(worlds.CLONE.id,)), NOTHING, Settling.WORKING, id="just-started"
        ),
        pytest.param(held(Hold.NO_CAPACITY), NOTHING, Settling.HELD, id="held-for-a-person"),
        pytest.param(held(Hold.LOCKED), NOTHING, Settling.WORKING, id="a-lock-may-pass"),
        pytest.param(held(Hold.LOCKED), LONG, Settling.HELD, id="a-lock-that-does-not"),
        pytest.param(held(Hold.DEPENDENCY), NOTHING, Settling.WORKING, id="what-it-needs-starts"),
        pytest.param(held(Hold.DEPENDENCY), LONG, Settling.HELD, id="what-it-needs-is-ill"),
        pytest.param(held(Hold.VERIFYING), LONG, Settling.WORKING, id="a-watch-has-an-end"),
        pytest.param(
            result(subject(Held(reason=Hold.BACKOFF, message="x")), history=failed(1)),
            NOTHING,
            Settling.WORKING,
            id="failed-once",
        ),
        pytest.param(
            result(subject(Held(reason=Hold.BACKOFF, message="x")), history=failed(3)),
            NOTHING,
            Settling.FAILED,
            id="failed-too-often",
        ),
        pytest.param(result(GOOD, complete=False), NOTHING, Settling.WORKING, id="blind"),
        pytest.param(result(GOOD, complete=False), LONG, Settling.FAILED, id="blind-for-long"),
    ],
)
def test_settling(found: CycleResult, quiet_for: timedelta, expected: Settling) -> None:
    assert settling.judge(found, quiet_for=quiet_for) is expected


def test_bad_manifests_are_not_waited_for() -> None:
    status = replace(worlds.STATUS, findings=(BAD,))
    found = CycleResult(status=status, plan=None, source=None)

    assert settling.judge(found, quiet_for=NOTHING) is Settling.FAILED


def test_a_first_look_that_fails_is_repeated_for_a_while() -> None:
    found = CycleResult(status=replace(worlds.STATUS, findings=()), plan=None, source=None)

    assert settling.judge(found, quiet_for=NOTHING) is Settling.WORKING
    assert settling.judge(found, quiet_for=LONG) is Settling.FAILED
    assert settling.exhausted_failures(found) == {}
