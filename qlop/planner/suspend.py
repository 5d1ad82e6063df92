"""Do nothing to what people suspended, and nothing at all while everything is frozen."""

from collections.abc import Iterable

from qlop.model.ids import NodeName
from qlop.model.orders import Freeze, Orders, Suspend
from qlop.model.plan import PlannedAction
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.windows import instant_text


def hold_suspended(draft: Draft) -> None:
    """Take back every action on what is suspended, and say who wants it so.

    What is in flight already goes on: nothing that PVE works on is ever cancelled. A
    guest to which nothing would be done keeps its verdict.
    """
    orders = draft.orders
    if not orders.freezes and not orders.suspensions:
        return
    for subject in list(draft.actions):
        order = forbidding(orders, draft.actions[subject])
        if order is not None:
            draft.withhold(subject, _held(order))


def forbidding(orders: Orders, chain: Iterable[PlannedAction]) -> Freeze | Suspend | None:
    """Return the order that forbids these actions on one guest, None if there is none."""
    if orders.freezes:
        return max(orders.freezes, key=lambda order: order.until)
    for planned in chain:
        nodes = nodes_of(planned)
        for order in orders.suspensions:
            if order.scope.covers(planned.action.subject, planned.service, nodes):
                return order
    return None


def nodes_of(planned: PlannedAction) -> frozenset[NodeName]:
    """Return the nodes that an action has to do with."""
    target: NodeName | None = getattr(planned.action, "target", None)
    return frozenset({planned.action.node} | ({target} if target is not None else set()))


def _held(order: Freeze | Suspend) -> Held:
    why = f": {order.reason}" if order.reason else ""
    until = instant_text(order.until)
    if isinstance(order, Freeze):
        return Held(
            reason=Hold.FROZEN,
            message=f"{order.by} froze everything until {until}{why}",
            remedy="it goes on then; at once after `qlop thaw`",
        )
    return Held(
        reason=Hold.SUSPENDED,
        message=f"{order.by} suspended {order.scope.text()} until {until}{why}",
        remedy=f"it goes on then; at once after `qlop resume {order.id}`",
    )
