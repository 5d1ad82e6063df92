"""Tell whether a new observation can change a plan in which there was nothing to do.

Most cycles of a healthy cluster see what the one before saw. Planning them anew would
give the same plan; this says so at the cost of a few comparisons.
"""

from qlop.model.observed import Observed
from qlop.model.plan import Plan, PlanInput


def is_quiet(before: PlanInput, plan: Plan, now: PlanInput) -> bool:
    """Return whether ``plan``, made of ``before``, is also the plan of ``now``.

    Memory and storage in use are left out: they only matter where a place was looked
    for, and such a plan is never quiet.
    """
    if (
        plan.actions
        or plan.notices
        or plan.judgments
        or plan.needs_room
        or now.desired is not before.desired
        or now.history is not before.history
        or now.orders != before.orders
    ):
        return False
    if plan.reconsider_at is not None and plan.reconsider_at <= now.now:
        return False
    return _is_same(before.observed, now.observed)


def _is_same(before: Observed, now: Observed) -> bool:
    return (
        now.guests is before.guests
        and now.complete == before.complete
        and now.quorate == before.quorate
        and now.gaps == before.gaps
        and now.health == before.health
        and now.backups == before.backups
        and _running(now) == _running(before)
        and _nodes(now) == _nodes(before)
        and _storages(now) == _storages(before)
    )


def _running(observed: Observed) -> frozenset[str]:
    return frozenset(task.upid for task in observed.tasks if not task.exit_status)


def _nodes(observed: Observed) -> frozenset[tuple[str, bool, bool, int]]:
    return frozenset(
        (node.name, node.online, node.maintenance, node.memory_bytes)
        for node in observed.nodes.values()
    )


def _storages(observed: Observed) -> frozenset[tuple[str, str, bool, bool, frozenset[str]]]:
    return frozenset(
        (store.storage, store.node, store.shared, store.active, store.content)
        for store in observed.storages.values()
    )
