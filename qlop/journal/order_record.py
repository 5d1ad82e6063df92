"""Write orders as JSON, and read what this or an older qlop wrote.

An order of a kind or format that is not known is refused: it may be a freeze.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from qlop.journal.record import RecordError
from qlop.model.ids import ActionId, OrderId, ServiceName, VmId
from qlop.model.orders import (
    Acknowledge,
    Adopt,
    Approve,
    BreakGlass,
    Freeze,
    Order,
    OrderKind,
    Release,
    Revoke,
    Scope,
    ScopeKind,
    Suspend,
    Undelete,
    kind_of,
)

FORMAT = 1
"""Raised when an order of the new kind would be misread by an older qlop."""

_Fields = Mapping[str, object]


def encode(order: Order) -> str:
    """Return ``order`` as one line of JSON."""
    head: dict[str, object] = {
        "format": FORMAT,
        "order": kind_of(order).value,
        "id": order.id,
        "at": order.at.isoformat(),
        "by": order.by,
        "reason": order.reason,
        "until": order.until.isoformat(),
    }
    return json.dumps(head | _own_fields(order), ensure_ascii=False, separators=(",", ":"))


def decode(line: str) -> Order:
    """Return the order that ``encode`` made ``line`` of.

    Raises:
        RecordError: if it is none, or one that only a newer qlop understands.
    """
    try:
        found = json.loads(line)
    except ValueError as error:
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RecordError("not a JSON object")
    if found.get("format") != FORMAT:
        raise RecordError(f"format {found.get('format')!r} is not the one this qlop reads")
    try:
        return _order(found)
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(f"it is no order that this qlop knows: {error!r}") from error


def _own_fields(order: Order) -> dict[str, object]:
    match order:
        case Approve():
            return {"action": order.action}
        case Suspend() | BreakGlass():
            return {"scope": {"kind": order.scope.kind.value, "name": order.scope.name}}
        case Freeze():
            return {}
        case Acknowledge():
            return {
                "fuse": order.fuse,
                "actions": sorted(order.actions),
                "services": sorted(order.services),
            }
        case Undelete():
            return {"service": order.service, "index": order.index}
        case Adopt() | Release():
            return {"vmid": order.vmid, "service": order.service, "index": order.index}
        case Revoke():
            return {"revoked": order.order}
        case _ as never:
            assert_never(never)


def _order(found: _Fields) -> Order:
    identity, by, reason = OrderId(_text(found, "id")), _text(found, "by"), _text(found, "reason")
    at, until = _instant(found, "at"), _instant(found, "until")
    match OrderKind(_text(found, "order")):
        case OrderKind.APPROVE:
            action = ActionId(_text(found, "action"))
            return Approve(id=identity, at=at, by=by, reason=reason, until=until, action=action)
        case OrderKind.SUSPEND:
            scope = _scope(found)
            return Suspend(id=identity, at=at, by=by, reason=reason, until=until, scope=scope)
        case OrderKind.FREEZE:
            return Freeze(id=identity, at=at, by=by, reason=reason, until=until)
        case OrderKind.BREAK_GLASS:
            scope = _scope(found)
            return BreakGlass(id=identity, at=at, by=by, reason=reason, until=until, scope=scope)
        case OrderKind.ACKNOWLEDGE:
            return Acknowledge(
                id=identity,
                at=at,
                by=by,
                reason=reason,
                until=until,
                fuse=_text(found, "fuse"),
                actions=frozenset(map(ActionId, _texts(found, "actions"))),
                services=frozenset(map(ServiceName, _texts(found, "services"))),
            )
        case OrderKind.UNDELETE:
            return Undelete(
                id=identity,
                at=at,
                by=by,
                reason=reason,
                until=until,
                service=ServiceName(_text(found, "service")),
                index=_number(found, "index"),
            )
        case OrderKind.ADOPT:
            return Adopt(
                id=identity,
                at=at,
                by=by,
                reason=reason,
                until=until,
                vmid=VmId(_number(found, "vmid")),
                service=ServiceName(_text(found, "service")),
                index=_number(found, "index"),
            )
        case OrderKind.RELEASE:
            return Release(
                id=identity,
                at=at,
                by=by,
                reason=reason,
                until=until,
                vmid=VmId(_number(found, "vmid")),
                service=ServiceName(_text(found, "service")),
                index=_number(found, "index"),
            )
        case OrderKind.REVOKE:
            revoked = OrderId(_text(found, "revoked"))
            return Revoke(id=identity, at=at, by=by, reason=reason, until=until, order=revoked)


def _scope(found: _Fields) -> Scope:
    scope = found["scope"]
    if not isinstance(scope, dict):
        raise TypeError(f"no scope: {scope!r}")
    return Scope(kind=ScopeKind(_text(scope, "kind")), name=_text(scope, "name"))


def _text(found: _Fields, name: str) -> str:
    value = found[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} can't be {value!r}")
    return value


def _texts(found: _Fields, name: str) -> list[str]:
    value = found[name]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{name} can't be {value!r}")
    return value


def _number(found: _Fields, name: str) -> int:
    value = found[name]
    if type(value) is not int:
        raise TypeError(f"{name} can't be {value!r}")
    return value


def _instant(found: _Fields, name: str) -> datetime:
    instant = datetime.fromisoformat(_text(found, name))
    if instant.tzinfo is None:
        raise ValueError(f"{name} has no time zone: {instant}")
    return instant
