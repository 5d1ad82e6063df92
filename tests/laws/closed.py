"""The whole loop closed: engine, observer, executor and journal on a simulated cluster.

Everything happens in virtual time. A process that is killed leaves its journal: from that
instant on no call of it reaches the cluster and nothing is written.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.loop import Loop
from qlop.controller.manifests import InForce, Manifests
from qlop.controller.triggers import Triggers
from qlop.executor.executor import Executor
from qlop.journal.ledger import Ledger
from qlop.model.desired import Desired
from qlop.model.history import Finished, Intended, JournalRecord
from qlop.model.source import SourceTree
from qlop.model.verdict import Held, Hold
from qlop.observer.observer import Observer
from qlop.observer.rounds import Rounds
from qlop.ports import Json, Method, PveCall
from qlop.render.status import held_of
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import InProcessApi
from qlop.sim.living import SimProber
from qlop.sim.state import Guest
from qlop.sim.world import DEFAULT_TOKEN, ClusterSpec, hospital
from qlop.telemetry.clock import SystemIds
from tests.scenarios.invariants import Invariants

BEGAN = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
LIMIT_S = 1800.0
"""By then the slowest of these worlds has long come to rest."""
CALM_S = 300.0

PASSING = frozenset(
    {
        Hold.IN_FLIGHT,
        Hold.AMBIGUOUS,
        Hold.TASK_RUNNING,
        Hold.LOCKED,
        Hold.POWER_UNKNOWN,
        Hold.CONFIG_UNREAD,
        Hold.OBSERVATION_INCOMPLETE,
        Hold.BACKOFF,
        Hold.BUDGET,
        Hold.TOMBSTONED,
    }
)
"""Holds that time ends."""

LASTING = frozenset({Hold.BUDGET, Hold.LOCKED})
"""Those of them that somebody may have to end: a sibling is sick, a task left its lock."""


class Given(Manifests):
    """Manifests that are what a test drew, and at once what it makes of them later."""

    def __init__(self, desired: Callable[[], Desired]) -> None:
        super().__init__(lambda: SourceTree(root="", files=()))
        self._desired = desired

    @override
    def load(self) -> InForce:
        return InForce(desired=self._desired(), findings=(), is_current=True)

    @override
    def in_force(self) -> InForce:
        return self.load()


class Clock:
    """The loop's time as wall time."""

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


def always(_: float) -> bool:
    return True


def nobody(_: JournalRecord) -> None:
    pass


@dataclass(slots=True)
class House:
    """A cluster, the journal, and everything that was sent.

    With ``patience_s`` it is at rest when for so long nothing was written down, and what
    is held for a lasting reason is then taken to be held for good.
    """

    desired: Desired
    patience_s: float = 0.0
    spec: ClusterSpec = field(default_factory=hospital)
    leads: Callable[[float], bool] = always
    token: str = DEFAULT_TOKEN
    read_s: float = 0.0
    """How long the answer to a read is on its way: what it says is from before."""
    holds: set[tuple[str, Hold]] = field(default_factory=set)
    """Who was ever held, and why."""
    cluster: Cluster = field(init=False)
    records: list[JournalRecord] = field(default_factory=list)
    sent: list[tuple[float, str]] = field(default_factory=list)
    last: CycleResult | None = None
    errors: list[str] = field(default_factory=list)
    invariants: Invariants = field(init=False)
    watch: Callable[[JournalRecord], None] = nobody
    """Is told each record as it is written."""

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.spec, seed=1, now=BEGAN.timestamp())
        self.invariants = Invariants(self.cluster.world, self.records)

    async def live(self, *, die_after: int | None = None, at_least_s: float = 0.0) -> bool:
        """Live until at rest, or until that many records stand; return whether at rest."""
        life = _Life(self, die_after)
        return await life.run(at_least_s=at_least_s)

    async def stay_calm(self, for_s: float = CALM_S) -> Sequence[str]:
        """Live on for a while, and return what was sent meanwhile."""
        before = len(self.sent)
        life = _Life(self, None)
        await life.run(at_least_s=for_s)
        return [call for _, call in self.sent[before:]]

    def left(self) -> list[str]:
        """What is not as it should be, and what was done last, in words."""
        status = self.last.status if self.last is not None else None
        subjects = status.subjects if status is not None else ()
        done = [
            f"{one.action}: {one.ending.value} {one.message}"
            for one in self.records
            if isinstance(one, Finished)
        ]
        return [f"{one.name}: {one.verdict}" for one in subjects] + done[-5:]

    async def hand(self, vmid: int, **params: str) -> None:
        """Write a guest's configuration as a person does in PVE's own interface."""
        guest = self.cluster.world.guests[vmid]
        api = InProcessApi(self.cluster, Clock())
        path = f"/nodes/{guest.node}/{guest.kind.value}/{vmid}/config"
        await api.call(PveCall(method=Method.PUT, route=path, params=params))

    def guests(self) -> dict[str, tuple[object, ...]]:
        """The guests that are there, by name: what people would see of them."""
        return {_name(guest): _seen(guest) for guest in self.cluster.world.guests.values()}


def _name(guest: Guest) -> str:
    config = guest.config
    return f"{config.get('name') or config.get('hostname')}" + (
        f" {guest.vmid}" if guest.is_template else ""
    )


_VOLATILE = ("meta", "vmgenid", "digest", "smbios1", "description", "parent")


def _seen(guest: Guest) -> tuple[object, ...]:
    config = {
        key: value
        for key, value in guest.config.items()
        if key not in _VOLATILE and not key.startswith(("net", "scsi", "rootfs", "mp", "ide"))
    }
    return (guest.kind.value, guest.is_running, tuple(sorted(config.items())))


class _Life:
    """One process."""

    def __init__(self, house: House, die_after: int | None) -> None:
        self._house = house
        self._die_after = die_after
        self._dead = False
        self._task: asyncio.Task[None] | None = None
        self._executor: Executor | None = None
        self._busy_at = 0.0
        self._clock = Clock()
        self._api = InProcessApi(house.cluster, self._clock, token=house.token)
        self._cycled = asyncio.Event()

    async def run(self, *, at_least_s: float = 0.0) -> bool:
        self._house.last = None
        self._busy_at = _now()
        until = self._busy_at + at_least_s
        self._task = asyncio.create_task(self._live())
        try:
            async with asyncio.timeout(LIMIT_S):
                while not self._dead and not (self._is_at_rest() and _now() >= until):
                    self._cycled.clear()
                    await self._cycled.wait()
        except TimeoutError:
            pass
        rest = not self._dead and self._is_at_rest()
        self._kill()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()):
            raise error
        return rest

    async def call(self, call: PveCall) -> Json:
        await self._hang_if_dead()
        if call.is_mutation:
            house = self._house
            assert house.leads(_now()), f"{call.path} was sent without the lease"
            house.invariants.check(call, house.desired)
            house.sent.append((_now(), f"{call.method.value} {call.path}"))
        answer = await self._api.call(call)
        if not call.is_mutation:
            await asyncio.sleep(self._house.read_s)
        await self._hang_if_dead()
        return answer

    def append(self, record: JournalRecord) -> None:
        if self._dead:
            return
        self._house.records.append(record)
        self._busy_at = _now()
        self._house.watch(record)
        if len(self._house.records) == self._die_after:
            self._kill()

    def records(self) -> Sequence[JournalRecord]:
        return tuple(self._house.records)

    def _kill(self) -> None:
        self._dead = True
        self._cycled.set()
        assert self._task is not None
        self._task.cancel()

    async def _hang_if_dead(self) -> None:
        if self._dead:
            await asyncio.get_running_loop().create_future()

    async def _live(self) -> None:
        house, triggers = self._house, Triggers()
        ledger = Ledger(self)
        observer = Observer(self, self._clock)
        prober = SimProber(house.cluster, self._clock)
        rounds = Rounds(self, prober, self._clock, on_change=triggers.ring)

        def ended(intended: Intended, _: Finished) -> None:
            for vmid in intended.touches:
                observer.touch(vmid)
            rounds.note_end(intended)
            triggers.ring()

        executor = self._executor = Executor(
            api=self,
            ledger=ledger,
            clock=self._clock,
            on_event=lambda event: self._note("a bug in qlop" in event.message, event.message),
            on_end=ended,
            may_dispatch=self._leads,
        )
        engine = Engine(
            manifests=Given(lambda: house.desired),
            observer=observer,
            executor=executor,
            history=ledger.history,
            clock=self._clock,
            ids=SystemIds(1),
            is_leading=self._leads,
            on_event=lambda _: None,
            rounds=rounds,
            caller=house.token.partition("=")[0],
        )
        loop = Loop(
            engine=engine,
            triggers=triggers,
            clock=self._clock,
            ids=SystemIds(2),
            on_cycle=lambda result, _: self._see(result),
            on_error=lambda error: self._note(True, repr(error)),
        )
        async with asyncio.TaskGroup() as group:
            executor.resume(group)
            group.create_task(observer.audit())
            group.create_task(rounds.run())
            await loop.run()

    def _leads(self) -> bool:
        return self._house.leads(_now())

    def _see(self, result: CycleResult) -> None:
        self._house.last = result
        self._house.holds |= {
            (one.name, held.reason)
            for one in result.status.subjects
            if (held := held_of(one)) is not None
        }
        self._cycled.set()

    def _note(self, is_bug: bool, message: str) -> None:  # noqa: FBT001 - a filter
        if is_bug:
            self._house.errors.append(message)

    def _is_at_rest(self) -> bool:
        last = self._house.last
        if last is None or last.plan is None or last.plan.actions or last.status.stalled:
            return False
        if self._executor is None or self._executor.inflight:
            return False
        if _now() - self._busy_at < self._house.patience_s:
            return False
        verdicts = [subject.verdict for subject in last.status.subjects]
        passing = PASSING - LASTING if self._house.patience_s else PASSING
        return not any(isinstance(one, Held) and one.reason in passing for one in verdicts)


def _now() -> float:
    return asyncio.get_running_loop().time()
