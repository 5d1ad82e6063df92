"""A daemon to be looked at, in any state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from qlop.model.event import Event
from qlop.model.history import JournalRecord
from qlop.model.orders import Order
from qlop.model.plan import Plan, PlanInput
from qlop.model.status import Status
from tests.render import worlds


@dataclass(kw_only=True)
class StaticView:
    at: datetime = worlds.NOW
    the_status: Status | None = worlds.STATUS
    the_source: PlanInput | None = worlds.INPUT
    the_plan: Plan | None = worlds.PLAN
    the_journal_error: str = ""
    the_wait: str = ""
    the_order_book: str = "1:2/orders.sqlite3"

    def now(self) -> datetime:
        return self.at

    def started_at(self) -> datetime:
        return worlds.NOW

    def waits_for(self) -> str:
        return self.the_wait

    def interval(self) -> timedelta:
        return timedelta(seconds=30)

    def status(self) -> Status | None:
        return self.the_status

    def source(self) -> PlanInput | None:
        return self.the_source

    def plan(self) -> Plan | None:
        return self.the_plan

    def records(self) -> Sequence[JournalRecord]:
        return worlds.RECORDS

    def orders(self) -> Sequence[Order]:
        return worlds.ORDERS

    def order_book(self) -> str:
        return self.the_order_book

    def events(self) -> Sequence[Event]:
        return worlds.EVENTS

    def journal_error(self) -> str:
        return self.the_journal_error

    def metrics(self) -> bytes:
        return b"qlop_up 1\n"
