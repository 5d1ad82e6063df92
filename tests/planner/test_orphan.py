"""What is ours and no longer wanted: kept, stopped or destroyed, as the policy says."""

from dataclasses import replace

import pytest

from qlop.model.action import DestroyGuest, ShutdownGuest, Verb
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import GuestName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.plan import Plan
from qlop.model.policy import Policy, Prune
from qlop.model.reading import Unknown
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look
from tests.planner.test_ownership import journal_of_clone
from tests.planner.test_present import task

NAME = GuestName("web-1")
ON, OFF = b.guest(), b.guest(power=Power.STOPPED)
SHUTDOWN = ShutdownGuest(
    subject=NAME,
    vmid=b.WEB_VMID,
    kind=GuestKind.VM,
    node=b.PVE1,
    grace_s=180,
    force_stop=False,
)
DESTROY = DestroyGuest(subject=NAME, vmid=b.WEB_VMID, kind=GuestKind.VM, node=b.PVE1)


def planned(prune: Prune, have: Observed | ObservedGuest) -> Plan:
    seen = have if isinstance(have, Observed) else b.observed(have)
    return look.plan_of(b.desired(policy=Policy(prune=prune)), seen)


@pytest.mark.parametrize(
    ("prune", "have", "actions"),
    [
        pytest.param(Prune.STOP, ON, (SHUTDOWN,), id="stopped-and-kept"),
        pytest.param(Prune.DESTROY, ON, (SHUTDOWN, DESTROY), id="shut-down-then-destroyed"),
        pytest.param(Prune.DESTROY, OFF, (DESTROY,), id="destroyed"),
        pytest.param(
            Prune.DESTROY,
            b.guest(power=Power.STOPPED, ha_state="ignored"),
            (DESTROY,),
            id="ha-ignores-it",
        ),
    ],
)
def test_pruned(prune: Prune, have: ObservedGuest, actions: tuple[object, ...]) -> None:
    plan = planned(prune, have)

    assert look.actions(plan) == actions
    assert [one.impact for one in plan.actions] == [
        {SHUTDOWN: Impact.DOWNTIME, DESTROY: Impact.DATA_LOSS}[one] for one in look.actions(plan)
    ]
    assert plan.actions[-1].premise is not None


def test_destruction_insists_that_the_guest_is_stopped() -> None:
    (destroy,) = planned(Prune.DESTROY, OFF).actions

    assert destroy.premise == look.premise(b.mark(), Power.STOPPED)


PROTECTED = b.guest(power=Power.STOPPED, config=b.config(b.mark(), options={"protection": "1"}))


@pytest.mark.parametrize(
    ("prune", "have", "hold"),
    [
        pytest.param(Prune.NEVER, b.observed(ON), Hold.ORPHANED, id="kept"),
        pytest.param(Prune.STOP, b.observed(OFF), Hold.ORPHANED, id="stopped-and-kept"),
        pytest.param(Prune.DESTROY, b.observed(PROTECTED), Hold.PROTECTED, id="protected"),
        pytest.param(Prune.NEVER, b.observed(PROTECTED), Hold.PROTECTED, id="protected-and-kept"),
        pytest.param(
            Prune.DESTROY, b.observed(replace(OFF, lock="backup")), Hold.LOCKED, id="locked"
        ),
        pytest.param(
            Prune.DESTROY, b.observed(OFF, tasks=(task(),)), Hold.TASK_RUNNING, id="a-task-runs"
        ),
        pytest.param(
            Prune.DESTROY, b.observed(replace(OFF, template=True)), Hold.IS_TEMPLATE, id="template"
        ),
        pytest.param(
            Prune.DESTROY, b.observed(replace(OFF, ha_state="stopped")), Hold.HA_MANAGED, id="ha"
        ),
        pytest.param(
            Prune.DESTROY,
            b.observed(replace(OFF, power=Power.UNKNOWN)),
            Hold.POWER_UNKNOWN,
            id="power-unknown",
        ),
        pytest.param(
            Prune.DESTROY,
            b.observed(replace(OFF, power=Power.PAUSED)),
            Hold.POWER_UNKNOWN,
            id="paused",
        ),
        pytest.param(
            Prune.DESTROY,
            b.observed(OFF, nodes=[b.node(b.PVE1, online=False)]),
            Hold.NODE_OFFLINE,
            id="its-node-is-offline",
        ),
        pytest.param(
            Prune.DESTROY, b.observed(OFF, nodes=[]), Hold.NODE_OFFLINE, id="its-node-is-gone"
        ),
    ],
)
def test_left_alone(prune: Prune, have: Observed, hold: Hold) -> None:
    plan = planned(prune, have)

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is hold
    assert plan.verdicts[NAME].vmid == b.WEB_VMID


def test_a_clone_that_was_never_sealed_is_not_destroyed() -> None:
    unsealed = b.guest(power=Power.STOPPED, config=b.config(b.mark(), witness="uuid:pves"))
    want = b.desired(policy=Policy(prune=Prune.DESTROY))

    plan = look.plan_of(want, b.observed(unsealed), journal_of_clone())

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is Hold.IDENTITY_MISMATCH


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(b.guest(config=b.config(witness="uuid:x")), id="without-a-mark"),
        pytest.param(b.guest(101, config=b.config(b.mark(), witness="uuid:x")), id="a-copy"),
        pytest.param(b.guest(config=b.config(b.mark(), witness="uuid:x")), id="an-impostor"),
        pytest.param(b.guest(config=Unknown("no answer")), id="unread"),
    ],
)
def test_what_is_not_proven_ours_is_no_orphan(stranger: ObservedGuest) -> None:
    plan = planned(Prune.DESTROY, replace(stranger, power=Power.STOPPED))

    assert (plan.actions, plan.verdicts) == ((), {})


def test_what_is_still_in_flight_on_it_is_waited_for() -> None:
    """It was begun while a manifest named the guest, by another name than it has now."""
    want = b.desired(policy=Policy(prune=Prune.DESTROY))

    plan = look.plan_of(want, b.observed(ON), [b.intended(Verb.START)])

    assert plan.actions == ()
    assert look.held(plan, NAME).reason is Hold.IN_FLIGHT


def test_scaling_down_takes_the_last() -> None:
    guests = [
        b.guest(10000 + index, config=b.config(b.mark("web", index, 10000 + index)))
        for index in (1, 2, 3)
    ]
    wants = [b.desired_guest(index=index, name=f"web-{index}") for index in (1, 2)]

    plan = look.plan_of(b.desired(*wants, policy=Policy(prune=Prune.STOP)), b.observed(*guests))

    assert [(one.subject, one.vmid) for one in look.actions(plan)] == [("web-3", VmId(10003))]


def test_an_orphan_whose_name_another_has_is_called_by_its_vmid() -> None:
    """Service ``web-1`` of one guest, and an orphan of service ``web``."""
    other = b.guest(10005, config=b.config(b.mark("web-1", 1, 10005)))

    plan = look.plan_of(b.desired(b.desired_guest("web-1")), b.observed(ON, other))

    assert look.answer(plan, "web-1") is None
    assert look.held(plan, "web-1@10000").reason is Hold.ORPHANED
