"""People's orders: read in every cycle, noticed at once, and never missed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from qlop.controller import happenings
from qlop.controller.ordering import LOOK, Ordering
from qlop.journal.orderbook import MemoryOrderBook
from qlop.model.event import EventKind
from qlop.model.guest import Power
from qlop.model.ids import OrderId
from qlop.model.orders import EVERYTHING, BreakGlass, Freeze, Order, Orders, fold
from qlop.model.verdict import Held, Hold
from qlop.ports import ErrorKind, PortError
from qlop.telemetry.clock import SystemClock
from tests import builders as b
from tests.controller.cast import Cast
from tests.render import worlds

WANT = b.desired(b.desired_guest())
OFF = b.observed(b.guest(power=Power.STOPPED))
SOON = b.NOW + timedelta(hours=1)
FREEZE = Freeze(id=OrderId("o1"), at=b.NOW, by="ani", reason="", until=SOON)
GLASS = BreakGlass(
    id=OrderId("o2"), at=b.NOW, by="ani", reason="fire", until=SOON, scope=EVERYTHING
)


@dataclass
class Torn:
    """A book that can't be read while ``torn``."""

    book: MemoryOrderBook
    torn: bool = False

    def append(self, order: Order) -> None:
        self.book.append(order)

    def records(self) -> Sequence[Order]:
        self._look()
        return self.book.records()

    def orders(self) -> Orders:
        self._look()
        return self.book.orders()

    def _look(self) -> None:
        if self.torn:
            raise PortError(ErrorKind.INVALID, "orders.sqlite3: damaged")


async def test_a_freeze_is_heard_in_the_next_cycle() -> None:
    book = MemoryOrderBook()
    cast = Cast(WANT, [OFF])
    cast.engine.ordering = Ordering(book)
    first = await cast.engine.cycle(read_manifests=True, act=False)
    book.append(FREEZE)
    second = await cast.engine.cycle(read_manifests=False, act=True)

    assert first.plan is not None
    assert first.plan.actions
    assert second.status.orders == (FREEZE,)
    assert second.started == ()
    verdict = second.status.subjects[0].verdict
    assert isinstance(verdict, Held)
    assert verdict.reason is Hold.FROZEN


async def test_a_quiet_plan_is_made_anew_for_an_order() -> None:
    book = MemoryOrderBook()
    cast = Cast(WANT, [b.observed(b.guest())])
    cast.engine.ordering = Ordering(book)
    await cast.engine.cycle(read_manifests=True, act=True)
    book.append(FREEZE)
    result = await cast.engine.cycle(read_manifests=False, act=True)

    assert result.plan is not None
    assert result.plan.reconsider_at == SOON


async def test_while_the_book_can_not_be_read_nothing_is_done() -> None:
    torn = Torn(MemoryOrderBook(), torn=True)
    cast = Cast(WANT, [OFF])
    cast.engine.ordering = Ordering(torn)
    deaf = await cast.engine.cycle(read_manifests=True, act=True)
    torn.torn = False
    after = await cast.engine.cycle(read_manifests=False, act=True)

    assert deaf.started == ()
    assert deaf.status.stalled == "people's orders can't be read: orders.sqlite3: damaged"
    assert after.started
    assert after.status.stalled == ""


def test_what_was_known_stays_known_while_the_book_can_not_be_read() -> None:
    torn = Torn(MemoryOrderBook([FREEZE]))
    ordering = Ordering(torn)
    ordering.read()
    torn.torn = True

    assert ordering.read() == fold([FREEZE])
    assert ordering.records() == ()


async def test_an_order_rings_for_a_cycle() -> None:
    torn = Torn(MemoryOrderBook())
    ordering, rings = Ordering(torn), list[float]()
    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(
        ordering.watch(lambda: rings.append(loop.time()), SystemClock())
    )
    await asyncio.sleep(10 * LOOK.total_seconds())
    quiet = len(rings)
    torn.append(FREEZE)
    await asyncio.sleep(1.5 * LOOK.total_seconds())
    heard = len(rings)
    torn.torn = True
    await asyncio.sleep(1.5 * LOOK.total_seconds())
    watching.cancel()

    assert (quiet, heard, len(rings)) == (0, 1, 2)


def test_orders_are_told_when_they_come_and_go() -> None:
    calm = replace(worlds.STATUS, orders=(), asks=(), fuses=())
    moved = replace(calm, orders=(FREEZE, GLASS), asks=(worlds.REBOOT,))
    told = happenings.between(calm, moved)
    ended = happenings.between(moved, calm)

    assert [(one.kind, one.subject) for one in told] == [
        (EventKind.ORDER_GIVEN, "cluster"),
        (EventKind.GLASS_BROKEN, "cluster"),
        (EventKind.APPROVAL_WANTED, "db"),
    ]
    assert [one.kind for one in ended] == [EventKind.ORDER_ENDED, EventKind.ORDER_ENDED]
    assert "fire" in told[1].message
