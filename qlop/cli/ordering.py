"""Give an order: who says it, how long it holds, and into which book it is written."""

import asyncio
import getpass
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from qlop import daemon
from qlop.cli import asking, options, plan, screen
from qlop.cli.asking import Answer
from qlop.journal import orderbook
from qlop.journal.orderbook import SqliteOrderBook
from qlop.model import units
from qlop.model.ids import OrderId
from qlop.model.orders import Order, Orders, in_force
from qlop.render.line import Span, Tone, line
from qlop.render.order import order_document, order_text
from qlop.render.plain_value import Plain
from qlop.render.status import status_document
from qlop.settings import Settings
from qlop.telemetry.clock import SystemIds

For = Annotated[
    str | None,
    typer.Option("--for", metavar="SPAN", help="How long it holds: 30m, 2h, 7d."),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="TIME", help="Until when it holds: 2026-11-25T08:00, local time."
    ),
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; everybody is shown it.")]


class Head(TypedDict):
    """What every order says: the fields of ``model.orders`` that all of them have."""

    id: OrderId
    at: datetime
    by: str
    reason: str
    until: datetime


def head(
    *, reason: str, span: str | None, until: str | None, default: timedelta | None = None
) -> Head:
    """Return the head of an order given now. Without a ``default`` the end must be said.

    Raises:
        typer.BadParameter: if it has no end, or one that is past.
    """
    now = datetime.now(UTC)
    return Head(
        id=new_id(),
        at=now,
        by=who(),
        reason=reason,
        until=end(now, span=span, until=until, default=default),
    )


def new_id() -> OrderId:
    """Return an id that no other order has."""
    return OrderId(SystemIds().cycle_id())


def end(
    now: datetime, *, span: str | None, until: str | None, default: timedelta | None = None
) -> datetime:
    """Return when an order ends.

    Raises:
        typer.BadParameter: if that is not said, said twice, or past.
    """
    if span is not None and until is not None:
        raise typer.BadParameter("--for and --until: say one of the two")
    if until is not None:
        try:
            found = datetime.fromisoformat(until).astimezone(UTC)
        except ValueError:
            raise typer.BadParameter(f"--until {until}: write it 2026-11-25T08:00") from None
        if found <= now:
            raise typer.BadParameter(f"--until {until}: that is over")
        return found
    if span is not None:
        try:
            return now + units.parse_span(span)
        except (ValueError, OverflowError) as error:
            raise typer.BadParameter(f"--for: {error}") from None
    if default is None:
        raise typer.BadParameter("say how long it holds: --for 2h, or --until 2026-11-25T08:00")
    return now + default


def who() -> str:
    """Return who gives the order: the user, behind ``sudo`` if need be, and the machine."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


class OtherBookError(Exception):
    """An order would go into another book than the daemon reads: it would hold nothing."""


def book_path(config: Path | None, overrides: list[str] | None) -> Path:
    """Return where the order book is, whatever the other settings are.

    Raises:
        OtherBookError: if the daemon that the settings lead to reads another one.
    """
    said = options.setting_of("orders", config, overrides)
    journal = options.setting_of("journal", config, overrides)
    default = Path(journal) if journal else Settings.model_fields["journal"].default
    path = Path(said) if said else default.with_name("orders.sqlite3")
    web = options.web_of(config, overrides)
    answer = asking.ask(web, "orders")
    if answer is None:
        where = f"no daemon answers at {web.listen.authority}"
        screen.tell([line(Span(f"{where}: this is for the one that reads {path}", Tone.DIM))])
    read = (
        answer.document.get("book")
        if isinstance(answer, Answer) and isinstance(answer.document, dict)
        else None
    )
    if read is not None and read != orderbook.identity(path):
        raise OtherBookError(
            f"{path} is not the order book of the daemon that answers at {web.listen.authority}:"
            " it would never see the order; give the settings that it runs with (--config)"
        )
    return path


def standing(path: Path) -> Orders:
    """Return the orders in force now.

    Raises:
        PortError: if they can't be read.
    """
    book = SqliteOrderBook(path)
    try:
        return in_force(book.orders(), datetime.now(UTC))
    finally:
        book.close()


def give(orders: Iterable[Order], path: Path, *, as_json: bool) -> int:
    """Write orders into the book and say so; return the exit code.

    Raises:
        PortError: ``DENIED`` if the caller may give none.
    """
    book = SqliteOrderBook(path)
    given: list[Plain] = []
    for order in orders:
        book.append(order)
        given.append(order_document(order))
        if not as_json:
            text = order_text(order)
            screen.show([line("order ", Span(order.id, Tone.STRONG), f": {text}")])
    if as_json:
        screen.show_json(given)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What there is to give orders about; all empty, and not ``known``, if nobody knows."""

    known: bool
    guests: Mapping[str, str]
    """Name → service."""
    orphans: Mapping[str, tuple[str, int]]
    """Guests that no manifest names: name → service and index."""
    nodes: frozenset[str]
    asks: tuple[Mapping[str, Plain], ...]
    fuses: tuple[Mapping[str, Plain], ...]


def state(config: Path | None, overrides: list[str] | None) -> State:
    """Return how things stand: what a daemon says, else what one look shows.

    Raises:
        SettingsError: if there is no daemon and the cluster can't be looked at.
        PortError: likewise.
    """
    answer = asking.ask(options.web_of(config, overrides), "status")
    if isinstance(answer, Answer):
        return parse_state(answer.document)
    settings = options.settings_of(config, overrides)
    result = asyncio.run(plan.looked(daemon, settings))
    return parse_state(status_document(result.status))


def parse_state(document: Plain) -> State:
    """Return what ``status_document`` says; what is not there is empty."""
    found = document if isinstance(document, dict) else {}
    guests = _mappings(found.get("guests"))
    return State(
        known=bool(guests),
        guests={str(one.get("subject")): str(one.get("service")) for one in guests}
        | {str(one.get("name")): str(one.get("service")) for one in guests},
        orphans={
            str(one.get("name")): (str(one.get("service")), index)
            for one in guests
            if one.get("orphan") and isinstance(index := one.get("index"), int)
        },
        nodes=frozenset(str(one.get("name")) for one in _mappings(found.get("nodes"))),
        asks=_mappings(found.get("asks")),
        fuses=_mappings(found.get("fuses")),
    )


def texts(value: Plain) -> tuple[str, ...]:
    """Return a list of texts out of a document."""
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _mappings(value: Plain | None) -> tuple[Mapping[str, Plain], ...]:
    return tuple(one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
