"""Hold back what would take down too many guests at once."""

from dataclasses import dataclass, field

from qlop.model.action import Verb
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.ids import ActionId, GuestName, NodeName, ServiceName
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.step import place_of
from qlop.planner.wellness import is_coming_up, is_down, is_uncertain

_TREATMENTS = frozenset({Verb.SHUTDOWN, Verb.START, Verb.REBOOT, Verb.ROLLBACK, Verb.MIGRATE})
"""What takes a guest down, or brings it up again."""


@dataclass(slots=True)
class _Down:
    """Who is down, or about to be: of each service, on each node, in all."""

    services: dict[ServiceName, set[GuestName]] = field(default_factory=dict)
    nodes: dict[NodeName, set[GuestName]] = field(default_factory=dict)
    all: set[GuestName] = field(default_factory=set)
    idle: set[GuestName] = field(default_factory=set)
    """Those that do not run, or have an action in flight: nothing can be taken from them."""
    sick: set[GuestName] = field(default_factory=set)
    """Those that run and are unhealthy."""
    rising: set[GuestName] = field(default_factory=set)
    """Those that were just started, and have no checks."""
    treated: set[ServiceName] = field(default_factory=set)
    """Services of which a sick one is taken down by this plan, or one is down or coming up."""

    def add(self, want: DesiredGuest, node: NodeName | None) -> None:
        self.services.setdefault(want.service, set()).add(want.name)
        self.all.add(want.name)
        if node is not None:
            self.nodes.setdefault(node, set()).add(want.name)


def keep_budgets(draft: Draft) -> None:
    """Let no more guests be down at once than the budgets say, whatever the cause.

    There is one of each service (``maxUnavailable``), and of nodes and the cluster if the
    policy has them. A guest that is down or unhealthy, of which it is not known how it is,
    that is still coming up, or has an action in flight, uses them. One that is down needs no
    second share for its own further actions; of those that run and are unhealthy one of a
    service at a time, since it may be the check that is wrong: the next one when that is up again, and
    known to be well or not.
    """
    if not draft.disrupting:
        return
    down = _down(draft)
    for subject in sorted(draft.actions):
        want = draft.source.desired.guests.get(subject)
        if want is None or want.power is not Power.RUNNING or subject in down.idle:
            continue
        first = _first_disruption(draft, subject)
        if first is None:
            continue
        guest = draft.ownership.owned.get(place_of(want))
        assert guest is not None, "only what is there can be taken down"
        node = guest.node
        if subject in down.sick and want.service not in down.treated:
            down.treated.add(want.service)
            continue
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
        if want.power is not Power.RUNNING:
            continue
        guest = draft.ownership.owned.get(place_of(want))
        node = guest.node if guest is not None else None
        flying = draft.flying.get(place_of(want))
        if flying is not None and flying.intended.verb in _TREATMENTS:
            down.treated.add(want.service)
        if is_down(draft, want):
            down.add(want, node)
            runs = guest is not None and guest.power is Power.RUNNING
            is_sick = runs and place_of(want) not in draft.flying
            (down.sick if is_sick else down.idle).add(want.name)
        elif is_uncertain(draft, want):
            down.add(want, node)
            down.treated.add(want.service)
        elif is_coming_up(draft, want):
            down.add(want, node)
            down.rising.add(want.name)
    return down


def _hold(draft: Draft, want: DesiredGuest, node: NodeName, down: _Down) -> Held | None:
    service = draft.source.desired.services[want.service]
    budget = draft.source.desired.cluster.policy.budget
    itself = {want.name} & down.rising  # Nobody relies on it yet: it has a share already.
    of_service = down.services.get(want.service, set()) - itself
    if len(of_service) >= service.update.max_unavailable:
        return _budget_hold(want.service, of_service, service.update.max_unavailable)
    on_node = down.nodes.get(node, set()) - itself
    if budget.node is not None and len(on_node) >= budget.node:
        return _policy_hold(f"on {node}", on_node, f"policy.budget.node is {budget.node}")
    everywhere = down.all - itself
    if budget.cluster is not None and len(everywhere) >= budget.cluster:
        said = f"policy.budget.cluster is {budget.cluster}"
        return _policy_hold("in the cluster", everywhere, said)
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
