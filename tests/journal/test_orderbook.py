import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qlop.journal import order_record
from qlop.journal.orderbook import SqliteOrderBook
from qlop.journal.record import RecordError
from qlop.journal.sqlite import SqliteJournal
from qlop.model.ids import ActionId, OrderId, ServiceName, VmId
from qlop.model.orders import (
    EVERYTHING,
    Acknowledge,
    Adopt,
    Approve,
    BreakGlass,
    Freeze,
    Order,
    Orders,
    Release,
    Revoke,
    Scope,
    ScopeKind,
    Suspend,
    Undelete,
    fold,
    in_force,
)
from qlop.ports import ErrorKind, PortError

AT = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
UNTIL = AT + timedelta(hours=1)
ACTION = ActionId("web-1/reboot/3f2a9c0d1e2f")
WEB = Scope(kind=ScopeKind.SERVICE, name="web")

APPROVE = Approve(id=OrderId("o1"), at=AT, by="ani", reason="", until=UNTIL, action=ACTION)
SUSPEND = Suspend(id=OrderId("o2"), at=AT, by="ani", reason="fsck", until=UNTIL, scope=WEB)
FREEZE = Freeze(id=OrderId("o3"), at=AT, by="budi", reason="audit", until=UNTIL)
GLASS = BreakGlass(
    id=OrderId("o4"), at=AT, by="budi", reason="fire", until=UNTIL, scope=EVERYTHING
)
ACKNOWLEDGE = Acknowledge(
    id=OrderId("o5"),
    at=AT,
    by="ani",
    reason="the move of hall 2",
    until=UNTIL,
    fuse="ab12cd34",
    actions=frozenset({ACTION}),
    services=frozenset({ServiceName("old")}),
)
UNDELETE = Undelete(
    id=OrderId("o6"), at=AT, by="ani", reason="", until=UNTIL, service=ServiceName("old"), index=2
)
ADOPT = Adopt(
    id=OrderId("o7"),
    at=AT,
    by="ani",
    reason="",
    until=UNTIL,
    vmid=VmId(104),
    service=ServiceName("db"),
    index=1,
)
RELEASE = Release(
    id=OrderId("o9"),
    at=AT,
    by="ani",
    reason="",
    until=UNTIL,
    vmid=VmId(105),
    service=ServiceName("mail"),
    index=2,
)
REVOKE = Revoke(id=OrderId("o8"), at=AT, by="ani", reason="done", until=UNTIL, order=SUSPEND.id)
EVERY: tuple[Order, ...] = (
    APPROVE,
    SUSPEND,
    FREEZE,
    GLASS,
    ACKNOWLEDGE,
    UNDELETE,
    ADOPT,
    RELEASE,
    REVOKE,
)


@pytest.mark.parametrize("order", EVERY, ids=lambda order: type(order).__name__)
def test_an_order_is_read_as_it_was_written(order: Order) -> None:
    assert order_record.decode(order_record.encode(order)) == order


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("{", id="no-json"),
        pytest.param("[]", id="no-object"),
        pytest.param('{"format":2}', id="newer"),
        pytest.param('{"format":1,"order":"paint"}', id="incomplete"),
        pytest.param(order_record.encode(FREEZE).replace("freeze", "paint"), id="unknown-kind"),
        pytest.param(order_record.encode(FREEZE).replace("+00:00", ""), id="no-time-zone"),
        pytest.param(order_record.encode(ADOPT).replace("104", '"104"'), id="no-number"),
        pytest.param(order_record.encode(SUSPEND).replace('"web"', "7"), id="no-text"),
        pytest.param(order_record.encode(ACKNOWLEDGE).replace('["old"]', "7"), id="no-list"),
    ],
)
def test_what_is_no_order_is_refused(line: str) -> None:
    with pytest.raises(RecordError):
        order_record.decode(line)


def test_an_order_taken_back_no_longer_stands() -> None:
    assert fold([SUSPEND, FREEZE, REVOKE]) == Orders(freezes=(FREEZE,))


def test_of_an_adoption_and_a_release_the_later_one_stands() -> None:
    release = replace(RELEASE, vmid=ADOPT.vmid)

    assert fold([ADOPT, release]) == Orders(releases={ADOPT.vmid: release})
    assert fold([release, ADOPT]) == Orders(adoptions={ADOPT.vmid: ADOPT})


def test_orders_stand_by_kind() -> None:
    assert fold(EVERY) == Orders(
        approvals={ACTION: APPROVE},
        freezes=(FREEZE,),
        glasses=(GLASS,),
        acknowledged=(ACKNOWLEDGE,),
        undeleted={(ServiceName("old"), 2): UNDELETE},
        releases={RELEASE.vmid: RELEASE},
        adoptions={VmId(104): ADOPT},
    )


def test_an_order_ends_at_its_end_and_not_before() -> None:
    orders = fold(EVERY)

    assert in_force(orders, UNTIL - timedelta(microseconds=1)) is orders
    assert in_force(orders, UNTIL) == Orders()


def test_what_one_writes_the_other_reads(tmp_path: Path) -> None:
    reader, writer = SqliteOrderBook(tmp_path / "orders"), SqliteOrderBook(tmp_path / "orders")
    before = reader.orders()
    writer.append(FREEZE)
    first = reader.orders()
    same = reader.orders()
    writer.append(SUSPEND)
    second = reader.orders()
    reader.close()

    assert (before, first, second) == (Orders(), fold([FREEZE]), fold([FREEZE, SUSPEND]))
    assert same is first
    assert reader.records() == (FREEZE, SUSPEND)
    reader.close()


def test_the_group_may_give_orders(tmp_path: Path) -> None:
    SqliteOrderBook(tmp_path / "orders").append(FREEZE)

    assert stat.S_IMODE((tmp_path / "orders").stat().st_mode) == 0o660


def test_a_book_that_is_gone_is_no_empty_book(tmp_path: Path) -> None:
    book = SqliteOrderBook(tmp_path / "orders")
    book.append(FREEZE)
    book.orders()
    (tmp_path / "orders").unlink()
    with pytest.raises(PortError, match="was there and is gone"):
        book.orders()
    book.close()


def test_a_book_put_in_its_place_is_read_anew(tmp_path: Path) -> None:
    book, other = SqliteOrderBook(tmp_path / "orders"), SqliteOrderBook(tmp_path / "other")
    book.append(FREEZE)
    book.orders()
    other.append(SUSPEND)
    (tmp_path / "other").rename(tmp_path / "orders")

    assert book.orders() == fold([SUSPEND])
    book.close()


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough", b""], ids=["junk", "none"]
)
def test_a_file_that_is_no_book(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "orders"
    path.write_bytes(content)
    book = SqliteOrderBook(path)
    if content:
        with pytest.raises(PortError) as refused:
            book.orders()
        assert refused.value.kind is ErrorKind.INVALID
    else:
        assert book.orders() == Orders()
    book.close()


def test_a_journal_is_no_order_book(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "journal").close()
    book = SqliteOrderBook(tmp_path / "journal")
    with pytest.raises(PortError, match="no order book"):
        book.append(FREEZE)
    with pytest.raises(PortError, match="no order book"):
        book.orders()
    book.close()
