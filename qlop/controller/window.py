"""Keep what people may look at: the last cycle, the last events, the metrics."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from qlop.controller.cycle import CycleResult
from qlop.controller.loop import DEFAULT_INTERVAL
from qlop.model.event import Event
from qlop.model.history import JournalRecord
from qlop.model.orders import Order
from qlop.model.plan import Plan, PlanInput
from qlop.model.status import Status
from qlop.ports import Clock

EVENTS_KEPT = 200
"""Enough for a page that a person reads; the log has them all."""


class Window:
    """The daemon as it can be looked at. Nothing here changes what it does."""

    def __init__(
        self,
        *,
        clock: Clock,
        interval: timedelta | None,
        render_metrics: Callable[[], bytes],
        read_records: Callable[[], Sequence[JournalRecord]],
        read_orders: Callable[[], Sequence[Order]],
        order_book: Callable[[], str],
        journal_trouble: Callable[[], str],
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._render_metrics = render_metrics
        self._read_records = read_records
        self._read_orders = read_orders
        self._order_book = order_book
        self._journal_trouble = journal_trouble
        self._started_at = clock.now()
        self._waits_for = ""
        self._last: CycleResult | None = None
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)

    def show(self, result: CycleResult) -> None:
        """Show this cycle from now on."""
        self._last = result

    def stands_by(self, waits_for: str) -> None:
        """Say that the daemon is alive and waits for something; again and again, as it does."""
        self._started_at, self._waits_for = self._clock.now(), waits_for

    def begins(self) -> None:
        """Say that it waits no longer: from now on a first cycle is due."""
        self.stands_by("")

    def happened(self, event: Event) -> None:
        """Add an event to those that are shown."""
        self._events.append(event)

    def now(self) -> datetime:
        """Return the present instant."""
        return self._clock.now()

    def started_at(self) -> datetime:
        """Return when the daemon came up, or last said that it stands by."""
        return self._started_at

    def waits_for(self) -> str:
        """Return what the daemon waits for before its first cycle; empty if for nothing."""
        return self._waits_for

    def interval(self) -> timedelta:
        """Return how far apart cycles are when nothing asks for one."""
        if self._interval is not None:
            return self._interval
        source = self.source()
        return source.desired.cluster.interval if source is not None else DEFAULT_INTERVAL

    def status(self) -> Status | None:
        """Return the status of the last cycle; None before the first."""
        return self._last.status if self._last is not None else None

    def source(self) -> PlanInput | None:
        """Return what the last plan was made from; None if there is no plan."""
        return self._last.source if self._last is not None else None

    def plan(self) -> Plan | None:
        """Return the last plan; None if nothing could be planned yet."""
        return self._last.plan if self._last is not None else None

    def records(self) -> Sequence[JournalRecord]:
        """Return the journal, oldest first."""
        return self._read_records()

    def orders(self) -> Sequence[Order]:
        """Return every order ever given, oldest first."""
        return self._read_orders()

    def order_book(self) -> str:
        """Return by what the order book is known."""
        return self._order_book()

    def events(self) -> Sequence[Event]:
        """Return the last events, oldest first."""
        return tuple(self._events)

    def journal_error(self) -> str:
        """Return why the journal can't be written, empty if it can."""
        return self._journal_trouble()

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return self._render_metrics()
