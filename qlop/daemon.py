"""Put the parts together: the only place where the adapters are made."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from qlop import __version__
from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.lease import FileLease
from qlop.controller.loop import Loop
from qlop.controller.manifests import Manifests
from qlop.controller.triggers import Triggers
from qlop.controller.window import Window
from qlop.executor.executor import Executor
from qlop.journal import sqlite
from qlop.journal.ledger import Ledger
from qlop.journal.memory import MemoryJournal
from qlop.journal.sqlite import SqliteJournal
from qlop.model.event import Event, EventKind
from qlop.model.history import Finished, Intended, JournalRecord, fold
from qlop.observer.observer import Observer, ObserverOptions
from qlop.ports import ErrorKind, Method, PortError, RemoteShell
from qlop.pve.client import ProxmoxerApi
from qlop.remote.ssh import SshShell
from qlop.settings import Settings
from qlop.sources import files, watch
from qlop.telemetry import log as logs
from qlop.telemetry import systemd
from qlop.telemetry.clock import SystemClock, SystemIds
from qlop.telemetry.metrics import CycleOutcome, Metrics
from qlop.web import server

TIDY_EVERY = timedelta(days=1)

STANDBY_POLL = timedelta(seconds=2)
"""How often a qlop without the lease asks for it: how soon it takes over."""

SEND_PATIENCE = timedelta(seconds=6)
"""How long to wait, when stopping, for the answer to a mutation on its way: with what
follows, less than the ten seconds after which systemd and people lose patience."""

JOURNAL_KEPT = timedelta(days=180)
"""How long `qlop history` reaches back; what still matters is kept in any case."""

log = structlog.get_logger(__name__)


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
                await self.loop.run()
                if self.executor is not None:
                    self.executor.stop()
                    await self.executor.await_sent(SEND_PATIENCE)
                raise _Stopped  # noqa: TRY301 - out of the group, not out of the function
        except* _Stopped:
            pass

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
    records = _records(settings)
    history = fold(records)
    with _api(settings, Metrics(version=__version__)) as api:
        clock, ids, triggers = SystemClock(), SystemIds(), Triggers()
        observer = _observer(settings, api, clock, triggers)
        engine = Engine(
            manifests=_manifests(settings),
            observer=observer,
            executor=None,
            history=lambda: history,
            clock=clock,
            ids=ids,
            is_leading=lambda: True,
            on_event=lambda _: None,
        )
        yield Parts(
            engine=engine,
            observer=observer,
            triggers=triggers,
            clock=clock,
            ids=ids,
            interval=settings.interval,
            read_records=lambda: records,
            endpoints=lambda: _health(api),
        )


@asynccontextmanager
async def acting(settings: Settings, on_event: Callable[[Event], None]) -> AsyncIterator[Parts]:
    """Give parts that act, and hold the lease and the journal while they last.

    Raises:
        PortError: ``CONFLICT`` if another qlop holds the lease; otherwise if the journal
            can't be opened.
    """
    lease = FileLease(settings.lease_file)
    if not _acquire(lease, settings):
        raise PortError(
            ErrorKind.CONFLICT,
            f"another qlop holds the lease {settings.lease_file}: it is acting already"
            " (stop it, or ask it: `qlop status`)",
        )
    metrics = Metrics(version=__version__)
    try:
        with _acting_parts(settings, metrics, lease, on_event) as parts:
            yield parts
    finally:
        lease.release()


async def run(settings: Settings, *, act: bool) -> None:
    """Be the daemon until SIGTERM or SIGINT: watch, serve, look, act.

    Raises:
        PortError: if the journal can't be opened.
        OSError: if the address of the web pages can't be listened on.
    """
    secrets = [settings.api.token_secret.get_secret_value()]
    if settings.web.token is not None:
        secrets.append(settings.web.token.get_secret_value())
    logs.set_up(form=settings.log.format, level=settings.log.level, secrets=secrets)
    await Daemon(settings, act=act).run()


class Daemon:
    """The long-running form: the parts, the web pages, signals, and systemd."""

    def __init__(self, settings: Settings, *, act: bool) -> None:
        """Prepare; nothing is opened before ``run``."""
        self._settings = settings
        self._act = act
        self._metrics = Metrics(
            version=__version__,
            endpoints=[endpoint.authority for endpoint in settings.api.endpoints],
        )
        self._parts: Parts | None = None
        self._stopping = asyncio.Event()
        self._announced = False
        self._tidied_at = SystemClock().now()
        self._window = Window(
            clock=SystemClock(),
            interval=settings.interval,
            render_metrics=self._metrics.render,
            read_records=lambda: self._parts.records() if self._parts is not None else (),
            journal_trouble=self._journal_trouble,
        )

    async def run(self) -> None:
        """Run until told to stop."""
        self._listen_to_signals()
        web = self._settings.web
        async with server.serving(
            self._window, listen=web.listen, token=web.token, trigger=self._trigger
        ) as port:
            log.info("daemon started", version=__version__, port=port, acting=self._act)
            lease = FileLease(self._settings.lease_file)
            if self._act and not await self._lead(lease):
                return
            try:
                with _acting_parts(
                    self._settings, self._metrics, lease, self._happened, act=self._act
                ) as self._parts:
                    await self._work(self._parts)
            finally:
                lease.release()
        log.info("daemon stopped")

    async def _lead(self, lease: FileLease) -> bool:
        """Wait for the lease; return False if told to stop before it was ours."""
        while not _acquire(lease, self._settings):
            self._tell_systemd("waiting for the lease another qlop holds")
            try:
                async with asyncio.timeout(STANDBY_POLL.total_seconds()):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return False
        return not self._stopping.is_set()

    async def _work(self, parts: Parts) -> None:
        watching = asyncio.create_task(self._watch(parts.triggers), name="watch")
        try:
            await parts.run(on_cycle=self._cycle_done, on_error=self._cycle_failed)
        finally:
            systemd.notify(systemd.STOPPING)
            watching.cancel()

    async def _watch(self, triggers: Triggers) -> None:
        async for _ in watch.changes(self._settings.desired_state):
            triggers.ring_for_manifests()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._trigger)

    def _stop(self) -> None:
        self._stopping.set()
        if self._parts is not None:
            self._parts.stop()

    def _trigger(self) -> None:
        if self._parts is not None:
            self._parts.triggers.ring_for_manifests()

    def _journal_trouble(self) -> str:
        executor = self._parts.executor if self._parts is not None else None
        return executor.trouble if executor is not None else ""

    def _happened(self, event: Event) -> None:
        self._metrics.event_seen(event.kind)
        self._window.happened(event)
        if event.kind not in _LOGGED_BY_EXECUTOR:
            log.info(event.kind.value, subject=event.subject, message=event.message)

    def _cycle_done(self, result: CycleResult, seconds: float) -> None:
        self._window.show(result)
        complete = result.source is not None and result.source.observed.complete
        outcome = CycleOutcome.SUCCEEDED if complete else CycleOutcome.STALLED
        self._metrics.cycle_finished(outcome, seconds)
        actions = len(result.plan.actions) if result.plan is not None else 0
        if self._parts is not None:
            self._metrics.endpoints_checked(self._parts.endpoints())
        self._metrics.publish(
            result.status,
            queued=actions - len(result.started),
            journal_trouble=self._journal_trouble(),
        )
        self._tidy()
        self._tell_systemd(f"{result.status.ready}/{len(result.status.subjects)} as wanted")

    def _tidy(self) -> None:
        """Once a day, let the journal forget; a full disk is no reason to fall over."""
        now = SystemClock().now()
        if self._parts is None or now - self._tidied_at < TIDY_EVERY:
            return
        self._tidied_at = now
        try:
            self._parts.tidy()
        except PortError as error:
            log.warning("journal not tidied", error=str(error))

    def _cycle_failed(self, error: Exception) -> None:
        log.error("cycle failed", exc_info=error)
        self._metrics.cycle_broke()

    def _tell_systemd(self, text: str) -> None:
        said = [systemd.WATCHDOG, systemd.status_assignment(text)]
        if not self._announced:
            self._announced = True
            said.insert(0, systemd.READY)
        systemd.notify(*said)


_LOGGED_BY_EXECUTOR = frozenset(
    {EventKind.ACTION_STARTED, EventKind.ACTION_FINISHED, EventKind.ACTION_FAILED}
)


@contextmanager
def _acting_parts(
    settings: Settings,
    metrics: Metrics,
    lease: FileLease,
    on_event: Callable[[Event], None],
    *,
    act: bool = True,
) -> Iterator[Parts]:
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
    observer = _observer(settings, api, clock, triggers)

    def ended(intended: Intended, finished: Finished) -> None:
        seconds = (finished.at - intended.at).total_seconds()
        metrics.action_finished(intended.verb, finished.ending, seconds)
        observer.touch(intended.vmid)
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
    )


@contextmanager
def _api(settings: Settings, metrics: Metrics) -> Iterator[ProxmoxerApi]:
    def called(route: str, method: Method, status: int, seconds: float) -> None:
        metrics.call_finished(method.value, route, status or None, seconds)

    try:
        api = ProxmoxerApi(settings.api, on_call=called)
    except OSError as error:
        raise PortError(
            ErrorKind.INVALID, f"api.ca_file {settings.api.ca_file}: {error}"
        ) from error
    with contextlib.closing(api):
        yield api


def _observer(
    settings: Settings, api: ProxmoxerApi, clock: SystemClock, triggers: Triggers
) -> Observer:
    shell: RemoteShell | None = None
    if settings.ssh is not None:
        hosts = settings.ssh.hosts or tuple(one.host for one in settings.api.endpoints)
        shell = SshShell(settings.ssh, hosts=hosts)
    return Observer(
        api=api, clock=clock, shell=shell, options=ObserverOptions(), changed=triggers.ring
    )


def _health(api: ProxmoxerApi) -> Mapping[str, bool]:
    return {endpoint.authority: endpoint.healthy for endpoint in api.endpoints()}


def _manifests(settings: Settings) -> Manifests:
    return Manifests(lambda: files.load(settings.desired_state))


def _records(settings: Settings) -> Sequence[JournalRecord]:
    return sqlite.read(settings.journal) if settings.journal.exists() else ()


def _acquire(lease: FileLease, settings: Settings) -> bool:
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
