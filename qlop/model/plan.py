"""Freeze what was decided: actions, their order and reasons, a verdict per subject."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from qlop.model.action import Action
from qlop.model.desired import Desired
from qlop.model.finding import Finding
from qlop.model.guest import GuestKind, Power
from qlop.model.history import History, Notice
from qlop.model.ids import ActionId, GuestName, NodeName, Revision, ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedBackup
from qlop.model.orders import Orders
from qlop.model.owner import OwnerMark
from qlop.model.trial import Judged, Part
from qlop.model.unmanaged import Unmanaged
from qlop.model.verdict import SubjectVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInput:
    """Everything a plan depends on. ``desired.cluster.policy`` is the policy.

    ``orders`` may hold some that have ended; ``now`` decides.
    """

    desired: Desired
    observed: Observed
    history: History
    now: datetime
    orders: Orders = field(default_factory=Orders)
    caller: str = ""
    """The user or ``user!token`` that asks PVE, empty if that is not known."""
    placements: Mapping[GuestName, NodeName] = field(default_factory=dict)
    """Where guests that are yet to be built go, if somebody agreed to that: nowhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that will differ; ``old`` and ``new`` are for people (empty: not set)."""

    field: str
    old: str
    new: str
    impact: Impact


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Another guest, that must still be the same one when an action is sent.

    It must then be in the state ``power`` (None: any will do).
    """

    vmid: VmId
    kind: GuestKind
    node: NodeName
    mark: OwnerMark
    witness: str
    power: Power | None = Power.STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Premise:
    """What must still be true of an existing guest when an action on it is sent.

    The executor looks right before: another mark, witness or lock, or another ``power``
    (None: any will do) means the world moved, and nothing is sent. ``mark`` is None only
    for a guest about to be adopted that carries none. ``backup`` must still be there, and
    good, if there is one; ``beside`` likewise.
    """

    mark: OwnerMark | None
    witness: str
    power: Power | None = None
    backup: ObservedBackup | None = None
    beside: Beside | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """An action with its place in the order.

    It may be dispatched when all of ``after`` are done; those not of this plan count as
    done. ``impact`` is the worst of its changes and of the action itself. ``premise`` is
    None only for what creates a guest. ``takes`` names the queues it stands in
    (``node:pve1``, ``migration:pve1``, ``storage:local-lvm@pve1``, ``storage:nas``); the
    executor lets as many through as ``Limits`` says.
    """

    id: ActionId
    action: Action
    reason: str
    impact: Impact
    service: ServiceName
    index: int
    premise: Premise | None = None
    takes: tuple[str, ...] = ()
    witness: str = ""
    """For what creates a guest: the witness it will have."""
    expects: Mapping[str, str] = field(default_factory=dict)
    """Copied into the journal's ``Intended.expects``."""
    changes: tuple[Change, ...] = ()
    after: tuple[ActionId, ...] = ()
    fingerprint: str = ""
    """That of what its service is to be."""
    part: Part = Part.NONE
    """What it has to do with a trial. An undoing is part of the change it undoes: what
    was asked for that is not asked again."""
    before: Mapping[str, str] = field(default_factory=dict)
    """For a trial: what the options were that it writes, secrets left out."""
    prepares: bool = False
    """It serves the action after it alone, and is not done without it."""

    @property
    def undoes(self) -> bool:
        """Return whether it brings back what was before a bad change."""
        return self.part is Part.UNDO


@dataclass(frozen=True, slots=True, kw_only=True)
class BlownFuse:
    """What a fuse holds, and under which ``fingerprint`` it can be acknowledged."""

    fingerprint: str
    message: str
    actions: frozenset[ActionId] = frozenset()
    services: frozenset[ServiceName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The frozen decision of one cycle.

    ``reconsider_at``: the earliest instant at which equal inputs would give another
    plan (a backoff ends); None if time alone changes nothing. ``needs_room``: a place
    was looked for, so that the plan depends on how full nodes and storages are.
    """

    revision: Revision
    actions: tuple[PlannedAction, ...]
    verdicts: Mapping[GuestName, SubjectVerdict]
    unmanaged: tuple[Unmanaged, ...] = ()
    """Guests that are not ours, by VMID."""
    unknown: tuple[Unmanaged, ...] = ()
    """Guests of which nobody can say whose they are, by VMID."""
    findings: tuple[Finding, ...] = ()
    judgments: tuple[Judged, ...] = ()
    """What is to be written down of trials, whatever becomes of the actions."""
    reconsider_at: datetime | None = None
    needs_room: bool = False
    asks: tuple[PlannedAction, ...] = ()
    """Actions that wait for somebody's approval, whatever else they wait for."""
    fuses: tuple[BlownFuse, ...] = ()
    """Why all of it is held, if it is too much at once."""
    notices: tuple[Notice, ...] = ()
    """What is to be written into the journal besides."""
    unsure: frozenset[VmId] = frozenset()
    """Guests that wait for a person to do something in a shell of their node that leaves no
    trace: their configurations are read in every cycle."""
