"""A door to a cluster that is a script: each cycle finds what the script says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

from pydantic import SecretStr

from qlop.controller.cycle import Acting, CycleResult, Engine
from qlop.model.event import Event
from qlop.model.history import Ending, History, Inflight, JournalRecord, Notice
from qlop.model.ids import ActionId, CycleId, GuestName, Upid, VmId
from qlop.model.plan import Plan, PlanInput
from qlop.model.policy import Limits
from qlop.model.status import SubjectStatus
from qlop.model.verdict import Act, Converged, Held
from qlop.settings import Address, ApiSettings, Settings
from tests.render import worlds

SETTINGS = Settings(
    api=ApiSettings(
        endpoints=(Address(host="127.0.0.1", port=1),),
        token_id="qlop@pve!daemon",
        token_secret=SecretStr("hush"),
    ),
    desired_state=Path("/nowhere"),
)


def result(
    *subjects: SubjectStatus,
    plan: Plan = worlds.QUIET,
    complete: bool = True,
    started: tuple[ActionId, ...] = (),
    history: History | None = None,
    stalled: str = "",
) -> CycleResult:
    """A cycle that found these subjects."""
    seen = PlanInput(
        desired=worlds.DESIRED,
        observed=replace(worlds.OBSERVED, complete=complete),
        history=history or History(),
        now=worlds.NOW,
    )
    status = replace(worlds.STATUS, subjects=subjects, findings=(), gaps=(), stalled=stalled)
    return CycleResult(status=status, plan=plan, source=seen, started=started)


def subject(
    verdict: Converged | Act | Held, *, name: str = "web-1", flying: bool = False
) -> SubjectStatus:
    """One guest with this verdict."""
    made = worlds.subject(GuestName(name), 10001, verdict)
    return replace(made, inflight=Inflight(intended=worlds.AGAIN) if flying else None)


@dataclass(kw_only=True)
class ScriptedExecutor:
    """Starts whatever it is given, and remembers it."""

    started: list[ActionId] = field(default_factory=list)
    settled: list[ActionId] = field(default_factory=list)
    noted: list[Notice] = field(default_factory=list)
    ends: int = 0
    trouble: str = ""

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        del cycle, seen, limits
        fresh = tuple(one.id for one in plan.actions if one.id not in self.started)
        self.started += fresh
        return fresh

    def note(self, notices: Iterable[Notice]) -> None:
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
        del attempt, ending, message, upid
        self.settled.append(action)
        return True


@dataclass(kw_only=True)
class ScriptedObserver:
    """Remembers which guests were to be looked at again."""

    touched: list[VmId] = field(default_factory=list)

    @property
    def remark(self) -> str:
        return ""

    def touch(self, vmid: VmId) -> None:
        self.touched.append(vmid)


@dataclass(kw_only=True)
class _Engine:
    executor: Acting | None
    results: list[CycleResult]
    observer: ScriptedObserver = field(default_factory=ScriptedObserver)
    cycles: int = 0

    async def cycle(self, *, read_manifests: bool, act: bool) -> CycleResult:
        assert not act
        first, *rest = self.results
        self.results = rest or [first]
        assert read_manifests is (self.cycles == 0)
        self.cycles += 1
        return first


@dataclass(kw_only=True)
class ScriptedDoor:
    """A cluster whose cycles find ``results``, ten seconds apart, the last one for ever."""

    results: Sequence[CycleResult]
    events: Sequence[Event] = ()
    crash: Exception | None = None
    executor: ScriptedExecutor = field(default_factory=ScriptedExecutor)
    cycles: int = 0
    stopped: bool = False
    heard_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = cast("Engine", _Engine(executor=self.executor, results=[*self.results]))
        self.on_event: Callable[[Event], None] = lambda _: None

    @asynccontextmanager
    async def looking(self, settings: Settings) -> "AsyncIterator[ScriptedDoor]":
        assert settings is SETTINGS
        yield self

    @asynccontextmanager
    async def acting(
        self, settings: Settings, on_event: Callable[[Event], None]
    ) -> "AsyncIterator[ScriptedDoor]":
        assert settings is SETTINGS
        self.on_event = on_event
        yield self

    async def run(
        self,
        *,
        on_cycle: Callable[[CycleResult, float], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        for event in self.events:
            self.on_event(event)
        while not self.stopped:
            if self.crash is not None:
                on_error(self.crash)
                continue
            found = self.results[min(self.cycles, len(self.results) - 1)]
            self.cycles += 1
            if found.plan is not None and self.engine.executor is not None:
                self.engine.executor.start(found.plan, cycle=CycleId("c"), seen=0, limits=Limits())
            on_cycle(found, 0.1)
            await asyncio.sleep(10)

    async def hear(self, at_most: timedelta) -> None:
        self.heard_s.append(at_most.total_seconds())

    def stop(self) -> None:
        self.stopped = True

    def records(self) -> Sequence[JournalRecord]:
        return worlds.RECORDS
