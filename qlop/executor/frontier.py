"""Choose which actions of a plan may start now. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable

from qlop.model.ids import GuestName
from qlop.model.plan import Plan, PlannedAction
from qlop.model.policy import Limits


def frontier(
    plan: Plan,
    *,
    busy: Collection[GuestName],
    taken: Iterable[str],
    underway: int,
    limits: Limits,
) -> tuple[PlannedAction, ...]:
    """Return what may start, in the plan's order: its order is its priority.

    An action may start if nothing it comes after is left in the plan, its guest is not
    ``busy`` and has no other action chosen, and each queue it ``takes`` has a place left.
    ``taken`` names a queue once for each action that stands in it, ``underway`` counts
    the actions whose end is not known.

    An action that finds a queue full holds no places in its others: a guest that waits
    for its storage must not keep one that needs only its node from starting.
    """
    open_ids = {planned.id for planned in plan.actions}
    counts = Counter(taken)
    chosen: dict[GuestName, PlannedAction] = {}
    for planned in plan.actions:
        if underway + len(chosen) >= limits.cluster:
            break
        subject = planned.action.subject
        if subject in busy or subject in chosen or open_ids.intersection(planned.after):
            continue
        if any(counts[queue] >= places(queue, limits) for queue in planned.takes):
            continue
        chosen[subject] = planned
        counts.update(planned.takes)
    return tuple(chosen.values())


def places(queue: str, limits: Limits) -> int:
    """Return how many actions may stand in ``queue`` at once; one if its kind is new."""
    match queue.partition(":")[0]:
        case "node":
            return limits.node
        case "migration":
            return limits.node_migrations
        case "storage":
            return limits.storage_clones
        case _:
            return 1
