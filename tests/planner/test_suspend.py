from datetime import timedelta

import pytest

from qlop.model.action import CloneGuest
from qlop.model.guest import Power
from qlop.model.ids import NodeName, OrderId
from qlop.model.orders import EVERYTHING, Freeze, Order, Scope, ScopeKind, Suspend
from qlop.model.plan import Plan
from qlop.model.verdict import Converged, Held, Hold
from tests import builders as b
from tests.planner import look

SOON = b.NOW + timedelta(hours=1)


def suspend(kind: ScopeKind, name: str, *, hours: float = 1) -> Suspend:
    return Suspend(
        id=OrderId("o1"),
        at=b.NOW - timedelta(days=1),
        by="ani",
        reason="new switch",
        until=b.NOW + timedelta(hours=hours),
        scope=Scope(kind=kind, name=name),
    )


FREEZE = Freeze(id=OrderId("o2"), at=b.NOW, by="budi", reason="audit", until=SOON)
STOPPED = b.guest(power=Power.STOPPED)


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        pytest.param(suspend(ScopeKind.GUEST, "web"), Hold.SUSPENDED, id="the-guest"),
        pytest.param(suspend(ScopeKind.GUEST, "db"), ("start",), id="another-guest"),
        pytest.param(suspend(ScopeKind.SERVICE, "web"), Hold.SUSPENDED, id="its-service"),
        pytest.param(suspend(ScopeKind.SERVICE, "db"), ("start",), id="another-service"),
        pytest.param(suspend(ScopeKind.NODE, "pve1"), Hold.SUSPENDED, id="its-node"),
        pytest.param(suspend(ScopeKind.NODE, "pve2"), ("start",), id="another-node"),
        pytest.param(suspend(ScopeKind.GUEST, "web", hours=0), ("start",), id="no-longer"),
        pytest.param(FREEZE, Hold.FROZEN, id="frozen"),
    ],
)
def test_what_is_suspended_is_left_alone(order: Order, answer: look.Answer) -> None:
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(STOPPED), orders=[order])

    assert look.answer(plan) == answer


def test_the_hold_says_who_why_until_when_and_how_it_ends() -> None:
    order = suspend(ScopeKind.SERVICE, "web")
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(STOPPED), orders=[order])

    assert look.held(plan) == Held(
        reason=Hold.SUSPENDED,
        message="ani suspended service web until 2026-11-24 09:00 UTC: new switch",
        remedy="it goes on then; at once after `qlop resume o1`",
    )
    assert plan.reconsider_at == SOON


def test_a_guest_that_needs_nothing_is_not_held() -> None:
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(b.guest()), orders=[FREEZE])

    assert isinstance(look.verdict(plan), Converged)


def test_nothing_new_goes_to_a_suspended_node() -> None:
    wants, have = (
        b.desired(b.desired_guest()),
        b.observed(b.template(node=b.PVE2), with_template=False),
    )
    first = target_of(look.plan_of(wants, have))
    plan = look.plan_of(wants, have, orders=[suspend(ScopeKind.NODE, first)])

    assert look.verbs(plan)[:1] == ("clone",)
    assert target_of(plan) != first


def target_of(plan: Plan) -> NodeName:
    clone = look.actions(plan)[0]
    assert isinstance(clone, CloneGuest)
    return clone.target


def test_a_freeze_that_ends_later_is_told_first() -> None:
    longer = Freeze(
        id=OrderId("o3"), at=b.NOW, by="citra", reason="", until=SOON + timedelta(hours=1)
    )
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(STOPPED), orders=[FREEZE, longer])

    assert look.held(plan).message == "citra froze everything until 2026-11-24 10:00 UTC"
    assert plan.reconsider_at == SOON


def test_everything_may_be_suspended_as_well() -> None:
    order = Suspend(id=OrderId("o1"), at=b.NOW, by="ani", reason="", until=SOON, scope=EVERYTHING)
    plan = look.plan_of(b.desired(b.desired_guest()), b.observed(STOPPED), orders=[order])

    assert look.held(plan).message == "ani suspended everything until 2026-11-24 09:00 UTC"
