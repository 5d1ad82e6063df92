from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import RebootGuest, Verb
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.history import Dispatched, Ending, Finished, JournalRecord
from qlop.model.ids import ActionId, OrderId
from qlop.model.observed import ObservedGuest
from qlop.model.orders import EVERYTHING, Approve, BreakGlass, Order, Scope, ScopeKind, approval_id
from qlop.model.plan import Plan
from qlop.model.verdict import Held, Hold
from tests import builders as b
from tests.planner import look
from tests.planner.asking import (
    ASK,
    CORES,
    SHUT,
    SOON,
    WARN,
    WINDOW,
    having,
    plan_for,
    saying,
    want,
)

ASKING = want(saying(), options=CORES)
PENDING = having(cores="4", pending=["cores"])


def reboot_of(plan: Plan) -> ActionId:
    (asked,) = plan.asks
    assert isinstance(asked.action, RebootGuest)
    return asked.id


def approve(action: ActionId, *, hours: float = 1, at_hours: float = -1) -> Approve:
    return Approve(
        id=OrderId("o1"),
        at=b.NOW + timedelta(hours=at_hours),
        by="ani",
        reason="",
        until=b.NOW + timedelta(hours=hours),
        action=action,
    )


def test_the_hold_names_the_id_to_approve() -> None:
    plan = plan_for(ASKING, PENDING)
    short = approval_id(reboot_of(plan))

    assert look.held(plan) == Held(
        reason=Hold.APPROVAL,
        message="cores will take effect with a reboot; to reboot it (impact: reboot)"
        " needs an approval",
        remedy=f"look at it with `qlop plan`, then `qlop approve {short}`",
    )


def test_what_was_approved_is_done() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    plan = plan_for(ASKING, PENDING, approve(action))

    assert [planned.id for planned in plan.actions] == [action]
    assert (plan.asks, plan.reconsider_at) == ((), SOON)


@pytest.mark.parametrize(
    ("wanted", "have"),
    [
        pytest.param(want(saying(), options={"cores": "8"}), PENDING, id="another-value"),
        pytest.param(
            want(saying(), options={"cores": "4", "vga": "std"}),
            having(cores="4", vga="std", pending=["cores", "vga"]),
            id="more-than-that",
        ),
        pytest.param(ASKING, replace(PENDING, node=b.PVE2), id="on-another-node"),
    ],
)
def test_an_approval_is_for_exactly_that_action(wanted: DesiredGuest, have: ObservedGuest) -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    plan = plan_for(wanted, have, approve(action))

    assert "reboot" not in look.verbs(plan)


def test_an_approval_ends() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))

    assert look.answer(plan_for(ASKING, PENDING, approve(action, hours=0))) is Hold.APPROVAL


def done(action: ActionId, ending: Ending) -> tuple[JournalRecord, ...]:
    at = b.NOW - timedelta(minutes=30)
    return (
        b.intended(Verb.REBOOT, action=action, at=at),
        Dispatched(at=at, action=action, attempt=1, upid=None),
        Finished(at=at, action=action, attempt=1, ending=ending),
    )


def test_an_approval_is_for_one_time() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    used = plan_for(ASKING, PENDING, approve(action), history=done(action, Ending.SUCCEEDED))
    anew = plan_for(
        ASKING, PENDING, approve(action, at_hours=0), history=done(action, Ending.SUCCEEDED)
    )

    assert look.answer(used) is Hold.APPROVAL
    assert look.verbs(anew) == ("reboot",)


def test_what_failed_has_not_used_up_its_approval() -> None:
    action = reboot_of(plan_for(ASKING, PENDING))
    plan = plan_for(ASKING, PENDING, approve(action), history=done(action, Ending.FAILED))

    assert look.verbs(plan) == ("reboot",)


def glass(scope: Scope, *, hours: float = 1) -> BreakGlass:
    return BreakGlass(
        id=OrderId("o9"),
        at=b.NOW,
        by="budi",
        reason="fire",
        until=b.NOW + timedelta(hours=hours),
        scope=scope,
    )


WAITING = want(saying(none=WINDOW, reboot=ASK), SHUT, options=CORES)


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        pytest.param(glass(EVERYTHING), ("configure", "reboot"), id="for-all"),
        pytest.param(
            glass(Scope(kind=ScopeKind.GUEST, name="web")), ("configure", "reboot"), id="for-it"
        ),
        pytest.param(
            glass(Scope(kind=ScopeKind.NODE, name="pve1")), ("configure", "reboot"), id="its-node"
        ),
        pytest.param(glass(Scope(kind=ScopeKind.GUEST, name="db")), Hold.WINDOW, id="another"),
        pytest.param(glass(EVERYTHING, hours=0), Hold.WINDOW, id="over"),
    ],
)
def test_an_emergency_waits_for_nobody(order: Order, answer: look.Answer) -> None:
    assert look.answer(plan_for(WAITING, having(cores="2"), order)) == answer


def test_an_emergency_does_not_change_what_is_only_to_be_told() -> None:
    wanted = want(saying({"onboot": WARN}))

    assert look.verbs(plan_for(wanted, having(), glass(EVERYTHING))) == ()


def test_a_guest_that_never_ran_has_no_users() -> None:
    """It was cloned, and is configured before its first start, whatever windows say."""
    wanted = want(saying(none=WINDOW), SHUT)
    clone = ActionId("web/clone/c0ffee")
    at = b.NOW - timedelta(minutes=1)
    history = (
        b.intended(Verb.CLONE, action=clone, at=at, witness=b.mark().witness),
        Dispatched(at=at, action=clone, attempt=1, upid=None),
        Finished(at=at, action=clone, attempt=1, ending=Ending.SUCCEEDED),
    )
    plan = plan_for(wanted, having(power=Power.STOPPED), history=history)

    assert look.verbs(plan) == ("configure", "start")
