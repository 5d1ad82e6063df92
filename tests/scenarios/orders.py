"""Give orders as people do on the command line: what they name is what they were shown."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count

from qlop.cli.ordering import Head
from qlop.controller.cycle import CycleResult
from qlop.model.ids import GuestName, OrderId, ServiceName
from qlop.model.orders import (
    EVERYTHING,
    Acknowledge,
    Adopt,
    Approve,
    BreakGlass,
    Freeze,
    Order,
    Release,
    Revoke,
    Scope,
    ScopeKind,
    Suspend,
    Undelete,
)
from qlop.model.units import parse_span

Sign = Callable[[], Head]


def given(text: str, seen: CycleResult, now: datetime) -> list[Order]:
    """Return the orders that ``KIND WHAT SPAN`` means; at least one.

    Raises:
        AssertionError: if nothing was shown that it could be about.
    """
    kind, what, span = text.split()
    numbers = count(1)

    def sign() -> Head:
        return Head(
            id=OrderId(f"{now:%H%M%S}-{next(numbers)}"),
            at=now,
            by="siti@pve1",
            reason="",
            until=now + parse_span(span),
        )

    found = _KINDS[kind](sign, what, seen)
    assert found, f"{text}: there is nothing that it could be about"
    return found


def _undelete(sign: Sign, what: str, seen: CycleResult) -> list[Order]:
    return [
        Undelete(**sign(), service=subject.service, index=subject.index)
        for subject in seen.status.subjects
        if subject.name == what and subject.orphan and subject.index is not None
    ]


def _adopt(sign: Sign, what: str, seen: CycleResult) -> list[Order]:
    assert seen.source is not None
    return [
        Adopt(**sign(), vmid=want.vmid, service=want.service, index=want.index)
        for want in seen.source.desired.guests.values()
        if want.name == what and want.vmid is not None
    ]


def _release(sign: Sign, what: str, seen: CycleResult) -> list[Order]:
    return [
        Release(**sign(), vmid=one.vmid, service=one.service, index=one.index)
        for one in seen.status.subjects
        if one.name == what and one.vmid is not None and one.index is not None
    ]


def _approve(sign: Sign, what: str, seen: CycleResult) -> list[Order]:
    assert seen.plan is not None
    asks = [ask for ask in seen.plan.asks if ask.action.subject == what]
    return [Approve(**sign(), action=ask.id) for ask in asks]


def _acknowledge(sign: Sign, _what: str, seen: CycleResult) -> list[Order]:
    assert seen.plan is not None
    return [
        Acknowledge(**sign(), fuse=fuse.fingerprint, actions=fuse.actions, services=fuse.services)
        for fuse in seen.plan.fuses
    ]


def _scope(what: str, seen: CycleResult) -> Scope:
    if what == "all":
        return EVERYTHING
    if GuestName(what) in {subject.name for subject in seen.status.subjects}:
        return Scope(kind=ScopeKind.GUEST, name=what)
    services = {subject.service for subject in seen.status.subjects}
    kind = ScopeKind.SERVICE if ServiceName(what) in services else ScopeKind.NODE
    return Scope(kind=kind, name=what)


def _revoked(
    sign: Sign, seen: CycleResult, kind: type[Freeze | Suspend], what: str
) -> list[Order]:
    return [
        Revoke(**sign(), order=order.id)
        for order in seen.status.orders
        if isinstance(order, kind) and what in {"", getattr(order, "scope", EVERYTHING).name}
    ]


_KINDS: Mapping[str, Callable[[Sign, str, CycleResult], list[Order]]] = {
    "undelete": _undelete,
    "adopt": _adopt,
    "release": _release,
    "approve": _approve,
    "acknowledge": _acknowledge,
    "suspend": lambda sign, what, seen: [Suspend(**sign(), scope=_scope(what, seen))],
    "break-glass": lambda sign, what, seen: [BreakGlass(**sign(), scope=_scope(what, seen))],
    "freeze": lambda sign, _what, _seen: [Freeze(**sign())],
    "thaw": lambda sign, _what, seen: _revoked(sign, seen, Freeze, ""),
    "resume": lambda sign, what, seen: _revoked(sign, seen, Suspend, what),
}
