"""Say what the web server needs to know of the daemon: reading only."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from qlop.model.event import Event
from qlop.model.history import JournalRecord
from qlop.model.orders import Order
from qlop.model.plan import Plan, PlanInput
from qlop.model.status import Status


class View(Protocol):
    """The daemon as it can be looked at. No method waits, or changes anything."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...

    def started_at(self) -> datetime:
        """Return when the daemon came up, or last said that it stands by."""
        ...

    def waits_for(self) -> str:
        """Return what the daemon waits for before its first cycle; empty if for nothing."""
        ...

    def interval(self) -> timedelta:
        """Return how far apart cycles are when nothing asks for one."""
        ...

    def status(self) -> Status | None:
        """Return the status of the last cycle; None before the first."""
        ...

    def source(self) -> PlanInput | None:
        """Return what the last plan was made from; None if there is no plan."""
        ...

    def plan(self) -> Plan | None:
        """Return the last plan; None if nothing could be planned yet."""
        ...

    def records(self) -> Sequence[JournalRecord]:
        """Return the journal, oldest first."""
        ...

    def orders(self) -> Sequence[Order]:
        """Return every order ever given, oldest first."""
        ...

    def order_book(self) -> str:
        """Return by what the order book is known (``journal.orderbook.identity``)."""
        ...

    def events(self) -> Sequence[Event]:
        """Return the last events, oldest first."""
        ...

    def journal_error(self) -> str:
        """Return why the journal can't be written, empty if it can."""
        ...

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus's text format 0.0.4."""
        ...
