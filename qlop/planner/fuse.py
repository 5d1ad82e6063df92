"""Hold the whole plan if it is too much at once, until somebody acknowledges that."""

import hashlib
from collections.abc import Iterable, Mapping

from qlop.model.action import (
    Action,
    DestroyGuest,
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    ReplaceGuest,
    ShutdownGuest,
)
from qlop.model.history import Tombstone
from qlop.model.ids import ActionId, GuestName, ServiceName
from qlop.model.observed import ObservedGuest
from qlop.model.orders import Orders, ScopeKind
from qlop.model.plan import BlownFuse, PlannedAction
from qlop.model.policy import Fuse, Prune, Strike
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import burial, suspend
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place

_WORDS: Mapping[Strike, str] = {
    Strike.DESTROY: "destroy",
    Strike.STOP: "shut down",
    Strike.REBOOT: "reboot",
    Strike.MOVE: "move with an interruption",
}
_SPARED = frozenset(
    {
        Hold.ORPHANED,
        Hold.PROTECTED,
        Hold.IS_TEMPLATE,
        Hold.HA_MANAGED,
        Hold.IDENTITY_MISMATCH,
        Hold.TOMBSTONED,
        Hold.BACKUP_NEEDED,
        Hold.BUDGET,
    }
)
"""Holds of orphans that only a person ends, and of those that are stopped already: when they
go, they go one by one."""

Wave = frozenset[ActionId]
"""The strikes of a plan, those included for whom a budget has no room yet."""


def strike_of(action: Action) -> Strike | None:
    """Return in which way an action takes a guest from its users; None if in none."""
    match action:
        case DestroyGuest():
            return Strike.DESTROY
        case ShutdownGuest() | ReplaceGuest():
            return Strike.STOP
        case RebootGuest():
            return Strike.REBOOT
        case MigrateGuest(mode=MigrationMode.RESTART):
            return Strike.MOVE
        case _:
            return None


def wave(draft: Draft) -> Wave:
    """Return every strike that is planned, to be acknowledged as a whole.

    Asked for before the budgets have cut the plan: who agrees to thirty reboots should
    not be asked again for every one.
    """
    return frozenset(
        planned.id
        for chain in draft.actions.values()
        for planned in chain
        if strike_of(planned.action) is not None
    )


def blow(draft: Draft, planned: Wave) -> None:
    """Hold the whole plan if it, or the desired state it was made of, takes away too much.

    Those count too whose turn only comes later, since they are locked, offline or unread
    now: what is too much at once must not pass in parts because of what can't be seen.
    """
    stones = [one for one in draft.notices if isinstance(one, Tombstone)]
    if not draft.actions and not stones:
        return
    blown = [*_struck(draft, planned), *_lost(draft)]
    if not blown:
        return
    draft.fuses += blown
    held = Held(
        reason=Hold.FUSE,
        message="; ".join(one.message for one in blown) + "; nothing of it is done",
        remedy="look at `qlop plan`; if it is meant, "
        + " and ".join(f"`qlop acknowledge {one.fingerprint}`" for one in blown),
    )
    draft.notices = [one for one in draft.notices if not isinstance(one, Tombstone)]
    for subject in (*draft.actions, *(stone.name for stone in stones)):
        draft.withhold(subject, held)


def counted(orders: Orders, chains: Iterable[PlannedAction]) -> dict[Strike, set[GuestName]]:
    """Return whom a plan strikes, but for what was acknowledged or is an emergency."""
    acknowledged = {one for order in orders.acknowledged for one in order.actions}
    hit: dict[Strike, set[GuestName]] = {}
    for planned in chains:
        strike = strike_of(planned.action)
        if strike is None or planned.id in acknowledged:
            continue
        subject, nodes = planned.action.subject, suspend.nodes_of(planned)
        if any(one.scope.covers(subject, planned.service, nodes) for one in orders.glasses):
            continue
        hit.setdefault(strike, set()).add(subject)
    return hit


def too_many(
    fuse: Fuse, hit: Mapping[Strike, set[GuestName]], *, owned: int, unseen: int
) -> tuple[frozenset[Strike], int] | None:
    """Return which kinds of strike are too many, and how many may be; None if none are."""
    for strike, limit in sorted(fuse.kinds.items(), key=lambda item: item[0].value):
        struck = len(hit.get(strike, ()))
        if struck and struck + unseen > limit.of(owned):
            return frozenset({strike}), limit.of(owned)
    rest = frozenset(strike for strike in hit if strike not in fuse.kinds)
    allowed = max(fuse.guests, int(fuse.share * owned))
    struck = len({subject for strike in rest for subject in hit[strike]})
    return (rest, allowed) if struck and struck + unseen > allowed else None


def _struck(draft: Draft, planned: Wave) -> list[BlownFuse]:
    chains = [one for chain in draft.actions.values() for one in chain]
    hit = counted(draft.orders, chains)
    now = {one.action.subject for one in chains if strike_of(one.action) is not None}
    later = (_doomed(draft) | draft.may_be_struck) - now
    unseen = len(later) + len(draft.ownership.unread)
    owned = len(draft.ownership.owned)
    found = too_many(draft.source.desired.cluster.policy.fuse, hit, owned=owned, unseen=unseen)
    if found is None:
        return []
    kinds, allowed = found
    parts = [f"{_WORDS[strike]} {len(hit[strike])}" for strike in Strike if strike in kinds]
    if unseen:
        parts.append(f"do the same to others that can't be reached now, up to {unseen}")
    return [
        BlownFuse(
            fingerprint=_fingerprint(planned),
            message=f"this plan would {' and '.join(parts)} of {owned} guests, more than the"
            f" fuse allows ({allowed})",
            actions=planned,
        )
    ]


def lost_services(draft: Draft) -> frozenset[ServiceName]:
    """Return the services of which we own guests and no manifest knows any more.

    Those whose guests all have their tombstones were seen to go before, as were those
    that somebody undeleted.
    """
    return frozenset(
        place[0]
        for place, guest in draft.ownership.owned.items()
        if place[0] not in draft.source.desired.services
        and place not in draft.orders.undeleted
        and not _has_tombstone(draft, place, guest)
    )


def _has_tombstone(draft: Draft, place: Place, guest: ObservedGuest) -> bool:
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    return burial.standing(draft, place, guest, guest.config.value) is not None


def _lost(draft: Draft) -> list[BlownFuse]:
    fuse = draft.source.desired.cluster.policy.fuse
    orders = draft.orders
    if any(one.scope.kind is ScopeKind.ALL for one in orders.glasses):
        return []
    known = {service for order in orders.acknowledged for service in order.services}
    lost = lost_services(draft) - known
    ours = len({service for service, _ in draft.ownership.owned})
    allowed = max(fuse.lost_services, int(fuse.lost_share * ours))
    if len(lost) <= allowed:
        return []
    named = ", ".join(sorted(lost)[:5]) + (" …" if len(lost) > 5 else "")
    return [
        BlownFuse(
            fingerprint=_fingerprint(lost),
            message=f"{len(lost)} of {ours} services are in no manifest any more ({named}), and"
            f" {allowed} may be",
            services=lost,
        )
    ]


def _fingerprint(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:8]


def _doomed(draft: Draft) -> set[GuestName]:
    """Return the orphans that go sooner or later."""
    doomed: set[GuestName] = set()
    if draft.source.desired.cluster.policy.prune.mode is Prune.NEVER:
        return doomed
    for name in draft.orphans:
        verdict = draft.verdicts[name].verdict
        if isinstance(verdict, Held) and verdict.reason not in _SPARED:
            doomed.add(name)
    return doomed
