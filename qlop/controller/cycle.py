"""One pass: load, observe, settle, plan, audit, act, publish. The file to read first."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from qlop.controller import happenings, status
from qlop.controller.manifests import InForce, Manifests
from qlop.model.desired import Desired
from qlop.model.event import Event
from qlop.model.finding import Finding, Severity
from qlop.model.history import Ending, History, Inflight
from qlop.model.ids import ActionId, CycleId, Upid, VmId
from qlop.model.observed import Observed
from qlop.model.plan import Plan, PlanInput
from qlop.model.policy import Limits
from qlop.model.reading import Known
from qlop.model.status import NodeStatus, Status
from qlop.observer.observer import Interest
from qlop.planner import planner
from qlop.planner.audit import audit, dropped
from qlop.planner.quiet import is_quiet
from qlop.planner.settle import Adopt, Settled, settle
from qlop.ports import Clock, Ids


class Observing(Protocol):
    """What a cycle needs of the observer."""

    @property
    def remark(self) -> str:
        """Return what a person should know about the version of PVE, empty if nothing."""
        ...

    async def observe(self, interest: Interest) -> Observed:
        """Return what the cluster shows now; gaps are values in it."""
        ...

    def touch(self, vmid: VmId) -> None:
        """Read this guest afresh in the next observation."""
        ...


class Acting(Protocol):
    """What a cycle needs of the executor."""

    @property
    def ends(self) -> int:
        """Return how many actions have ended so far."""
        ...

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        """Dispatch the frontier of ``plan`` and return at once."""
        ...

    def settle(
        self,
        action: ActionId,
        attempt: int,
        ending: Ending,
        message: str,
        *,
        upid: Upid | None = None,
    ) -> bool:
        """Record how an ambiguous action ended, or take up its task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """What one cycle saw and decided; ``plan`` None if there was nothing to plan by."""

    status: Status
    plan: Plan | None
    source: PlanInput | None
    started: tuple[ActionId, ...] = ()


@dataclass(slots=True, kw_only=True)
class Engine:
    """The parts of a cycle, and what one cycle hands to the next."""

    manifests: Manifests
    observer: Observing
    executor: Acting | None
    """None: only look and plan."""
    history: Callable[[], History]
    clock: Clock
    ids: Ids
    is_leading: Callable[[], bool]
    on_event: Callable[[Event], None]
    last: CycleResult | None = None
    _interest: tuple[Desired, Interest] | None = None

    async def cycle(self, *, read_manifests: bool, act: bool) -> CycleResult:
        """Make one pass and return what it saw and decided.

        Nothing the cluster does makes it raise; a bug does, and ends the cycle.
        """
        now, cycle = self.clock.now(), self.ids.cycle_id()
        cycle_id = CycleId(cycle)
        force = self.manifests.load() if read_manifests else self.manifests.in_force()
        if force.desired is None:
            return self._conclude(self._blind(now, cycle_id, force, "no good manifests"))
        seen = self.executor.ends if self.executor is not None else 0
        observed = await self.observer.observe(self._interest_in(force.desired))
        if self.executor is not None and act:
            self._settle(observed)
        source = PlanInput(
            desired=force.desired, observed=observed, history=self.history(), now=now
        )
        result = self._plan(source, cycle_id, force)
        if act and self.executor is not None and self._may_act(result):
            assert result.plan is not None
            limits = force.desired.cluster.policy.limits
            started = self.executor.start(result.plan, cycle=cycle_id, seen=seen, limits=limits)
            result = replace(result, started=started)
        return self._conclude(result)

    def _plan(self, source: PlanInput, cycle: CycleId, force: InForce) -> CycleResult:
        last = self.last
        if (
            last is not None
            and last.plan is not None
            and last.source is not None
            and is_quiet(last.source, last.plan, source)
        ):
            plan, subjects, nodes = last.plan, last.status.subjects, last.status.nodes
        else:
            plan = planner.plan(source)
            subjects = status.subjects(source.desired, source.observed, source.history, plan)
            nodes = self._nodes(source)
        broken = audit(source, plan)
        if broken:
            told = dropped(plan, broken)
            subjects = status.subjects(source.desired, source.observed, source.history, told)
        observed = source.observed
        seen = observed.complete
        stalled = _stalled(force, observed, broken, leading=self.is_leading())
        former = last.status if last is not None else None
        now_status = Status(
            at=source.now,
            cycle=cycle,
            revision=source.desired.revision,
            observed_at=observed.taken_at if seen else (former.observed_at if former else None),
            reconciled_at=source.now if seen else (former.reconciled_at if former else None),
            leading=self.is_leading(),
            stalled=stalled,
            quorate=observed.quorate == Known(True),
            nodes=nodes,
            subjects=subjects,
            unmanaged=plan.unmanaged,
            findings=(*force.findings, *_remarks(self.observer), *broken),
            gaps=observed.gaps,
        )
        return CycleResult(status=now_status, plan=plan, source=source)

    def _nodes(self, source: PlanInput) -> tuple[NodeStatus, ...]:
        """Return the nodes as they were last seen, if they are not seen now."""
        if not source.observed.nodes and self.last is not None:
            return self.last.status.nodes
        return status.nodes(source.desired, source.observed)

    def _may_act(self, result: CycleResult) -> bool:
        assert result.plan is not None
        if not result.plan.actions or not self.is_leading():
            return False
        return not any(found.code.startswith("audit-") for found in result.status.findings)

    def _settle(self, observed: Observed) -> None:
        for flying in tuple(self.history().inflight.values()):
            if flying.ambiguous:
                self._settle_one(flying, observed)

    def _settle_one(self, flying: Inflight, observed: Observed) -> None:
        assert self.executor is not None
        intended = flying.intended
        match settle(flying, observed, self.clock.now()):
            case Adopt(upid=upid):
                self.executor.settle(
                    intended.action, intended.attempt, Ending.SUCCEEDED, "", upid=upid
                )
            case Settled(ending=ending, message=message):
                self.executor.settle(intended.action, intended.attempt, ending, message)
            case None:
                self.observer.touch(intended.vmid)

    def _interest_in(self, desired: Desired) -> Interest:
        if self._interest is None or self._interest[0] is not desired:
            self._interest = (desired, _interest(desired))
        return self._interest[1]

    def _blind(self, now: datetime, cycle: CycleId, force: InForce, stalled: str) -> CycleResult:
        former = self.last.status if self.last is not None else None
        seen = status.blind(
            at=now,
            cycle=cycle,
            leading=self.is_leading(),
            stalled=stalled,
            findings=force.findings,
            before=former,
        )
        return CycleResult(status=seen, plan=None, source=None)

    def _conclude(self, result: CycleResult) -> CycleResult:
        before = self.last.status if self.last is not None else None
        for event in happenings.between(before, result.status):
            self.on_event(event)
        self.last = result
        return result


def _remarks(observer: Observing) -> tuple[Finding, ...]:
    if not observer.remark:
        return ()
    return (Finding(severity=Severity.WARNING, code="pve-version", message=observer.remark),)


def _interest(desired: Desired) -> Interest:
    wanting = {
        guest.service
        for guest in desired.guests.values()
        if guest.snapshots.keep or guest.snapshots.prune
    }
    return Interest(cluster=desired.cluster.name, snapshots_of=frozenset(wanting))


def _stalled(
    force: InForce, observed: Observed, broken: tuple[Finding, ...], *, leading: bool
) -> str:
    if broken:
        return f"the plan breaks a safety law and is dropped: {broken[0].message}"
    if isinstance(observed.quorate, Known) and not observed.quorate.value:
        return "the cluster has no quorum"
    if not observed.complete:
        return "; ".join(observed.gaps) or "the cluster could not be seen whole"
    if not leading:
        return "another qlop holds the lease"
    if not force.is_current:
        return "the newest manifests are not good; the last good revision stays in force"
    return ""
