"""Choose a node: what rules a node out, and which of the rest is best."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qlop.model.desired import DesiredCluster, DesiredGuest
from qlop.model.ids import NodeName
from qlop.model.observed import Observed
from qlop.model.units import GIB
from qlop.model.verdict import Held, Hold
from qlop.planner.capacity import Capacity

Refusal = tuple[Hold, str] | None
"""Why a node can't take a guest, as ``(reason, predicate)``; None if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The node a guest goes to."""

    node: NodeName


def choose(
    guest: DesiredGuest,
    cluster: DesiredCluster,
    observed: Observed,
    capacity: Capacity,
    *,
    refuses: Callable[[NodeName], Refusal],
    memory_bytes: int,
) -> Chosen | Held:
    """Return the best node for ``guest``, which needs ``memory_bytes``, or why there is none.

    ``refuses`` adds what only the caller knows (templates, storages). Of the nodes left
    the one with the fewest replicas of the service comes first, if they are to be
    spread; then the preferred in their order; then the one with the smallest promised
    share of memory; then by name.
    """
    refusals: dict[NodeName, tuple[Hold, str]] = {}
    candidates: list[NodeName] = []
    for node in sorted(_allowed(guest, cluster)):
        refusal = _refusal(node, guest, observed, capacity, memory_bytes)
        if refusal is None:
            refusal = refuses(node)
        if refusal is None:
            candidates.append(node)
        else:
            refusals[node] = refusal
    candidates = _together(guest, candidates, capacity)
    if not candidates:
        return _held(guest, refusals)
    return Chosen(node=min(candidates, key=lambda node: _score(guest, node, observed, capacity)))


def is_allowed(guest: DesiredGuest, node: NodeName) -> bool:
    """Return whether the manifest lets ``guest`` be on ``node``."""
    allowed = guest.placement.allowed
    return allowed is None or node in allowed


def conflicts(guest: DesiredGuest, node: NodeName, capacity: Capacity) -> tuple[str, ...]:
    """Return the services on ``node`` that ``guest`` must be kept apart from."""
    apart = capacity.apart_from(guest.service)
    if not apart:
        return ()
    here = capacity.services(node)
    return tuple(sorted(service for service in apart if here.get(service, 0) > 0))


def _allowed(guest: DesiredGuest, cluster: DesiredCluster) -> Iterable[NodeName]:
    allowed = guest.placement.allowed
    return cluster.nodes if allowed is None else allowed


def _refusal(
    node: NodeName,
    guest: DesiredGuest,
    observed: Observed,
    capacity: Capacity,
    memory_bytes: int,
) -> Refusal:
    seen = observed.nodes.get(node)
    if seen is None:
        return Hold.NO_NODE, "is not in the cluster"
    if not seen.online:
        return Hold.NO_NODE, "is offline"
    if node in capacity.suspended:
        return Hold.NO_NODE, "is suspended"
    if node in capacity.left:
        return Hold.NO_NODE, "is being emptied, or shut down, by a task of PVE's"
    if seen.maintenance:
        return Hold.NO_NODE, "is in maintenance"
    if seen.memory_bytes == 0:
        return Hold.NO_NODE, "has not reported its memory"
    if clashing := conflicts(guest, node, capacity):
        return Hold.NO_NODE, f"has {', '.join(clashing)}, to be kept apart from"
    free = capacity.memory_free(node)
    if memory_bytes > max(free, 0):
        left, needed = max(0, free) / GIB, memory_bytes / GIB
        text = f"has {left:.1f}GiB of memory left for guests, {needed:.1f}GiB are needed"
        return Hold.NO_CAPACITY, text
    return None


def _together(
    guest: DesiredGuest, candidates: list[NodeName], capacity: Capacity
) -> list[NodeName]:
    wanted = guest.placement.together_with
    if not wanted:
        return candidates
    joined = [
        node
        for node in candidates
        if any(capacity.services(node).get(service, 0) > 0 for service in wanted)
    ]
    return joined or candidates


def _score(
    guest: DesiredGuest, node: NodeName, observed: Observed, capacity: Capacity
) -> tuple[int, int, float, NodeName]:
    placement = guest.placement
    replicas = capacity.replicas(node, guest.service) if placement.spread else 0
    preferred = placement.preferred
    rank = preferred.index(node) if node in preferred else len(preferred)
    share = capacity.memory_promised(node) / observed.nodes[node].memory_bytes
    return replicas, rank, share, node


def _held(guest: DesiredGuest, refusals: dict[NodeName, tuple[Hold, str]]) -> Held:
    reasons = {hold for hold, _ in refusals.values()}
    order = (Hold.NO_CAPACITY, Hold.NO_STORAGE, Hold.NO_TEMPLATE, Hold.NO_NODE)
    reason = next((hold for hold in order if hold in reasons), Hold.NO_NODE)
    nodes: dict[str, list[NodeName]] = {}
    for node, (_, text) in sorted(refusals.items()):
        nodes.setdefault(text, []).append(node)
    detail = "; ".join(
        f"{those[0]} {text}" if len(those) == 1 else f"each of {', '.join(those)} {text}"
        for text, those in nodes.items()
    )
    return Held(
        reason=reason,
        message=f"no node can take {guest.name}: {detail or 'none is allowed'}",
        remedy=_REMEDIES[reason],
    )


_REMEDIES = {
    Hold.NO_CAPACITY: "ask for less, free what is missing, or allow other nodes in spec.placement",
    Hold.NO_STORAGE: "make the storage available there, name another, or allow other nodes in"
    " spec.placement",
    Hold.NO_TEMPLATE: "make the template (for a local storage one on each node), or name"
    " another in spec.source",
    Hold.NO_NODE: "bring a node back, or allow other nodes in spec.placement",
}
