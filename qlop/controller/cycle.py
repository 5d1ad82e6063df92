"""One pass: load, observe, settle, plan, audit, act, publish. The file to read first."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from qlop.controller import happenings, status
from qlop.controller.manifests import InForce, Manifests
from qlop.controller.ordering import Ordering
from qlop.journal.orderbook import MemoryOrderBook
from qlop.model.desired import Desired
from qlop.model.event import Event
from qlop.model.finding import Finding, Severity
from qlop.model.health import Health
from qlop.model.history import Ending, History, Inflight, Notice
from qlop.model.ids import ActionId, CycleId, GuestName, NodeName, Upid, VmId
from qlop.model.observed import Observed
from qlop.model.plan import Plan, PlanInput
from qlop.model.policy import Limits
from qlop.model.reading import Known
from qlop.model.rollout import RollbackMode
from qlop.model.status import NodeStatus, Status
from qlop.model.unseen import as_seen
from qlop.observer.observer import Interest
from qlop.planner import evidence, planner
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


class Feeling(Protocol):
    """What a cycle needs of the rounds, which ask guests how they are beside it."""

    def look(self, desired: Desired, observed: Observed) -> Mapping[VmId, Health]:
        """Take in whom to ask from now on; return how they are, as far as is known."""
        ...


class Acting(Protocol):
    """What a cycle needs of the executor."""

    @property
    def ends(self) -> int:
        """Return how many actions have ended so far."""
        ...

    @property
    def trouble(self) -> str:
        """Return why the journal can't be written, empty if it can."""
        ...

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        """Dispatch the frontier of ``plan`` and return at once."""
        ...

    def note(self, notices: Iterable[Notice]) -> None:
        """Write down what a plan wants remembered."""
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
    noted: bool = False
    """It wrote down what may change the next plan."""


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
    ordering: Ordering = field(default_factory=lambda: Ordering(MemoryOrderBook()))
    caller: str = ""
    """The token by which PVE is asked, for those who have to give it rights."""
    rounds: Feeling | None = None
    """None: nobody asks guests how they are, and of none it is known."""
    placements: Mapping[GuestName, NodeName] = field(default_factory=dict)
    """Where guests that are yet to be built go: what a plan that was kept says."""
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
        observed = await self.observer.observe(self._interest_in(force.desired, now))
        if self.executor is not None and act:
            self._settle(observed)
        if self.rounds is not None:
            observed = replace(observed, health=self.rounds.look(force.desired, observed))
        history = self.history()
        source = PlanInput(
            desired=force.desired,
            observed=observed,
            history=as_seen(history, observed.taken_at),
            now=now,
            orders=self.ordering.read(),
            caller=self.caller,
            placements=self.placements,
        )
        result = self._plan(source, cycle_id, force)
        if act and self.executor is not None and self._may_act(result):
            assert result.plan is not None
            self.executor.note((*result.plan.notices, *result.plan.judgments))
            noted = self.history() is not history
            limits = force.desired.cluster.policy.limits
            started = self.executor.start(result.plan, cycle=cycle_id, seen=seen, limits=limits)
            result = replace(result, started=started, noted=noted)
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
        stalled = _stalled(force, observed, broken, leading=self.is_leading(), mute=self._mute())
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
            unknown=plan.unknown,
            findings=(*force.findings, *_remarks(self.observer), *broken),
            gaps=observed.gaps,
            orders=status.orders(source),
            asks=plan.asks,
            fuses=plan.fuses,
        )
        return CycleResult(status=now_status, plan=plan, source=source)

    def _mute(self) -> str:
        """Return why nothing may be done whatever the plan, empty if nothing forbids it."""
        if self.ordering.trouble:
            return f"people's orders can't be read: {self.ordering.trouble}"
        trouble = self.executor.trouble if self.executor is not None else ""
        return f"nothing is done without writing it down first: {trouble}" if trouble else ""

    def _nodes(self, source: PlanInput) -> tuple[NodeStatus, ...]:
        """Return the nodes as they were last seen, if they are not seen now."""
        if not source.observed.nodes and self.last is not None:
            return status.unseen(self.last.status.nodes)
        return status.nodes(source.desired, source.observed)

    def _may_act(self, result: CycleResult) -> bool:
        assert result.plan is not None
        plan = result.plan
        if self.ordering.trouble:
            return False
        if not (plan.actions or plan.notices or plan.judgments) or not self.is_leading():
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
                for vmid in intended.touches:
                    self.observer.touch(vmid)

    def _interest_in(self, desired: Desired, now: datetime) -> Interest:
        if self._interest is None or self._interest[0] is not desired:
            self._interest = (desired, _interest(desired))
        history, known = self.history(), self._interest[1]
        due = evidence.wanted(history.tombstones, desired.cluster.policy.prune, now)
        left = {service for service, _ in history.leftovers} - known.snapshots_of
        last = self.last.plan if self.last is not None else None
        unsure = last.unsure if last is not None else frozenset()
        if not due and not left and not unsure:
            return known
        return replace(
            known, backups_of=due, snapshots_of=known.snapshots_of | left, unsure=unsure
        )

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
    rolling = {
        service.name
        for service in desired.services.values()
        if service.rollback.mode is RollbackMode.AUTO
    }
    return Interest(cluster=desired.cluster.name, snapshots_of=frozenset(wanting | rolling))


def _stalled(
    force: InForce,
    observed: Observed,
    broken: tuple[Finding, ...],
    *,
    leading: bool,
    mute: str,
) -> str:
    if mute:
        return mute
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
