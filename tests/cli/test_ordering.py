"""Giving orders: what is written into the book, and what is refused."""

import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from qlop.cli import main, ordering
from qlop.journal import orderbook
from qlop.journal.orderbook import SqliteOrderBook
from qlop.model.ids import ServiceName
from qlop.model.orders import (
    EVERYTHING,
    Acknowledge,
    Approve,
    BreakGlass,
    Freeze,
    Order,
    Revoke,
    Scope,
    ScopeKind,
    Suspend,
)
from qlop.model.status import Status
from qlop.settings import Address
from qlop.web import server
from tests.render import worlds
from tests.web.views import StaticView

pytestmark = pytest.mark.real

STATUS = replace(worlds.STATUS, asks=(worlds.REBOOT, worlds.CONFIGURE), fuses=(worlds.FUSE,))
LOST = replace(worlds.FUSE, fingerprint="feed5eed", services=frozenset({ServiceName("old")}))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("QLOP_"):
            monkeypatch.delenv(name)
    (tmp_path / "qlop.yaml").touch()
    monkeypatch.setenv("QLOP_CONFIG", str(tmp_path / "qlop.yaml"))
    monkeypatch.setenv("QLOP_JOURNAL", str(tmp_path / "journal.sqlite3"))
    # Nobody listens there: a daemon that runs on this machine is not to be asked.
    monkeypatch.setenv("QLOP_WEB_LISTEN", "127.0.0.1:1")


def told(
    monkeypatch: pytest.MonkeyPatch,
    arguments: Iterable[str],
    *,
    status: Status = STATUS,
    read: str = "",
) -> int:
    """Run a command beside a daemon that shows ``status``, and reads the order book ``read``."""

    async def run() -> int:
        listen = Address(host="127.0.0.1", port=0)
        book = Path(os.environ["QLOP_JOURNAL"]).with_name("orders.sqlite3")
        view = StaticView(the_status=status, the_order_book=read or orderbook.identity(book))
        async with server.serving(view, listen=listen, token=None, trigger=lambda: None) as port:
            monkeypatch.setenv("QLOP_WEB_LISTEN", f"127.0.0.1:{port}")
            return await asyncio.to_thread(main.outcome, [*arguments])

    return asyncio.run(run())


def given(tmp_path: Path) -> tuple[Order, ...]:
    book = SqliteOrderBook(tmp_path / "orders.sqlite3")
    found = tuple(book.records())
    book.close()
    return found


def test_an_approval_is_for_the_whole_id(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = told(monkeypatch, ["approve", "db", "--reason", "agreed with the ward"])
    (order,) = given(tmp_path)

    assert code == 0
    assert isinstance(order, Approve)
    assert (order.action, order.reason) == (worlds.REBOOT.id, "agreed with the ward")
    assert order.until - order.at == timedelta(hours=24)
    assert "@" in order.by
    assert order.id in capsys.readouterr().out


def test_several_approvals_have_ids_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["approve", worlds.REBOOT.id, worlds.CONFIGURE.id, "--for", "1h", "--json"]
    code = told(monkeypatch, arguments)
    first, second = given(tmp_path)

    assert code == 0
    assert first.id != second.id
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == [first.id, second.id]


@pytest.mark.parametrize("name", ["nothing", "d", "cc"], ids=["unknown", "one-digit", "short"])
def test_what_waits_under_no_such_id_can_not_be_approved(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    code = told(monkeypatch, ["approve", name])

    assert (code, given(tmp_path)) == (1, ())
    assert f"nothing waits for an approval as {name}" in capsys.readouterr().err


def test_a_fuse_is_acknowledged_with_all_that_it_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = told(monkeypatch, ["acknowledge", "ab12cd34"])
    (order,) = given(tmp_path)

    assert code == 0
    assert isinstance(order, Acknowledge)
    assert (order.fuse, order.actions, order.services) == (
        "ab12cd34",
        worlds.FUSE.actions,
        frozenset(),
    )
    assert order.until - order.at == timedelta(hours=24)


def test_lost_services_are_acknowledged_for_longer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told(monkeypatch, ["acknowledge", "feed5eed"], status=replace(STATUS, fuses=(LOST,)))
    (order,) = given(tmp_path)

    assert isinstance(order, Acknowledge)
    assert order.services == {ServiceName("old")}
    assert order.until - order.at == timedelta(days=90)


def test_another_fingerprint_acknowledges_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, ["acknowledge", "00000000"]) == 1
    assert given(tmp_path) == ()
    assert "blown: ab12cd34" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "scope"),
    [
        pytest.param(["web-1"], Scope(kind=ScopeKind.GUEST, name="web-1"), id="guest"),
        pytest.param(["web"], Scope(kind=ScopeKind.SERVICE, name="web"), id="service-by-name"),
        pytest.param(
            ["--service", "web"], Scope(kind=ScopeKind.SERVICE, name="web"), id="service"
        ),
        pytest.param(["--node", "pve1"], Scope(kind=ScopeKind.NODE, name="pve1"), id="node"),
    ],
)
def test_what_is_suspended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], scope: Scope
) -> None:
    code = told(monkeypatch, ["suspend", *arguments, "--for", "2h"])
    (order,) = given(tmp_path)

    assert code == 0
    assert isinstance(order, Suspend)
    assert (order.scope, order.until - order.at) == (scope, timedelta(hours=2))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["suspend", "web-1"], "say how long it holds", id="without-an-end"),
        pytest.param(["freeze"], "say how long it holds", id="freeze-without-an-end"),
        pytest.param(["freeze", "--for", "2"], "no span of time", id="no-unit"),
        pytest.param(["freeze", "--until", "2020-01-01T00:00"], "that is over", id="past"),
        pytest.param(["freeze", "--until", "tomorrow"], "write it 2026", id="no-time"),
        pytest.param(
            ["freeze", "--for", "2h", "--until", "2030-01-01"], "one of the two", id="both-ends"
        ),
        pytest.param(["suspend", "wbe-1", "--for", "2h"], "no guest wbe-1", id="typing-error"),
        pytest.param(
            ["suspend", "--node", "pve9", "--for", "2h"], "no node pve9", id="no-such-node"
        ),
        pytest.param(["suspend", "--for", "2h"], "say one of NAME", id="nothing-said"),
        pytest.param(
            ["suspend", "web-1", "--node", "pve1", "--for", "2h"], "say one of", id="two-said"
        ),
        pytest.param(["break-glass", "--all", "--for", "1h"], "--reason", id="glass-needs-a-why"),
        pytest.param(
            ["break-glass", "--all", "--for", "1h", "--reason", " "], "say why", id="no-real-why"
        ),
        pytest.param(
            ["break-glass", "web-1", "--all", "--for", "1h", "--reason", "fire"],
            "leave the name out",
            id="all-and-one",
        ),
    ],
)
def test_orders_that_are_not_given(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    code = told(monkeypatch, arguments)

    assert (code, given(tmp_path)) == (64, ())
    assert said in capsys.readouterr().err


def test_a_freeze_and_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert main.outcome(["thaw"]) == 1
    assert main.outcome(["freeze", "--for", "1d", "--reason", "accreditation"]) == 0
    assert main.outcome(["thaw", "--reason", "they left"]) == 0
    freeze, revoke = given(tmp_path)

    assert isinstance(freeze, Freeze)
    assert isinstance(revoke, Revoke)
    assert revoke.order == freeze.id
    assert [*ordering.standing(tmp_path / "orders.sqlite3")] == []
    del monkeypatch


def test_a_suspension_is_taken_back_by_what_it_is_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, ["suspend", "web-1", "--for", "2h"])
    told(monkeypatch, ["suspend", "--node", "pve1", "--for", "2h"])

    assert main.outcome(["resume"]) == 1
    assert "which suspension?" in capsys.readouterr().err
    assert main.outcome(["resume", "pve1"]) == 0
    assert main.outcome(["resume"]) == 0
    assert [*ordering.standing(tmp_path / "orders.sqlite3")] == []


def test_any_order_can_be_taken_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, ["break-glass", "--all", "--for", "1h", "--reason", "fire"])
    (glass,) = given(tmp_path)

    assert isinstance(glass, BreakGlass)
    assert glass.scope == EVERYTHING
    assert main.outcome(["revoke", "nothing"]) == 1
    assert glass.id in capsys.readouterr().err
    assert main.outcome(["revoke", glass.id]) == 0
    assert [*ordering.standing(tmp_path / "orders.sqlite3")] == []


def test_who_may_not_write_the_book_gives_no_orders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "orders.sqlite3").mkdir()
    monkeypatch.setenv("QLOP_ORDERS", str(tmp_path / "orders.sqlite3"))

    assert main.outcome(["freeze", "--for", "1h"]) == 1
    assert "orders.sqlite3" in capsys.readouterr().err


def test_local_time_is_meant() -> None:
    now = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    local = (now + timedelta(hours=1)).astimezone().replace(tzinfo=None)

    assert ordering.end(now, span=None, until=local.isoformat()) == now + timedelta(hours=1)


def test_behind_sudo_stands_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ani")

    assert ordering.who().startswith("ani@")


def test_an_end_is_needed_where_there_is_no_default() -> None:
    with pytest.raises(typer.BadParameter, match="say how long"):
        ordering.head(reason="", span=None, until=None)


def test_an_order_that_the_daemon_would_never_see_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = told(monkeypatch, ["freeze", "--for", "1h"], read="7:8/orders.sqlite3")
    assert code == 1
    assert "is not the order book of the daemon" in capsys.readouterr().err
    assert not (tmp_path / "orders.sqlite3").exists()


def test_a_book_is_known_through_links_before_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real, link = tmp_path / "real" / "orders.sqlite3", tmp_path / "link" / "orders.sqlite3"
    assert orderbook.identity(real) == orderbook.identity(link)
    assert orderbook.identity(real) != orderbook.identity(tmp_path / "orders.sqlite3")
    assert orderbook.identity(tmp_path / "no" / "orders.sqlite3").startswith(str(tmp_path))
