"""Run qlop for one life: from its start until it is stopped, killed, or the story ends.

A killed qlop leaves nothing but its journal: from that instant on no call of it reaches
the cluster, and nothing is written.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.loop import Loop
from qlop.controller.manifests import Manifests
from qlop.controller.ordering import Ordering
from qlop.controller.triggers import Triggers
from qlop.executor.executor import Executor
from qlop.journal.ledger import Ledger
from qlop.journal.orderbook import MemoryOrderBook
from qlop.model.desired import Desired
from qlop.model.event import Event, EventKind
from qlop.model.history import (
    ActionRecord,
    Dispatched,
    Finished,
    Intended,
    JournalRecord,
    Notice,
    Reprieve,
    Tombstone,
)
from qlop.model.trial import Judged
from qlop.observer.observer import Observer
from qlop.observer.rounds import Rounds
from qlop.ports import ErrorKind, Json, PortError, Prober, PveApi, PveCall, RemoteShell
from qlop.render.history import notice_text
from qlop.service import STANDBY_POLL
from qlop.sources import files
from qlop.telemetry.clock import SystemIds
from tests.scenarios.transcript import Transcript


class StoryClock:
    """Virtual wall time: ``began`` is when the running loop's time was 0."""

    def __init__(self, began: datetime) -> None:
        self.began = began

    def now(self) -> datetime:
        """Return the present instant."""
        return self.began + timedelta(seconds=now_s())

    async def sleep(self, span: timedelta) -> None:
        """Wait, which takes no time."""
        await asyncio.sleep(span.total_seconds())


def now_s() -> float:
    """Return how many seconds of the story have passed."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Disk:
    """What outlives a qlop: the records of its journal, as far as there was room."""

    records: list[JournalRecord] = field(default_factory=list)
    full: bool = False


@dataclass(slots=True)
class Lease:
    """The lease of all qlops of a machine: the name of the one that holds it."""

    holder: str = ""


@dataclass(slots=True, kw_only=True)
class Shared:
    """What a life finds: the world around it, which does not end with it."""

    api: PveApi
    caller: str
    """The token by which that asks, without its secret."""
    prober: Prober
    shell: RemoteShell | None
    root: Path
    clock: StoryClock
    disk: Disk
    lease: Lease
    transcript: Transcript
    check: Callable[[PveCall, Desired | None], None]
    on_cycle: Callable[[CycleResult], None]
    book: MemoryOrderBook = field(default_factory=MemoryOrderBook)
    """What people ordered; it outlives a qlop."""
    deaths: list[tuple[str, str]] = field(default_factory=list)
    """Moments at which qlop will be killed: a verb, and how far its action is."""


class Life:
    """One process of qlop, called ``name``."""

    def __init__(self, name: str, shared: Shared) -> None:
        self.name = name
        self.errors: list[str] = []
        self.engine: Engine | None = None
        self.triggers = Triggers()
        self._shared = shared
        self._alive = True
        self._executor: Executor | None = None
        self._loop: Loop | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_dead(self) -> bool:
        """Return whether it was killed, or has stopped."""
        return not self._alive

    @property
    def is_idle(self) -> bool:
        """Return whether it carries nothing out."""
        return self._executor is None or not self._executor.inflight

    def start(self) -> None:
        """Begin, beside whatever else happens."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    def kill(self) -> None:
        """End it at this very instant, as SIGKILL does."""
        self._alive = False
        if self._shared.lease.holder == self.name:
            self._shared.lease.holder = ""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Tell it to stop, as SIGTERM does, and wait until it has."""
        if self._executor is not None and self._loop is not None and self._task is not None:
            self._executor.stop()
            self._loop.stop()
            await self._task
        else:
            self.kill()
        await self.ended()

    async def ended(self) -> None:
        """Wait until nothing of it runs any more; raise what it died of, if of a bug."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (error := self._task.exception()):
                raise error

    async def call(self, call: PveCall) -> Json:
        """Pass a call on to the cluster, and write down what changes something."""
        await self._hang_if_dead()
        if not call.is_mutation:
            return await self._shared.api.call(call)
        await self._die_at("sending")
        assert self.engine is not None
        source = self.engine.last.source if self.engine.last is not None else None
        self._shared.check(call, source.desired if source is not None else None)
        self._shared.transcript.line("  sends", call_text(call))
        try:
            answer = await self._shared.api.call(call)
        except PortError as error:
            await self._hang_if_dead()
            self._shared.transcript.line("  answer", f"{error.kind.value}: {error}")
            raise
        await self._hang_if_dead()
        await self._die_at("sent")
        return answer

    def append(self, record: JournalRecord) -> None:
        """Write into the journal."""
        if not self._alive:
            return
        if isinstance(record, Tombstone | Reprieve | Judged):
            self._note(record)
            return
        verb = self._verb_of(record)
        if isinstance(record, Finished) and self._is_deadly("ended", verb):
            return
        if self._shared.disk.full:
            raise PortError(ErrorKind.TRANSIENT, "the journal can't be written: disk full")
        self._shared.disk.records.append(record)
        if isinstance(record, Intended):
            self._is_deadly("intended", verb)
        if isinstance(record, Dispatched):
            self._is_deadly("dispatched", verb)

    def records(self) -> Sequence[JournalRecord]:
        """Return the journal."""
        return tuple(self._shared.disk.records)

    async def _run(self) -> None:
        shared = self._shared
        if shared.lease.holder:
            shared.transcript.line(self.name, "waits for the lease that another qlop holds")
        while shared.lease.holder:
            await shared.clock.sleep(STANDBY_POLL)
        shared.lease.holder = self.name
        ledger = Ledger(self)
        observer = Observer(self, shared.clock, shell=shared.shell)
        rounds = Rounds(self, shared.prober, shared.clock, on_change=self.triggers.ring)

        def ended(intended: Intended, _: Finished) -> None:
            for vmid in intended.touches:
                observer.touch(vmid)
            rounds.note_end(intended)
            self.triggers.ring()

        executor = self._executor = Executor(
            api=self,
            ledger=ledger,
            clock=shared.clock,
            on_event=self._happened,
            on_end=ended,
            may_dispatch=self._leads,
        )
        self.engine = Engine(
            manifests=Manifests(lambda: files.load(shared.root)),
            observer=observer,
            executor=executor,
            history=ledger.history,
            clock=shared.clock,
            ids=SystemIds(1),
            is_leading=self._leads,
            on_event=self._happened,
            rounds=rounds,
            ordering=Ordering(shared.book),
            caller=shared.caller,
        )
        self._loop = Loop(
            engine=self.engine,
            triggers=self.triggers,
            clock=shared.clock,
            ids=SystemIds(2),
            on_cycle=lambda result, _: self._cycled(result),
            on_error=lambda error: self.errors.append(f"a cycle died of {error!r}"),
        )
        await self._live(executor, observer, rounds)

    async def _live(self, executor: Executor, observer: Observer, rounds: Rounds) -> None:
        assert self._loop is not None
        try:
            async with asyncio.TaskGroup() as group:
                executor.resume(group)
                group.create_task(observer.audit(), name="audit")
                group.create_task(rounds.run(), name="rounds")
                await self._loop.run()
                await executor.await_sent(timedelta(seconds=6))
                raise _Stopped  # noqa: TRY301 - out of the group, not out of the function
        except* _Stopped:
            self._alive = False
            if self._shared.lease.holder == self.name:
                self._shared.lease.holder = ""

    def _leads(self) -> bool:
        return self._shared.lease.holder == self.name

    def _cycled(self, result: CycleResult) -> None:
        if self._alive:
            self._shared.on_cycle(result)

    def _happened(self, event: Event) -> None:
        if not self._alive:
            return
        transcript = self._shared.transcript
        message = event.message
        if event.kind is EventKind.REVISION_LOADED:
            message = transcript.revision(message)
        if "a bug in qlop" in message:
            self.errors.append(message)
        transcript.line(event.subject, f"{event.kind.value}: {message}")

    def _note(self, notice: Notice) -> None:
        if self._shared.disk.full:
            raise PortError(ErrorKind.TRANSIENT, "the journal can't be written: disk full")
        self._shared.disk.records.append(notice)
        self._shared.transcript.line("  notes", notice_text(notice))

    def _verb_of(self, record: ActionRecord) -> str:
        if isinstance(record, Intended):
            return record.verb.value
        return record.action.split("/")[1]

    def _is_deadly(self, moment: str, verb: str) -> bool:
        """Die here if that was to be; return whether it was."""
        if (moment, verb) not in self._shared.deaths:
            return False
        self._shared.deaths.remove((moment, verb))
        self._shared.transcript.line("> qlop", f"is killed: {verb} {moment}")
        self.kill()
        return True

    async def _die_at(self, moment: str) -> None:
        action = structlog.contextvars.get_contextvars()["action"]
        if self._is_deadly(moment, action.split("/")[1]):
            await self._hang_if_dead()

    async def _hang_if_dead(self) -> None:
        if not self._alive:
            await asyncio.get_running_loop().create_future()


class _Stopped(Exception):  # noqa: N818 - no error: how a task group is left on purpose
    pass


_LONG = 48


def call_text(call: PveCall) -> str:
    """Return a call as a person would note it: long and unreadable values left out."""
    return " ".join([f"{call.method.value} {call.path}", *_parameters(call)])


def _parameters(call: PveCall) -> Iterable[str]:
    for name, value in sorted(call.params.items()):
        text = str(value)
        if name == "digest":
            continue
        short = len(text) <= _LONG and "\n" not in text and name not in {"sshkeys", "description"}
        yield f"{name}={text}" if short else f"{name}=…"
