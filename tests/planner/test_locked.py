"""A lock is told with whose it is: a task's, qlop's own broken-off step's, or nobody's."""

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.guest import GuestKind, Power
from qlop.model.observed import ObservedGuest, ObservedTask
from qlop.model.verdict import Held, Hold
from qlop.planner import locked
from qlop.planner.draft import Draft
from tests import builders as b
from tests.planner.test_present import task

WANT = b.desired_guest(options={"cores": "4"})
FAILED = (
    b.intended(Verb.SNAPSHOT),
    b.finished(Verb.SNAPSHOT, succeeded=False),
)
UNLOCK = "if nothing works on it any more: `qm unlock 10000` on pve1"


@pytest.mark.parametrize(
    ("guest", "tasks", "message", "remedy"),
    [
        pytest.param(
            b.guest(lock="backup"),
            (task(),),
            "PVE holds it locked (backup): root@pam runs vzdump on it",
            "wait for the task",
            id="a-task-s",
        ),
        pytest.param(
            b.guest(lock="backup"),
            (task(exit_status="interrupted by signal"),),
            "PVE holds it locked (backup), and no task that works on it is to be seen",
            UNLOCK,
            id="left-by-somebody-s-task",
        ),
        pytest.param(
            b.guest(lock="snapshot"),
            (),
            "PVE holds it locked (snapshot), left behind by qlop's own snapshot at"
            " 2026-11-24 08:00:00 UTC: it broke",
            UNLOCK,
            id="left-by-qlop",
        ),
        pytest.param(
            b.guest(lock="migrate", kind=GuestKind.CONTAINER),
            (),
            "PVE holds it locked (migrate), and no task that works on it is to be seen",
            UNLOCK.replace("qm", "pct"),
            id="a-container-s",
        ),
        pytest.param(
            b.guest(lock="suspended", power=Power.UNKNOWN),
            (),
            "PVE holds it locked (suspended): it is hibernated, and its node does not say"
            " whether it runs",
            "wait for pve1",
            id="hibernated-is-not-unlocked",
        ),
    ],
)
def test_a_lock_says_whose_it_is(
    guest: ObservedGuest, tasks: tuple[ObservedTask, ...], message: str, remedy: str
) -> None:
    source = b.plan_input(b.desired(WANT), b.observed(guest, tasks=tasks), fold(FAILED))

    held = locked.hold(Draft(source), WANT, guest)

    assert held == Held(reason=Hold.LOCKED, message=message, remedy=remedy)
