"""Be the long-running form of qlop: wait for the lease, watch, serve, listen to signals."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import timedelta

import structlog

from qlop import __version__, daemon
from qlop.controller.cycle import CycleResult
from qlop.controller.lease import FileLease
from qlop.controller.triggers import Triggers
from qlop.controller.window import Window
from qlop.journal import orderbook
from qlop.model.event import Event, EventKind
from qlop.model.orders import Order
from qlop.ports import PortError
from qlop.settings import Settings
from qlop.sources import watch
from qlop.telemetry import log as logs
from qlop.telemetry import systemd
from qlop.telemetry.clock import SystemClock
from qlop.telemetry.metrics import CycleOutcome, Metrics
from qlop.web import server

STANDBY_POLL = timedelta(seconds=2)
"""How often a qlop without the lease asks for it: how soon it takes over."""

LEASE = "the lease another qlop holds"

TIDY_EVERY = timedelta(days=1)

_LOGGED_BY_EXECUTOR = frozenset(
    {EventKind.ACTION_STARTED, EventKind.ACTION_FINISHED, EventKind.ACTION_FAILED}
)

log = structlog.get_logger(__name__)


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
    await Service(settings, act=act).run()


class Service:
    """The long-running form: the parts, the web pages, signals, and systemd."""

    def __init__(self, settings: Settings, *, act: bool) -> None:
        """Prepare; nothing is opened before ``run``."""
        self._settings = settings
        self._act = act
        self._metrics = Metrics(
            version=__version__,
            endpoints=[endpoint.authority for endpoint in settings.api.endpoints],
        )
        self._parts: daemon.Parts | None = None
        self._stopping = asyncio.Event()
        self._announced = False
        self._tidied_at = SystemClock().now()
        self._window = Window(
            clock=SystemClock(),
            interval=settings.interval,
            render_metrics=self._metrics.render,
            read_records=lambda: self._parts.records() if self._parts is not None else (),
            read_orders=self._orders,
            order_book=lambda: orderbook.identity(settings.orders_file),
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
                with daemon.acting_parts(
                    self._settings, self._metrics, lease, self._happened, act=self._act
                ) as self._parts:
                    await self._work(self._parts)
            finally:
                lease.release()
        log.info("daemon stopped")

    async def _lead(self, lease: FileLease) -> bool:
        """Wait for the lease; return False if told to stop before it was ours."""
        while not daemon.acquire(lease, self._settings):
            self._window.stands_by(LEASE)
            self._tell_systemd(f"waiting for {LEASE}")
            try:
                async with asyncio.timeout(STANDBY_POLL.total_seconds()):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return False
        self._window.begins()
        return not self._stopping.is_set()

    async def _work(self, parts: daemon.Parts) -> None:
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

    def _orders(self) -> Sequence[Order]:
        return self._parts.engine.ordering.records() if self._parts is not None else ()

    def _happened(self, event: Event) -> None:
        self._metrics.event_seen(event.kind)
        self._window.happened(event)
        if event.kind is EventKind.GLASS_BROKEN:
            log.warning(event.kind.value, subject=event.subject, message=event.message)
        elif event.kind not in _LOGGED_BY_EXECUTOR:
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
        stalled = f"; stalled: {result.status.stalled}" if result.status.stalled else ""
        self._tell_systemd(
            f"{result.status.ready}/{len(result.status.subjects)} as wanted{stalled}"
        )

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
