"""Say how things stand after a cycle, purely."""

from dataclasses import replace
from datetime import datetime

from qlop.model.desired import Desired, DesiredGuest
from qlop.model.finding import Finding
from qlop.model.guest import Power
from qlop.model.history import History
from qlop.model.ids import CycleId, GuestName, ServiceName
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.orders import Approve, Order, in_force
from qlop.model.plan import Plan, PlanInput
from qlop.model.reading import Known
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.model.verdict import SubjectVerdict
from qlop.planner.consent import is_approved


def subjects(
    desired: Desired, observed: Observed, history: History, plan: Plan
) -> tuple[SubjectStatus, ...]:
    """Return every subject of the plan, by name."""
    return tuple(
        _subject(name, plan.verdicts[name], desired.guests.get(name), observed, history)
        for name in sorted(plan.verdicts)
    )


def orders(source: PlanInput) -> tuple[Order, ...]:
    """Return the orders in force, but for approvals that were made use of."""
    standing = in_force(source.orders, source.now)
    history = source.history
    return tuple(
        order
        for order in standing
        if not isinstance(order, Approve) or is_approved(standing, history, order.action)
    )


def nodes(desired: Desired | None, observed: Observed) -> tuple[NodeStatus, ...]:
    """Return every node that is there or expected, by name."""
    guests: dict[str, int] = {}
    promised: dict[str, int] = {}
    for guest in observed.guests.values():
        guests[guest.node] = guests.get(guest.node, 0) + 1
        if guest.power is not Power.STOPPED:
            promised[guest.node] = promised.get(guest.node, 0) + guest.memory_bytes
    names = set(observed.nodes) | set(desired.cluster.nodes if desired is not None else ())
    statuses = []
    for name in sorted(names):
        seen = observed.nodes.get(name)
        statuses.append(
            NodeStatus(
                name=name,
                online=seen is not None and seen.online,
                guests=guests.get(name, 0),
                memory_bytes=seen.memory_bytes if seen is not None else 0,
                memory_promised_bytes=promised.get(name, 0),
            )
        )
    return tuple(statuses)


def unseen(last: tuple[NodeStatus, ...]) -> tuple[NodeStatus, ...]:
    """Return nodes as they were last known, said to be so."""
    return tuple(replace(node, seen=False) for node in last)


def blind(
    *,
    at: datetime,
    cycle: CycleId,
    leading: bool,
    stalled: str,
    findings: tuple[Finding, ...],
    before: Status | None,
) -> Status:
    """Return the status of a cycle that saw nothing: what was known, and why it is old."""
    return Status(
        at=at,
        cycle=cycle,
        revision=before.revision if before is not None else None,
        observed_at=before.observed_at if before is not None else None,
        reconciled_at=before.reconciled_at if before is not None else None,
        leading=leading,
        stalled=stalled,
        quorate=False,
        nodes=unseen(before.nodes) if before is not None else (),
        subjects=before.subjects if before is not None else (),
        unmanaged=before.unmanaged if before is not None else (),
        unknown=before.unknown if before is not None else (),
        findings=findings,
        gaps=(stalled,),
        orders=before.orders if before is not None else (),
        asks=before.asks if before is not None else (),
        fuses=before.fuses if before is not None else (),
    )


def _subject(
    name: GuestName,
    verdict: SubjectVerdict,
    want: DesiredGuest | None,
    observed: Observed,
    history: History,
) -> SubjectStatus:
    guest = _guest(verdict, observed)
    flying = history.inflight.get(name)
    service, index = (want.service, want.index) if want is not None else _place_of(name, guest)
    return SubjectStatus(
        name=name,
        service=service,
        index=index,
        orphan=want is None and index is not None,
        vmid=verdict.vmid,
        node=guest.node if guest is not None else None,
        power=guest.power if guest is not None else None,
        verdict=verdict.verdict,
        warnings=verdict.warnings,
        inflight=flying if flying is not None and flying.ended_at is None else None,
        health=observed.health.get(guest.vmid) if guest is not None else None,
    )


def _place_of(name: GuestName, guest: ObservedGuest | None) -> tuple[ServiceName, int | None]:
    """Return the service and index that the mark of an orphan names."""
    if guest is not None and isinstance(guest.config, Known) and guest.config.value.mark:
        mark = guest.config.value.mark
        return mark.service, mark.index
    return ServiceName(name), None


def _guest(verdict: SubjectVerdict, observed: Observed) -> ObservedGuest | None:
    return observed.guests.get(verdict.vmid) if verdict.vmid is not None else None
