"""Plan once, and look at what a test is about."""

from collections.abc import Iterable

from qlop.model.action import Action, ResumeGuest, StartGuest, verb_of
from qlop.model.desired import Desired, DesiredGuest
from qlop.model.folding import fold
from qlop.model.guest import GuestKind, Power
from qlop.model.history import History, JournalRecord
from qlop.model.ids import GuestName
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.orders import Order
from qlop.model.owner import OwnerMark
from qlop.model.plan import Plan, PlanInput, Premise
from qlop.model.reading import Known
from qlop.model.verdict import Act, Converged, Held, Hold, Verdict
from qlop.planner import planner
from qlop.planner.audit import audit
from tests import builders as b

Answer = tuple[str, ...] | Hold | None
"""Verbs in their order, or a hold, or None for a guest that is as it should be."""

RESUME = ResumeGuest(subject=GuestName("web"), vmid=b.WEB_VMID, kind=GuestKind.VM, node=b.PVE1)
START = StartGuest(subject=GuestName("web"), vmid=b.WEB_VMID, kind=GuestKind.VM, node=b.PVE1)


def plan_of(
    want: Desired,
    have: Observed,
    history: History | Iterable[JournalRecord] = (),
    orders: Iterable[Order] = (),
) -> Plan:
    """Plan, and insist that the audit finds nothing."""
    return audited(source_of(want, have, history, orders))


def audited(source: PlanInput) -> Plan:
    """Plan, and insist that the audit finds nothing."""
    plan = planner.plan(source)
    assert audit(source, plan) == ()
    return plan


def source_of(
    want: Desired,
    have: Observed,
    history: History | Iterable[JournalRecord] = (),
    orders: Iterable[Order] = (),
) -> PlanInput:
    folded = history if isinstance(history, History) else fold(history)
    return b.plan_input(want, have, folded, orders=orders)


def plan_one(want: DesiredGuest, guest: ObservedGuest) -> Plan:
    """Plan for one guest in a healthy cluster."""
    return plan_of(b.desired(want), b.observed(guest))


def actions(plan: Plan) -> tuple[Action, ...]:
    return tuple(planned.action for planned in plan.actions)


def verbs(plan: Plan, subject: str | None = None) -> tuple[str, ...]:
    return tuple(
        verb_of(action).value
        for action in actions(plan)
        if subject is None or action.subject == subject
    )


def verdict(plan: Plan, subject: str = "web") -> Verdict:
    return plan.verdicts[GuestName(subject)].verdict


def held(plan: Plan, subject: str = "web") -> Held:
    """The hold on a subject, on all of it or on what is left of it."""
    found = verdict(plan, subject)
    held_back = found.held if isinstance(found, Act) else found
    assert isinstance(held_back, Held), found
    return held_back


def answer(plan: Plan, subject: str = "web") -> Answer:
    found = verdict(plan, subject)
    match found:
        case Converged():
            return None
        case Held(reason=reason):
            return reason
        case Act():
            return verbs(plan, subject)


def premise(mark: OwnerMark, power: Power | None = None) -> Premise:
    """What an action on a sealed guest insists on."""
    return Premise(mark=mark, witness=mark.witness, power=power)


def known(config: GuestConfig) -> Known[GuestConfig]:
    return Known(config)
