"""Hold back what would take down too many guests at once."""

from dataclasses import dataclass, field

from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.ids import ActionId, GuestName, NodeName, ServiceName
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.step import place_of
from qlop.planner.wellness import is_down


@dataclass(slots=True)
class _Down:
    """Who is down, or about to be: of each service, on each node, in all."""

    services: dict[ServiceName, set[GuestName]] = field(default_factory=dict)
    nodes: dict[NodeName, set[GuestName]] = field(default_factory=dict)
    all: set[GuestName] = field(default_factory=set)

    def add(self, want: DesiredGuest, node: NodeName | None) -> None:
        self.services.setdefault(want.service, set()).add(want.name)
        self.all.add(want.name)
        if node is not None:
            self.nodes.setdefault(node, set()).add(want.name)


def keep_budgets(draft: Draft) -> None:
    """Let no more guests be down at once than the budgets say, whatever the cause.

    There is one of each service (``maxUnavailable``), and of nodes and the cluster if the
    policy has them. A guest that is down or unhealthy, or that has an action in flight,
    uses them; but its own further actions do not need a second share.
    """
    if not draft.disrupting:
        return
    down = _down(draft)
    for subject in sorted(draft.actions):
        want = draft.source.desired.guests.get(subject)
        if want is None or want.power is not Power.RUNNING or subject in down.all:
            continue
        first = _first_disruption(draft, subject)
        if first is None:
            continue
        guest = draft.ownership.owned.get(place_of(want))
        assert guest is not None, "only what is there can be taken down"
        node = guest.node
        held = _hold(draft, want, node, down)
        if held is None:
            down.add(want, node)
        else:
            draft.withhold_from(subject, first, held)


def _first_disruption(draft: Draft, subject: GuestName) -> ActionId | None:
    chain = draft.actions[subject]
    return next((planned.id for planned in chain if planned.id in draft.disrupting), None)


def _down(draft: Draft) -> _Down:
    down = _Down()
    for want in draft.source.desired.guests.values():
        if want.power is Power.RUNNING and is_down(draft, want):
            guest = draft.ownership.owned.get(place_of(want))
            down.add(want, guest.node if guest is not None else None)
    return down


def _hold(draft: Draft, want: DesiredGuest, node: NodeName, down: _Down) -> Held | None:
    service = draft.source.desired.services[want.service]
    budget = draft.source.desired.cluster.policy.budget
    of_service = down.services.get(want.service, set())
    if len(of_service) >= service.update.max_unavailable:
        return _budget_hold(want.service, of_service, service.update.max_unavailable)
    on_node = down.nodes.get(node, set())
    if budget.node is not None and len(on_node) >= budget.node:
        return _policy_hold(f"on {node}", on_node, f"policy.budget.node is {budget.node}")
    if budget.cluster is not None and len(down.all) >= budget.cluster:
        said = f"policy.budget.cluster is {budget.cluster}"
        return _policy_hold("in the cluster", down.all, said)
    return None


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


def _policy_hold(where: str, down: set[GuestName], said: str) -> Held:
    named = ", ".join(sorted(down)[:5]) + (" and others" if len(down) > 5 else "")
    return Held(
        reason=Hold.BUDGET,
        message=f"{named} {where} is down or about to be, and {said}",
        remedy="it goes on when they are back",
    )
