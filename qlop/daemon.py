"""Put the parts together: the only place where the adapters are made."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from qlop import __version__
from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.lease import FileLease
from qlop.controller.loop import Loop
from qlop.controller.manifests import Manifests
from qlop.controller.ordering import Ordering
from qlop.controller.triggers import Triggers
from qlop.executor.executor import Executor
from qlop.journal import sqlite
from qlop.journal.ledger import Ledger
from qlop.journal.memory import MemoryJournal
from qlop.journal.orderbook import SqliteOrderBook
from qlop.journal.sqlite import SqliteJournal
from qlop.model.event import Event
from qlop.model.folding import fold
from qlop.model.history import Finished, Intended, JournalRecord
from qlop.observer.observer import Observer
from qlop.observer.probes import NetworkProber
from qlop.observer.rounds import Rounds
from qlop.ports import ErrorKind, Method, PortError
from qlop.pve.client import ProxmoxerApi
from qlop.remote.ssh import SshShell
from qlop.settings import Settings
from qlop.sources import files
from qlop.telemetry.clock import SystemClock, SystemIds
from qlop.telemetry.metrics import Metrics

SEND_PATIENCE = timedelta(seconds=6)
"""How long to wait, when stopping, for the answer to a mutation on its way: with what
follows, less than the ten seconds after which systemd and people lose patience."""

JOURNAL_KEPT = timedelta(days=180)
"""How long `qlop history` reaches back; what still matters is kept in any case."""


class _Stopped(Exception):  # noqa: N818 - no error: how a task group is left on purpose
    """Ends the task group: its children are cancelled, PVE's tasks go on."""


@dataclass(slots=True, kw_only=True)
class Parts:
    """The parts of a daemon, ready. ``executor`` and ``ledger`` are None if it only looks."""

    engine: Engine
    observer: Observer
    triggers: Triggers
    clock: SystemClock
    ids: SystemIds
    interval: timedelta | None
    read_records: Callable[[], Sequence[JournalRecord]]
    endpoints: Callable[[], Mapping[str, bool]]
    """Which endpoints of the API work, by ``host:port``."""
    shell: SshShell | None
    prober: NetworkProber
    rounds: Rounds
    book: SqliteOrderBook
    executor: Executor | None = None
    tidy: Callable[[], object] = field(default=tuple)
    """Forget what the journal need not keep."""
    loop: Loop | None = field(default=None)

    def records(self) -> Sequence[JournalRecord]:
        """Return the journal, oldest first."""
        return self.read_records()

    async def run(
        self,
        *,
        on_cycle: Callable[[CycleResult, float], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Make cycles until ``stop`` is called; then wait for what is on its way to PVE."""
        self.loop = Loop(
            engine=self.engine,
            triggers=self.triggers,
            clock=self.clock,
            ids=self.ids,
            on_cycle=on_cycle,
            on_error=on_error,
            act=self.executor is not None,
            interval=self.interval,
        )
        try:
            async with asyncio.TaskGroup() as group:
                if self.executor is not None:
                    self.executor.resume(group)
                group.create_task(self.observer.audit(), name="audit")
                group.create_task(self.rounds.run(), name="rounds")
                watching = self.engine.ordering.watch(self.triggers.ring, self.clock)
                group.create_task(watching, name="orders")
                await self.loop.run()
                if self.executor is not None:
                    self.executor.stop()
                    await self.executor.await_sent(SEND_PATIENCE)
                raise _Stopped  # noqa: TRY301 - out of the group, not out of the function
        except* _Stopped:
            pass
        finally:
            await self.close()

    async def hear(self, at_most: timedelta) -> None:
        """Ask guests how they are, before ``run``, until that is known; at most so long."""
        await self.rounds.hear(at_most)

    async def close(self) -> None:
        """Close what is kept open between cycles."""
        self.book.close()
        await self.prober.close()
        await self.observer.close()
        if self.shell is not None:
            await self.shell.close()

    def stop(self) -> None:
        """Make ``run`` return. Nothing new is sent; what PVE is doing is left to it."""
        if self.executor is not None:
            self.executor.stop()
        if self.loop is not None:
            self.loop.stop()


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[Parts]:
    """Give parts that look and plan, and change nothing, not even a file.

    Raises:
        PortError: if the journal is there and can't be read.
    """
    history = fold(_records(settings))
    with _api(settings, Metrics(version=__version__)) as api:
        clock, ids, triggers = SystemClock(), SystemIds(), Triggers()
        shell = _shell(settings)
        observer = Observer(api, clock, shell=shell)
        prober = NetworkProber()
        rounds = Rounds(api, prober, clock)
        book = SqliteOrderBook(settings.orders_file)
        engine = Engine(
            manifests=_manifests(settings),
            observer=observer,
            executor=None,
            history=lambda: history,
            clock=clock,
            ids=ids,
            is_leading=lambda: True,
            on_event=lambda _: None,
            ordering=Ordering(book),
            caller=settings.api.token_id,
            rounds=rounds,
        )
        parts = Parts(
            engine=engine,
            observer=observer,
            triggers=triggers,
            clock=clock,
            ids=ids,
            interval=settings.interval,
            read_records=lambda: _records(settings),
            endpoints=lambda: _health(api),
            shell=shell,
            prober=prober,
            rounds=rounds,
            book=book,
        )
        try:
            yield parts
        finally:
            await parts.close()


@asynccontextmanager
async def acting(settings: Settings, on_event: Callable[[Event], None]) -> AsyncIterator[Parts]:
    """Give parts that act, and hold the lease and the journal while they last.

    Raises:
        PortError: ``CONFLICT`` if another qlop holds the lease; otherwise if the journal
            can't be opened.
    """
    lease = FileLease(settings.lease_file)
    if not acquire(lease, settings):
        raise PortError(
            ErrorKind.CONFLICT,
            f"another qlop holds the lease {settings.lease_file}: it is acting already"
            " (stop it, or ask it: `qlop status`)",
        )
    metrics = Metrics(version=__version__)
    try:
        with acting_parts(settings, metrics, lease, on_event) as parts:
            yield parts
    finally:
        lease.release()


@contextmanager
def acting_parts(
    settings: Settings,
    metrics: Metrics,
    lease: FileLease,
    on_event: Callable[[Event], None],
    *,
    act: bool = True,
) -> Iterator[Parts]:
    """Give parts that act while ``lease`` is held; without ``act``, parts that only look.

    Raises:
        PortError: if the journal can't be opened.
    """
    if not act:
        with _api(settings, metrics) as api:
            ledger = Ledger(MemoryJournal(_records(settings)))
            yield _assemble(
                settings,
                metrics=metrics,
                lease=lease,
                on_event=on_event,
                api=api,
                ledger=ledger,
                act=False,
            )
        return
    with contextlib.closing(SqliteJournal(settings.journal)) as journal:

        def tidy() -> int:
            return journal.forget(SystemClock().now() - JOURNAL_KEPT)

        tidy()
        with _api(settings, metrics) as api:
            parts = _assemble(
                settings,
                metrics=metrics,
                lease=lease,
                on_event=on_event,
                api=api,
                ledger=Ledger(journal),
                act=True,
            )
            parts.read_records, parts.tidy = journal.records, tidy
            yield parts


def _assemble(
    settings: Settings,
    *,
    metrics: Metrics,
    lease: FileLease,
    on_event: Callable[[Event], None],
    api: ProxmoxerApi,
    ledger: Ledger,
    act: bool,
) -> Parts:
    clock, ids, triggers = SystemClock(), SystemIds(), Triggers()
    shell = _shell(settings)
    observer = Observer(api, clock, shell=shell)
    prober = NetworkProber()
    rounds = Rounds(api, prober, clock, on_change=triggers.ring)
    book = SqliteOrderBook(settings.orders_file)

    def ended(intended: Intended, finished: Finished) -> None:
        seconds = (finished.at - intended.at).total_seconds()
        metrics.action_finished(intended.verb, finished.ending, seconds)
        for vmid in intended.touches:
            observer.touch(vmid)
        rounds.note_end(intended)
        triggers.ring()

    executor = None
    if act:
        executor = Executor(
            api=api,
            ledger=ledger,
            clock=clock,
            on_event=on_event,
            on_end=ended,
            may_dispatch=lambda: lease.is_held,
        )
    engine = Engine(
        manifests=_manifests(settings),
        observer=observer,
        executor=executor,
        history=ledger.history,
        clock=clock,
        ids=ids,
        is_leading=lambda: lease.is_held or not act,
        on_event=on_event,
        ordering=Ordering(book),
        caller=settings.api.token_id,
        rounds=rounds,
    )
    return Parts(
        engine=engine,
        observer=observer,
        triggers=triggers,
        clock=clock,
        ids=ids,
        interval=settings.interval,
        executor=executor,
        read_records=tuple,
        endpoints=lambda: _health(api),
        shell=shell,
        prober=prober,
        rounds=rounds,
        book=book,
    )


@contextmanager
def _api(settings: Settings, metrics: Metrics) -> Iterator[ProxmoxerApi]:
    def called(route: str, method: Method, status: int, seconds: float) -> None:
        metrics.call_finished(method.value, route, status or None, seconds)

    try:
        api = ProxmoxerApi(settings.api, on_call=called)
    except OSError as error:
        raise PortError(
            ErrorKind.INVALID,
            f"api.ca_file {settings.api.ca_file}: {error.strerror or error}: it has to be a file"
            " with the certificate of the cluster's CA (/etc/pve/pve-root-ca.pem on a node)",
        ) from error
    with contextlib.closing(api):
        yield api


def _shell(settings: Settings) -> SshShell | None:
    if settings.ssh is None:
        return None
    hosts = settings.ssh.hosts or tuple(one.host for one in settings.api.endpoints)
    return SshShell(settings.ssh, hosts)


def _health(api: ProxmoxerApi) -> Mapping[str, bool]:
    return {endpoint.authority: endpoint.healthy for endpoint in api.endpoints()}


def _manifests(settings: Settings) -> Manifests:
    return Manifests(lambda: files.load(settings.desired_state))


def _records(settings: Settings) -> Sequence[JournalRecord]:
    return sqlite.read(settings.journal) if settings.journal.exists() else ()


def acquire(lease: FileLease, settings: Settings) -> bool:
    """Take the lease.

    Raises:
        PortError: if its file can't be opened.
    """
    try:
        settings.lease_file.parent.mkdir(parents=True, exist_ok=True)
        return lease.acquire()
    except OSError as error:
        raise PortError(
            ErrorKind.DENIED, f"the lease {settings.lease_file} can't be taken: {error.strerror}"
        ) from error
