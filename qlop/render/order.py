"""Show what people ordered: what, who, why, and how long it holds."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import assert_never

from qlop.model.orders import (
    Acknowledge,
    Adopt,
    Approve,
    BreakGlass,
    Freeze,
    Order,
    Release,
    Revoke,
    Suspend,
    Undelete,
    approval_id,
    kind_of,
)
from qlop.model.units import counted, format_span
from qlop.render.line import Line, Span, Tone, table
from qlop.render.plain_value import Document, plain_value


def about(order: Order) -> str:
    """Return whom an order is about: a guest, a scope, or ``cluster``."""
    match order:
        case Approve(action=action):
            return action.partition("/")[0]
        case Suspend(scope=scope) | BreakGlass(scope=scope):
            return scope.name or "cluster"
        case Undelete() | Adopt() | Release():
            return f"{order.service}-{order.index}"
        case Freeze() | Acknowledge() | Revoke():
            return "cluster"
        case _ as never:
            assert_never(never)


def what_text(order: Order) -> str:
    """Return what is ordered, in a few words."""
    match order:
        case Approve(action=action):
            subject, verb, _ = action.split("/")
            return f"approve {verb} of {subject} ({approval_id(action)})"
        case Suspend(scope=scope):
            return f"suspend {scope.text()}"
        case Freeze():
            return "freeze everything"
        case BreakGlass(scope=scope):
            return f"BREAK GLASS for {scope.text()}"
        case Acknowledge(fuse=fuse, actions=actions, services=services):
            parts = [
                counted(len(actions), "action") if actions else "",
                ", ".join(sorted(services)),
            ]
            return f"acknowledge {fuse} ({'; '.join(part for part in parts if part)})"
        case Undelete(service=service, index=index):
            return f"undelete {service}-{index}"
        case Adopt(vmid=vmid, service=service, index=index):
            return f"adopt {vmid} as {service}-{index}"
        case Release():
            return f"release {order.vmid}, {order.service}-{order.index}"
        case Revoke(order=revoked):
            return f"take back {revoked}"
        case _ as never:
            assert_never(never)


def order_text(order: Order) -> str:
    """Return an order as one sentence: what, by whom, until when, why."""
    until = "" if isinstance(order, Revoke) else f" until {order.until:%Y-%m-%d %H:%M} UTC"
    why = f": {order.reason}" if order.reason else ""
    return f"{what_text(order)}, by {order.by}{until}{why}"


def order_lines(orders: Iterable[Order], *, now: datetime) -> list[Line]:
    """Return a row per order: its id, what it orders, who and why, and what is left of it."""
    rows = [
        (
            Span(order.id, Tone.DIM),
            Span(what_text(order), _tone(order)),
            Span(f"{_left(order, now)} left"),
            Span(f"by {order.by}" + (f": {order.reason}" if order.reason else "")),
        )
        for order in orders
    ]
    return table(rows, indent="  ")


def order_document(order: Order) -> Document:
    """Return an order for JSON."""
    document = plain_value(order)
    assert isinstance(document, dict), "an order is a mapping of its fields"
    return {"kind": kind_of(order).value, "text": what_text(order), **document}


def _left(order: Order, now: datetime) -> str:
    return format_span(timedelta(seconds=max(0, int((order.until - now).total_seconds()))))


def _tone(order: Order) -> Tone:
    match order:
        case BreakGlass():
            return Tone.BAD
        case Freeze() | Suspend():
            return Tone.WARN
        case _:
            return Tone.PLAIN
