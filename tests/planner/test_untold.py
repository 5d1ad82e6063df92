"""Nothing is made a second time while a task of ours may be making it, journal or not."""

from dataclasses import replace

import pytest

from qlop.model.action import Verb
from qlop.model.desired import CloneSource, DesiredDisk, DesiredGuest, EmptySource
from qlop.model.folding import fold
from qlop.model.history import Dispatched, History
from qlop.model.ids import Upid, VmId
from qlop.model.observed import ObservedTask
from qlop.model.plan import Plan
from qlop.model.units import GIB
from qlop.model.verdict import Hold
from qlop.planner import planner
from tests import builders as b
from tests.planner import look

US = "qlop@pve!daemon"
UPID = Upid("UPID:pve1:00000001:00000001:65A00000:qmclone:9000:qlop@pve!daemon:")
CLONED = b.desired_guest(source=CloneSource(template=VmId(b.TEMPLATE)))
DISK = DesiredDisk(slot="scsi0", storage=b.LOCAL, size_bytes=8 * GIB)
EMPTY = b.desired_guest(source=EmptySource(), disks=(DISK,))


def task(verb: str = "qmclone", vmid: int = b.TEMPLATE, user: str = US) -> ObservedTask:
    return ObservedTask(
        upid=UPID, node=b.PVE1, verb=verb, vmid=VmId(vmid), user=user, started_at=b.NOW
    )


def planned(want: DesiredGuest, one: ObservedTask, history: History | None = None) -> Plan:
    seen = b.observed(tasks=(one,))
    source = b.plan_input(b.desired(want), seen, history or fold(()))
    return planner.plan(replace(source, caller=US))


@pytest.mark.parametrize(
    ("want", "one"),
    [
        pytest.param(CLONED, task(), id="a-clone-of-its-template"),
        pytest.param(EMPTY, task("qmcreate", 10_003), id="a-creation-in-its-range"),
    ],
)
def test_what_a_task_of_ours_may_be_making_is_not_made_again(
    want: DesiredGuest, one: ObservedTask
) -> None:
    plan = planned(want, one)

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.TASK_RUNNING
    assert look.held(plan).message == (
        f"{US} runs {one.verb} of {'template ' if one.verb == 'qmclone' else ''}{one.vmid} since"
        " 08:00:00 UTC, and the journal does not know of it: web may be what it makes"
    )


@pytest.mark.parametrize(
    ("want", "one"),
    [
        pytest.param(CLONED, task(user="ana@pve"), id="somebody-elses-clone"),
        pytest.param(CLONED, task(user="qlop@pve!other"), id="another-token's-clone"),
        pytest.param(CLONED, task(vmid=9100), id="a-clone-of-another-template"),
        pytest.param(CLONED, task("qmcreate", 10_003), id="a-creation-where-it-is-cloned"),
        pytest.param(CLONED, task("vzclone"), id="a-container"),
        pytest.param(CLONED, replace(task(), exit_status="OK"), id="a-clone-that-has-ended"),
        pytest.param(EMPTY, task("qmcreate", 500), id="a-creation-outside-its-range"),
        pytest.param(EMPTY, task(), id="a-clone-where-it-is-created"),
    ],
)
def test_a_task_that_can_t_be_making_it_holds_nothing(
    want: DesiredGuest, one: ObservedTask
) -> None:
    assert planned(want, one).actions


CLONING = b.intended(Verb.CLONE, service="mail", vmid=10_050, source=b.TEMPLATE)


def test_a_task_that_the_journal_knows_holds_nobody_else() -> None:
    sent = Dispatched(at=b.NOW, action=CLONING.action, attempt=1, upid=UPID)

    assert planned(CLONED, task(), fold((CLONING, sent))).actions


def test_a_task_that_an_action_explains_whose_answer_is_not_there_yet_holds_nobody() -> None:
    assert planned(CLONED, task(), fold((CLONING,))).actions
