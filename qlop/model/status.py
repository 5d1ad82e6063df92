"""Say how things stand: what the daemon publishes after each cycle."""

from dataclasses import dataclass
from datetime import datetime

from qlop.model.finding import Finding
from qlop.model.guest import Power
from qlop.model.health import Health
from qlop.model.history import Inflight
from qlop.model.ids import CycleId, GuestName, NodeName, Revision, ServiceName, VmId
from qlop.model.orders import Order
from qlop.model.plan import BlownFuse, PlannedAction
from qlop.model.unmanaged import Unmanaged
from qlop.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectStatus:
    """One guest: what is wanted of it, where it is, what the planner says."""

    name: GuestName
    service: ServiceName
    vmid: VmId | None
    node: NodeName | None
    power: Power | None
    """None while there is no guest."""
    verdict: Verdict
    warnings: tuple[str, ...] = ()
    """What differs and is left so, since its manifest wants it told only."""
    inflight: Inflight | None = None
    health: Health | None = None
    """None: it has no checks, or nobody asked it."""
    index: int | None = None
    """Its number in its service, None if that is not known."""
    orphan: bool = False
    """It is ours, and no manifest names it."""

    @property
    def is_ready(self) -> bool:
        """Return whether it is as wanted."""
        return type(self.verdict).__name__ == "Converged"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node: whether it is online, and how many of its bytes are promised.

    ``seen`` is false if this cycle could not look: then the rest is what was last known.
    """

    name: NodeName
    online: bool
    guests: int
    memory_bytes: int
    memory_promised_bytes: int
    seen: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How things stood at the end of a cycle.

    ``observed_at`` and ``reconciled_at`` are those of the last *successful* observation
    and cycle, None if there never was one. ``stalled`` says why nothing is being done
    (no quorum, no lease, no good revision, audit), empty if nothing stands in the way.
    ``findings`` are those of the newest manifests, good or bad; ``revision`` is the one
    in force.
    """

    at: datetime
    cycle: CycleId
    revision: Revision | None
    observed_at: datetime | None
    reconciled_at: datetime | None
    leading: bool
    stalled: str
    quorate: bool
    nodes: tuple[NodeStatus, ...]
    subjects: tuple[SubjectStatus, ...]
    unmanaged: tuple[Unmanaged, ...]
    findings: tuple[Finding, ...]
    gaps: tuple[str, ...]
    orders: tuple[Order, ...] = ()
    """What people ordered and what is in force."""
    asks: tuple[PlannedAction, ...] = ()
    """What waits for somebody's approval."""
    fuses: tuple[BlownFuse, ...] = ()
    """What is too much at once, and waits to be acknowledged."""
    unknown: tuple[Unmanaged, ...] = ()
    """Guests whose configuration could not be read, so that nobody can say whose they are."""

    @property
    def ready(self) -> int:
        """Return how many guests are as wanted."""
        return sum(subject.is_ready for subject in self.subjects)
