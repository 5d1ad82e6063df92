"""Check a finished plan against budgets, and that nothing is rolled back unasked."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from qlop.model.action import (
    MigrateGuest,
    MigrationMode,
    RebootGuest,
    ReplaceGuest,
    RollbackSnapshot,
    ShutdownGuest,
)
from qlop.model.finding import Finding, Severity
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.ids import ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest, ObservedSnapshot
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.reading import Known


def check_budgets(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    """Count who is not up, and who would be taken down besides."""
    up = _up(source)
    struck = {planned.action.vmid for planned in plan.actions if _takes_down(planned)}
    budget = source.desired.cluster.policy.budget
    running = [one for one in source.desired.guests.values() if one.power is Power.RUNNING]
    every = [(one.service, one.index) for one in running]
    nodes = {place: guests[-1].node for place, guests in _places(source).items()}
    for name, service in source.desired.services.items():
        places = [place for place in every if place[0] == name]
        yield from _over(name, places, up, struck, service.update.max_unavailable)
    if budget.cluster is not None:
        yield from _over("all", every, up, struck, budget.cluster)
    for node in sorted(set(nodes.values())) if budget.node is not None else ():
        here = [place for place in every if nodes.get(place) == node]
        yield from _over(f"those on {node}", here, up, struck, budget.node or 0)


def _over(
    whose: str,
    places: Sequence[tuple[ServiceName, int]],
    up: Mapping[tuple[ServiceName, int], AbstractSet[VmId]],
    struck: AbstractSet[VmId],
    limit: int,
) -> Iterator[Finding]:
    taken = sum(place in up and up[place] <= struck for place in places)
    down = sum(place not in up for place in places)
    if taken and taken + down > limit:
        message = f"it takes down {taken} of {whose} while {down} are, of {limit} that may be"
        yield _finding("budget", message)


def _up(source: PlanInput) -> dict[tuple[ServiceName, int], set[VmId]]:
    """Return who runs and is not known to be unhealthy, with nothing in flight.

    Of a place where one guest gives way to another both may run.
    """
    flying = {one.intended.vmid for one in source.history.inflight.values()}
    sick = {
        vmid
        for vmid, health in source.observed.health.items()
        if health.condition is Condition.UNHEALTHY
    }
    found = {
        place: {
            guest.vmid
            for guest in guests
            if guest.power is Power.RUNNING and guest.vmid not in flying | sick
        }
        for place, guests in _places(source).items()
    }
    return {place: vmids for place, vmids in found.items() if vmids}


def _places(source: PlanInput) -> dict[tuple[ServiceName, int], list[ObservedGuest]]:
    found: dict[tuple[ServiceName, int], list[ObservedGuest]] = {}
    for guest in source.observed.guests.values():
        mark = guest.config.value.mark if isinstance(guest.config, Known) else None
        if mark is None or mark.cluster != source.desired.cluster.name:
            continue
        if mark.vmid == guest.vmid:
            found.setdefault((mark.service, mark.index), []).append(guest)
    return found


def _takes_down(planned: PlannedAction) -> bool:
    match planned.action:
        case ShutdownGuest() | RebootGuest() | RollbackSnapshot():
            return True
        case MigrateGuest(mode=mode):
            return mode is MigrationMode.RESTART
        case ReplaceGuest():
            return False  # The shutdown that follows does.
        case _:
            return planned.impact is Impact.DOWNTIME


def check_rollbacks(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    """Yield each rollback that no manifest, or no bad judgment, asks for."""
    for planned in plan.actions:
        action = planned.action
        if not isinstance(action, RollbackSnapshot):
            continue
        service = source.desired.services.get(planned.service)
        trial = source.history.trials.get((planned.service, planned.index))
        if service is None or not service.rollback.disks:
            yield _finding("data-loss", f"{planned.id} would roll disks back unasked")
        elif trial is None or trial.bad is None or trial.snapshot != action.snapshot:
            yield _finding("data-loss", f"{planned.id} undoes what was not judged bad")
        elif not any(one.ours for one in _called(source, action)):
            yield _finding("not-ours", f"{planned.id} rolls back to a snapshot that is not ours")


def _called(source: PlanInput, action: RollbackSnapshot) -> tuple[ObservedSnapshot, ...]:
    guest = source.observed.guests.get(action.vmid)
    if guest is None or not isinstance(guest.snapshots, Known):
        return ()
    return tuple(one for one in guest.snapshots.value if one.name == action.snapshot)


def _finding(code: str, message: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=f"audit-{code}", message=message)
