"""Build a plan step by step: the one mutable place, frozen at the end."""

from collections.abc import Iterable
from datetime import datetime

from qlop.model.action import Verb
from qlop.model.ids import ActionId, GuestName, ServiceName, VmId
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.verdict import Act, Converged, Held, SubjectVerdict, Verdict
from qlop.planner import backoff, ownership
from qlop.planner.capacity import Capacity
from qlop.planner.step import Step, Steps, chained

CONSOLES = frozenset({"vncproxy", "vncshell", "termproxy", "spiceproxy", "spiceshell"})
"""Tasks that only watch a guest: they run as long as somebody has its console open."""


class Draft:
    """What has been decided so far about one ``PlanInput``."""

    def __init__(self, source: PlanInput) -> None:
        self.source = source
        self.ownership = ownership.index(
            source.desired.cluster.name, source.observed, source.history
        )
        self.capacity = Capacity(source.desired, source.observed, self.ownership)
        self.templates = tuple(
            guest for guest in source.observed.guests.values() if guest.template
        )
        self.actions: dict[GuestName, tuple[PlannedAction, ...]] = {}
        self.verdicts: dict[GuestName, SubjectVerdict] = {}
        self.disrupting: set[ActionId] = set()
        self.orphans: set[GuestName] = set()
        """Guests of ours that no manifest names."""
        self.may_be_struck: set[GuestName] = set()
        """Guests that would be stopped or rebooted, were it known whether they run."""
        flying = source.history.inflight.values()
        self.flying = {(one.intended.service, one.intended.index): one for one in flying}
        """What is in flight, by place."""
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
        self._next_vmid: dict[int, int] = {}
        self._reconsider_at: datetime | None = None

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

    def conclude(self, subject: GuestName, vmid: VmId | None, verdict: Verdict) -> None:
        """Note the verdict on a subject that nothing is done to."""
        self.verdicts[subject] = SubjectVerdict(subject=subject, vmid=vmid, verdict=verdict)

    def decide(
        self,
        subject: GuestName,
        vmid: VmId | None,
        place: tuple[ServiceName, int],
        wanted: Steps,
    ) -> None:
        """Note what a subject needs, cut off at the first action that is backing off."""
        steps = list(wanted.steps)
        chain = chained(steps, *place)
        chain, waiting = self._ready(chain)
        if not chain:
            held = waiting or wanted.held
            self.conclude(subject, vmid, held or Converged(note=wanted.note))
            return
        self.actions[subject] = chain
        self._note_disruptions(steps, chain)
        ids = tuple(planned.id for planned in chain)
        self.conclude(subject, vmid, Act(actions=ids, held=waiting or wanted.held))

    def withhold(self, subject: GuestName, held: Held) -> None:
        """Take back every action on a subject."""
        self.actions.pop(subject, None)
        self.conclude(subject, self.verdicts[subject].vmid, held)

    def withhold_from(self, subject: GuestName, first: ActionId, held: Held) -> None:
        """Take back an action on a subject and all that would follow it."""
        chain = self.actions[subject]
        cut = next(i for i, planned in enumerate(chain) if planned.id == first)
        if cut == 0:
            self.withhold(subject, held)
            return
        self.actions[subject] = chain[:cut]
        ids = tuple(planned.id for planned in chain[:cut])
        self.conclude(subject, self.verdicts[subject].vmid, Act(actions=ids, held=held))

    def wake(self, at: datetime) -> None:
        """Note that time alone changes the plan at ``at``."""
        if self._reconsider_at is None or at < self._reconsider_at:
            self._reconsider_at = at

    def frozen(self, unmanaged: Iterable[GuestName]) -> Plan:
        """Return the plan."""
        return Plan(
            revision=self.source.desired.revision,
            actions=tuple(
                planned for subject in sorted(self.actions) for planned in self.actions[subject]
            ),
            verdicts=self.verdicts,
            unmanaged=tuple(unmanaged),
            reconsider_at=self._reconsider_at,
            needs_room=self.capacity.was_asked,
        )

    def _ready(
        self, chain: tuple[PlannedAction, ...]
    ) -> tuple[tuple[PlannedAction, ...], Held | None]:
        history, policy = self.source.history, self.source.desired.cluster.policy
        if not history.failures and not history.repetitions:
            return chain, None
        for position, planned in enumerate(chain):
            waiting = backoff.hold(planned.id, history, policy)
            if waiting is not None and waiting[1] > self.source.now:
                self.wake(waiting[1])
                return chain[:position], waiting[0]
        return chain, None

    def _note_disruptions(self, steps: list[Step], chain: tuple[PlannedAction, ...]) -> None:
        for step, planned in zip(steps, chain, strict=False):
            if step.disrupts:
                self.disrupting.add(planned.id)


def _reserved(source: PlanInput) -> frozenset[VmId]:
    """Return the VMIDs that manifests ask for by number or that we once gave out."""
    asked = {guest.vmid for guest in source.desired.guests.values() if guest.vmid is not None}
    given = {reserved.vmid for reserved in source.history.reservations.values()}
    return frozenset(asked | given)
