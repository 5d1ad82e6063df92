"""Hold back what would be too much of one service at once."""

from qlop.model.guest import Power
from qlop.model.ids import GuestName, ServiceName
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.step import place_of


def keep_budgets(draft: Draft) -> None:
    """Let no more guests of a service be down at once than its ``maxUnavailable``.

    A guest that is down, or has an action in flight that takes it down, uses the budget,
    whatever the cause; but its own further actions do not need a second share of it.
    """
    if not draft.disrupting:
        return
    down = _down(draft)
    for subject in sorted(draft.actions):
        want = draft.source.desired.guests.get(subject)
        if want is None or subject in down.get(want.service, ()):
            continue
        if want.power is not Power.RUNNING:
            continue
        for planned in draft.actions[subject]:
            if planned.id not in draft.disrupting:
                continue
            others = down.setdefault(want.service, set())
            limit = draft.source.desired.services[want.service].update.max_unavailable
            if len(others) < limit:
                others.add(subject)
            else:
                draft.withhold_from(subject, planned.id, _budget_hold(want.service, others, limit))
            break


def _down(draft: Draft) -> dict[ServiceName, set[GuestName]]:
    down: dict[ServiceName, set[GuestName]] = {}
    owned = draft.ownership.owned
    for name, want in draft.source.desired.guests.items():
        if want.power is not Power.RUNNING:
            continue
        guest = owned.get(place_of(want))
        if guest is None or guest.power is not Power.RUNNING or place_of(want) in draft.flying:
            down.setdefault(want.service, set()).add(name)
    return down


def _budget_hold(service: ServiceName, down: set[GuestName], limit: int) -> Held:
    if limit == 0:
        return Held(
            reason=Hold.BUDGET,
            message=f"it would be down for a while, and {service} has maxUnavailable 0:"
            " none of its guests may ever be down for a change",
            remedy="do it by hand when that suits, or raise maxUnavailable",
        )
    return Held(
        reason=Hold.BUDGET,
        message=f"{', '.join(sorted(down))} of {service} is down or about to be, and"
        f" maxUnavailable is {limit}",
        remedy="it goes on when they are back",
    )
