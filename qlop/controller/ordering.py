"""Know what people ordered, in every cycle and as soon as they order it.

An order that can't be read may be one that forbids everything: as long as the book can't
be read, the last orders known stay in force and nothing is done.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from qlop.model.orders import Order, Orders
from qlop.ports import Clock, OrderBook, PortError

LOOK = timedelta(seconds=1)
"""How often to look for a new order; looking is one query by a primary key."""


class Ordering:
    """The orders as the last look found them."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self.known = Orders()
        self.trouble = ""
        """Why the book can't be read, empty if it can."""

    def read(self) -> Orders:
        """Look into the book, and return what is ordered as far as is known."""
        try:
            self.known, self.trouble = self._book.orders(), ""
        except PortError as error:
            self.trouble = str(error)
        return self.known

    def records(self) -> Sequence[Order]:
        """Return every order ever given, oldest first; none if they can't be read."""
        try:
            return self._book.records()
        except PortError:
            return ()

    async def watch(self, ring: Callable[[], None], clock: Clock) -> None:
        """Ring for a cycle whenever there is a new order, for ever."""
        while True:
            await clock.sleep(LOOK)
            before = self.known, self.trouble
            if self.read() != before[0] or self.trouble != before[1]:
                ring()
