"""Build a plan step by step: the one mutable place, frozen at the end."""

from dataclasses import replace
from datetime import datetime

from qlop.model.action import Verb
from qlop.model.desired import DesiredGuest
from qlop.model.history import Intended, Notice
from qlop.model.ids import ActionId, GuestName, NodeName, ServiceName, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.orders import ScopeKind, in_force
from qlop.model.plan import BlownFuse, Plan, PlanInput, PlannedAction
from qlop.model.trial import Judged, Trial
from qlop.model.unmanaged import Unmanaged
from qlop.model.verdict import Act, Converged, Held, SubjectVerdict, Verdict
from qlop.model.window import Window
from qlop.planner import backoff, ownership
from qlop.planner.capacity import Capacity
from qlop.planner.step import Step, Steps, chained
from qlop.planner.windows import is_open, next_change

CONSOLES = frozenset({"vncproxy", "vncshell", "termproxy", "spiceproxy", "spiceshell"})
"""Tasks that only watch a guest: they run as long as somebody has its console open."""

_RAISING = frozenset(verb.value for verb in (Verb.START, Verb.RESUME, Verb.REBOOT, Verb.ROLLBACK))
"""After these a guest comes up."""


class Draft:
    """What has been decided so far about one ``PlanInput``."""

    def __init__(self, source: PlanInput) -> None:
        self.source = source
        self.orders = in_force(source.orders, source.now)
        """What people ordered and has not ended: the only orders that a plan goes by."""
        self.ownership = ownership.index(
            source.desired.cluster.name, source.observed, source.history
        )
        self.capacity = Capacity(source.desired, source.observed, self.ownership)
        self.capacity.suspended = frozenset(
            NodeName(order.scope.name)
            for order in self.orders.suspensions
            if order.scope.kind is ScopeKind.NODE
        )
        self.templates = tuple(
            guest for guest in source.observed.guests.values() if guest.template
        )
        self.actions: dict[GuestName, tuple[PlannedAction, ...]] = {}
        self.verdicts: dict[GuestName, SubjectVerdict] = {}
        self.disrupting: set[ActionId] = set()
        self.asks: dict[ActionId, PlannedAction] = {}
        self.fuses: list[BlownFuse] = []
        self.judgments: list[Judged] = []
        self.notices: list[Notice] = []
        """What is to be remembered."""
        self._windows: dict[tuple[Window, ...], tuple[bool, datetime | None]] = {}
        self.orphans: set[GuestName] = set()
        """Guests of ours that no manifest names."""
        self.may_be_struck: set[GuestName] = set()
        """Guests that would be stopped or rebooted, were it known whether they run."""
        flying = source.history.inflight.values()
        self.flying = {
            (one.intended.service, one.intended.index): one
            for one in flying
            if not self._is_on_former(one.intended)
        }
        """What is in flight, by place, but for what is done to those whose place is taken."""
        self.vmids = {
            one.intended.vmid for one in flying if one.intended.verb in {Verb.CREATE, Verb.CLONE}
        }
        """VMIDs given out, by this plan or to guests that are being made."""
        self.reserved = _reserved(source)
        self.tasks = {
            task.vmid: task
            for task in sorted(source.observed.tasks, key=lambda one: one.upid)
            if task.vmid is not None and not task.exit_status and task.verb not in CONSOLES
        }
        self.node_tasks = tuple(task for task in source.observed.tasks if task.vmid is None)
        """Those that name no guest: they may be at work on any."""
        self.raised = _raised(source)
        """When each guest was last started or rebooted by us, by its name."""
        self.unsure: set[VmId] = set()
        """Guests that wait for what leaves no trace when it is done."""
        self._next_vmid: dict[int, int] = {}
        self._reconsider_at: datetime | None = None
        for order in self.orders:
            self.wake(order.until)

    def _is_on_former(self, intended: Intended) -> bool:
        formers = self.ownership.formers.get((intended.service, intended.index), ())
        is_former = any(guest.vmid == intended.vmid for guest in formers)
        return is_former and intended.subject.endswith(f"@{intended.vmid}")

    def trial(self, want: DesiredGuest, guest: ObservedGuest) -> Trial | None:
        """Return the trial that a guest is in; that of another one in its place is none."""
        trial = self.source.history.trials.get((want.service, want.index))
        if trial is None or trial.vmid not in {None, guest.vmid}:
            return None
        return trial

    def is_free(self, vmid: VmId) -> bool:
        """Return whether no guest has ``vmid`` and this plan has not given it out."""
        return vmid not in self.source.observed.guests and vmid not in self.vmids

    def free_vmid(self, low: int, high: int) -> VmId | None:
        """Return the lowest VMID of a range that nobody has or was promised."""
        for number in range(max(low, self._next_vmid.get(low, low)), high + 1):
            vmid = VmId(number)
            if self.is_free(vmid) and vmid not in self.reserved:
                self._next_vmid[low] = number
                return vmid
        return None

    def window(self, windows: tuple[Window, ...]) -> tuple[bool, datetime | None]:
        """Return whether one of these windows is open, and when that changes."""
        found = self._windows.get(windows)
        if found is None:
            dark = self.source.desired.cluster.policy.blackouts
            now = self.source.now
            found = is_open(windows, dark, now), next_change(windows, dark, now)
            self._windows[windows] = found
        if found[1] is not None:
            self.wake(found[1])
        return found

    def conclude(
        self,
        subject: GuestName,
        vmid: VmId | None,
        verdict: Verdict,
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Note the verdict on a subject that nothing is done to."""
        self.verdicts[subject] = SubjectVerdict(
            subject=subject, vmid=vmid, verdict=verdict, warnings=warnings
        )

    def decide(
        self,
        subject: GuestName,
        vmid: VmId | None,
        place: tuple[ServiceName, int],
        wanted: Steps,
    ) -> None:
        """Note what a subject needs, cut off at the first action that is backing off."""
        steps = list(wanted.steps)
        service = self.source.desired.services.get(place[0])
        chain = chained(steps, *place, service.fingerprint if service is not None else "")
        chain, waiting = self._ready(chain)
        if not chain:
            held = waiting or wanted.held
            verdict = held or Converged(note=wanted.note)
            self.conclude(subject, vmid, verdict, wanted.warnings)
            return
        self.actions[subject] = chain
        self._note_disruptions(steps, chain)
        ids = tuple(planned.id for planned in chain)
        acting = Act(actions=ids, held=waiting or wanted.held)
        self.conclude(subject, vmid, acting, wanted.warnings)

    def advise(self, subject: GuestName, held: Held) -> None:
        """Say of a subject that is held the same in other words."""
        verdict = self.verdicts[subject].verdict
        self._amend(subject, replace(verdict, held=held) if isinstance(verdict, Act) else held)

    def withhold(self, subject: GuestName, held: Held) -> None:
        """Take back every action on a subject."""
        self.actions.pop(subject, None)
        self._amend(subject, held)

    def withhold_from(self, subject: GuestName, first: ActionId, held: Held) -> None:
        """Take back an action on a subject and all that would follow it."""
        chain = self.actions[subject]
        kept = _worthwhile(chain[: next(i for i, one in enumerate(chain) if one.id == first)])
        if not kept:
            self.withhold(subject, held)
            return
        self.actions[subject] = kept
        ids = tuple(planned.id for planned in kept)
        self._amend(subject, Act(actions=ids, held=held))

    def wake(self, at: datetime) -> None:
        """Note that time alone changes the plan at ``at``."""
        if self._reconsider_at is None or at < self._reconsider_at:
            self._reconsider_at = at

    def frozen(self, unmanaged: tuple[Unmanaged, ...], unknown: tuple[Unmanaged, ...]) -> Plan:
        """Return the plan."""
        return Plan(
            revision=self.source.desired.revision,
            actions=tuple(
                planned for subject in sorted(self.actions) for planned in self.actions[subject]
            ),
            verdicts=self.verdicts,
            unmanaged=unmanaged,
            unknown=unknown,
            judgments=tuple(self.judgments),
            reconsider_at=self._reconsider_at,
            needs_room=self.capacity.was_asked,
            asks=tuple(self.asks[one] for one in sorted(self.asks)),
            fuses=tuple(self.fuses),
            notices=tuple(self.notices),
            unsure=frozenset(self.unsure),
        )

    def _amend(self, subject: GuestName, verdict: Verdict) -> None:
        self.verdicts[subject] = replace(self.verdicts[subject], verdict=verdict)

    def _ready(
        self, chain: tuple[PlannedAction, ...]
    ) -> tuple[tuple[PlannedAction, ...], Held | None]:
        history, policy = self.source.history, self.source.desired.cluster.policy
        if not (history.failures or history.unsent or history.repetitions):
            return chain, None
        for position, planned in enumerate(chain):
            waiting = backoff.hold(planned.id, history, policy, self.source.caller)
            if waiting is not None and waiting[1] > self.source.now:
                self.wake(waiting[1])
                return _worthwhile(chain[:position]), waiting[0]
        return chain, None

    def _note_disruptions(self, steps: list[Step], chain: tuple[PlannedAction, ...]) -> None:
        for step, planned in zip(steps, chain, strict=False):
            if step.disrupts:
                self.disrupting.add(planned.id)


def _worthwhile(chain: tuple[PlannedAction, ...]) -> tuple[PlannedAction, ...]:
    """Return a chain that was cut short without what only served the rest of it."""
    while chain and chain[-1].prepares:
        chain = chain[:-1]
    return chain


def _reserved(source: PlanInput) -> frozenset[VmId]:
    """Return the VMIDs that manifests ask for by number or that we once gave out."""
    asked = {guest.vmid for guest in source.desired.guests.values() if guest.vmid is not None}
    given = {reserved.vmid for reserved in source.history.reservations.values()}
    return frozenset(asked | given)


def _raised(source: PlanInput) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for action, done in source.history.repetitions.items():
        subject, verb, _ = action.split("/")
        if verb in _RAISING:
            found[subject] = max(done.at, found.get(subject, done.at))
    return found
