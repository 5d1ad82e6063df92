"""Who an engine works with, each as small as can be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from typing_extensions import override

from qlop.controller.cycle import Engine
from qlop.controller.manifests import InForce, Manifests
from qlop.model.desired import Desired
from qlop.model.event import Event
from qlop.model.finding import Finding
from qlop.model.folding import fold
from qlop.model.history import Ending, JournalRecord
from qlop.model.ids import ActionId, CycleId, Upid, VmId
from qlop.model.observed import Observed
from qlop.model.plan import Plan
from qlop.model.policy import Limits
from qlop.model.source import SourceTree
from qlop.observer.observer import Interest
from tests import builders as b


class Given(Manifests):
    """Manifests that are what a test says."""

    def __init__(self, desired: Desired | None, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(lambda: SourceTree(root="", files=()))
        self.read = 0
        self.force = InForce(
            desired=desired, findings=findings, is_current=desired is not None and not findings
        )

    @override
    def load(self) -> InForce:
        self.read += 1
        return self.force

    @override
    def in_force(self) -> InForce:
        return self.force


@dataclass(slots=True)
class Eyes:
    """Sees what it is told to see; the last sight stays."""

    sights: list[Observed]
    interests: list[Interest] = field(default_factory=list)
    touched: list[VmId] = field(default_factory=list)
    remark: str = ""

    async def observe(self, interest: Interest) -> Observed:
        self.interests.append(interest)
        return self.sights.pop(0) if len(self.sights) > 1 else self.sights[0]

    def touch(self, vmid: VmId) -> None:
        self.touched.append(vmid)


@dataclass(slots=True)
class Hands:
    """Starts the first action of each plan, and notes all that it is told."""

    ends: int = 0
    trouble: str = ""
    started: list[ActionId] = field(default_factory=list)
    noted: list[object] = field(default_factory=list)
    settled: list[tuple[ActionId, Ending, Upid | None]] = field(default_factory=list)

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        assert (cycle, seen, limits) == ("cycle", self.ends, Limits())
        self.started.append(plan.actions[0].id)
        return (plan.actions[0].id,)

    def note(self, notices: Iterable[object]) -> None:
        self.noted += notices

    def settle(
        self,
        action: ActionId,
        attempt: int,
        ending: Ending,
        message: str,
        *,
        upid: Upid | None = None,
    ) -> bool:
        assert (attempt, bool(message)) == (1, upid is None)
        self.settled.append((action, ending, upid))
        return True


@dataclass(slots=True)
class Clock:
    """Stands still unless moved."""

    instant: datetime = b.NOW

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, span: timedelta) -> None:
        self.instant += span


class Ids:
    """No chance at all."""

    def cycle_id(self) -> str:
        return "cycle"

    def jitter(self) -> float:
        return 0.5


@dataclass(slots=True)
class Cast:
    """An engine and all who are in the play with it."""

    desired: Desired | None
    sights: Sequence[Observed]
    records: list[JournalRecord] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    leading: bool = True
    acting: bool = True
    clock: Clock = field(default_factory=Clock)
    hands: Hands = field(default_factory=Hands)
    events: list[Event] = field(default_factory=list)
    eyes: Eyes = field(init=False)
    manifests: Given = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.eyes = Eyes(list(self.sights))
        self.manifests = Given(self.desired, self.findings)
        history = fold(self.records)
        self.engine = Engine(
            manifests=self.manifests,
            observer=self.eyes,
            executor=self.hands if self.acting else None,
            history=lambda: history,
            clock=self.clock,
            ids=Ids(),
            is_leading=lambda: self.leading,
            on_event=self.events.append,
        )
