"""Say what people order beside the manifests, and what of it is in force.

An order is a record that is never changed: who gave it, when, why, and until when it
holds. It ends by itself, or is taken back by a later one. ``fold`` makes ``Orders`` of
any prefix of the records; ``in_force`` leaves out what has ended.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from qlop.model.ids import ActionId, GuestName, OrderId, ServiceName, VmId


class OrderKind(Enum):
    """One word per order, for the book, metrics and people."""

    APPROVE = "approve"
    SUSPEND = "suspend"
    FREEZE = "freeze"
    BREAK_GLASS = "break-glass"
    ACKNOWLEDGE = "acknowledge"
    UNDELETE = "undelete"
    ADOPT = "adopt"
    RELEASE = "release"
    REVOKE = "revoke"


class ScopeKind(Enum):
    """What an order is about."""

    ALL = "all"
    SERVICE = "service"
    NODE = "node"
    GUEST = "guest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything, or one service, node or guest, by its ``name``."""

    kind: ScopeKind
    name: str = ""

    def covers(self, guest: GuestName, service: ServiceName, nodes: Collection[str]) -> bool:
        """Return whether a guest of ``service``, on or bound for ``nodes``, is in it."""
        match self.kind:
            case ScopeKind.ALL:
                return True
            case ScopeKind.SERVICE:
                return self.name == service
            case ScopeKind.NODE:
                return self.name in nodes
            case ScopeKind.GUEST:
                return self.name == guest

    def text(self) -> str:
        """Return it for people: ``everything``, ``service web``, ``web-1``."""
        match self.kind:
            case ScopeKind.ALL:
                return "everything"
            case ScopeKind.GUEST:
                return self.name
            case ScopeKind.SERVICE | ScopeKind.NODE:
                return f"{self.kind.value} {self.name}"


EVERYTHING = Scope(kind=ScopeKind.ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What every order says. Not a type to be used: a list of fields.

    ``until``: from this instant on it no longer holds.
    """

    id: OrderId
    at: datetime
    by: str
    reason: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve(_Order):
    """Let exactly this action be done, once."""

    action: ActionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend(_Order):
    """Do nothing to what is in ``scope``."""

    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(_Order):
    """Do nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass(_Order):
    """Wait for no window, approval or fuse in ``scope``: an emergency.

    It opens neither ownership, quorum, budgets nor protection, and it never allows data
    to be lost that no manifest allows to be lost.
    """

    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge(_Order):
    """Do what a fuse holds: ``actions`` and the loss of ``services``, no more.

    ``fuse`` is the fingerprint under which they were shown.
    """

    fuse: str
    actions: frozenset[ActionId] = frozenset()
    services: frozenset[ServiceName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelete(_Order):
    """Keep a guest that no manifest names any more, and start it again."""

    service: ServiceName
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt(_Order):
    """Begin to own a guest that exists, as this place of a service."""

    vmid: VmId
    service: ServiceName
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(_Order):
    """Cease to own a guest, which stays as it is: the reverse of ``Adopt``."""

    vmid: VmId
    service: ServiceName
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke(_Order):
    """End another order before its time. ``until`` says nothing: it is for good."""

    order: OrderId


Order = Approve | Suspend | Freeze | BreakGlass | Acknowledge | Undelete | Adopt | Release | Revoke

_KINDS: Mapping[type, OrderKind] = {
    Approve: OrderKind.APPROVE,
    Suspend: OrderKind.SUSPEND,
    Freeze: OrderKind.FREEZE,
    BreakGlass: OrderKind.BREAK_GLASS,
    Acknowledge: OrderKind.ACKNOWLEDGE,
    Undelete: OrderKind.UNDELETE,
    Adopt: OrderKind.ADOPT,
    Release: OrderKind.RELEASE,
    Revoke: OrderKind.REVOKE,
}


def kind_of(order: Order) -> OrderKind:
    """Return the word for what ``order`` orders."""
    return _KINDS[type(order)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What was ordered and not taken back; of two about the same the later one.

    ``in_force`` leaves out what has ended. The planner does so itself, and goes by that.
    """

    approvals: Mapping[ActionId, Approve] = field(default_factory=dict)
    suspensions: tuple[Suspend, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    glasses: tuple[BreakGlass, ...] = ()
    acknowledged: tuple[Acknowledge, ...] = ()
    undeleted: Mapping[tuple[ServiceName, int], Undelete] = field(default_factory=dict)
    adoptions: Mapping[VmId, Adopt] = field(default_factory=dict)
    releases: Mapping[VmId, Release] = field(default_factory=dict)
    """Of an adoption and a release of one guest the later one stands."""

    def __iter__(self) -> Iterator[Order]:
        """Go through them, by kind, then in the order in which they were given."""
        yield from self.freezes
        yield from self.glasses
        yield from self.suspensions
        yield from self.acknowledged
        yield from self.approvals.values()
        yield from self.undeleted.values()
        yield from self.adoptions.values()
        yield from self.releases.values()


def approval_id(action: ActionId) -> str:
    """Return the short form of an action's id, under which it is shown and approved."""
    return action.rpartition("/")[2][:8]


def fold(records: Iterable[Order]) -> Orders:
    """Return what the records, oldest first, amount to."""
    standing: dict[OrderId, Order] = {}
    for order in records:
        if isinstance(order, Revoke):
            standing.pop(order.order, None)
        else:
            standing[order.id] = order
    return _sorted(standing.values())


def in_force(orders: Orders, now: datetime) -> Orders:
    """Return those that have not ended at ``now``; the same value if that is all."""
    if all(now < order.until for order in orders):
        return orders
    return _sorted(order for order in orders if now < order.until)


def _sorted(orders: Iterable[Order]) -> Orders:
    approvals: dict[ActionId, Approve] = {}
    undeleted: dict[tuple[ServiceName, int], Undelete] = {}
    holdings: dict[VmId, Adopt | Release] = {}
    suspensions: list[Suspend] = []
    freezes: list[Freeze] = []
    glasses: list[BreakGlass] = []
    acknowledged: list[Acknowledge] = []
    for order in orders:
        match order:
            case Approve():
                approvals[order.action] = order
            case Suspend():
                suspensions.append(order)
            case Freeze():
                freezes.append(order)
            case BreakGlass():
                glasses.append(order)
            case Acknowledge():
                acknowledged.append(order)
            case Undelete():
                undeleted[order.service, order.index] = order
            case Adopt() | Release():
                holdings[order.vmid] = order
            case Revoke():
                pass
    return Orders(
        approvals=approvals,
        suspensions=tuple(suspensions),
        freezes=tuple(freezes),
        glasses=tuple(glasses),
        acknowledged=tuple(acknowledged),
        undeleted=undeleted,
        adoptions={vmid: one for vmid, one in holdings.items() if isinstance(one, Adopt)},
        releases={vmid: one for vmid, one in holdings.items() if isinstance(one, Release)},
    )
