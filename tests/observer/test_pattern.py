"""Rows that differ are found whatever differs about them, in whatever order."""

import random
from collections.abc import Callable

import pytest

from qlop.observer.pattern import Difference, RowPattern
from qlop.ports import Json
from qlop.pve.parse_resources import guest_key

Row = dict[str, Json]


def guest(vmid: int, **other: Json) -> Row:
    row: Row = {"type": "qemu", "vmid": vmid, "node": "pve1", "status": "running"}
    return row | other


def node(name: str, **other: Json) -> Row:
    row: Row = {"type": "node", "node": name, "status": "online"}
    return row | other


def listing() -> list[Row]:
    pool: Row = {"type": "pool", "pool": "team"}
    return [pool, guest(100, cpu=0.1), guest(101, tags="a"), guest(102), node("pve1")]


def learned(rows: list[Row]) -> RowPattern:
    pattern = RowPattern()
    pattern.compare(rows)
    return pattern


def test_at_first_everything_differs() -> None:
    rows = listing()

    assert RowPattern().compare(rows) == Difference(
        changed=rows[1:4], gone=set(), others=[rows[0], rows[4]]
    )


def test_nothing_differs_in_the_same_listing_whatever_the_counters_say() -> None:
    pattern = learned(listing())
    again = listing()
    again[1]["cpu"] = 0.9
    again[4]["cpu"] = 0.7
    again[1], again[2] = again[2], again[1]

    assert pattern.compare(again) == Difference(
        changed=[], gone=set(), others=[again[0], again[4]]
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda row: row.update(status="stopped"), id="value"),
        pytest.param(lambda row: row.update(lock="backup"), id="new-column-that-matters"),
        pytest.param(lambda row: row.update(pressure=1), id="new-column-that-does-not"),
        pytest.param(lambda row: row.pop("tags"), id="column-gone"),
        pytest.param(lambda row: row.update(type="lxc"), id="another-kind"),
    ],
)
def test_a_row_that_differs_is_returned_once(change: Callable[[Row], object]) -> None:
    pattern = learned(listing())
    again = listing()
    change(again[2])

    first, second = pattern.compare(again), pattern.compare(again)

    assert (first.changed, first.gone) == ([again[2]], set())
    assert (second.changed, second.gone) == ([], set())


def test_guests_come_and_go() -> None:
    pattern = learned(listing())
    again = listing()
    again[2] = guest(999)

    difference = pattern.compare(again)

    assert (difference.changed, difference.gone) == ([again[2]], {101})
    assert pattern.compare(again).changed == []
    assert pattern.compare(again[:2]).gone == {102, 999}
    assert pattern.compare([]).gone == {100}
    assert pattern.compare([]).gone == set()


def test_a_guest_that_is_forgotten_counts_as_changed() -> None:
    pattern = learned(listing())
    pattern.forget(101)
    rows = listing()

    assert pattern.compare(rows).changed == [rows[2]]


def test_guests_need_not_be_in_one_piece() -> None:
    rows = [guest(100), node("pve1"), guest(101)]
    pattern = learned(rows)
    rows[2]["status"] = "stopped"

    assert pattern.compare(rows) == Difference(changed=[rows[2]], gone=set(), others=[rows[1]])


def test_any_history_of_changes_leaves_nothing_unseen() -> None:
    draw = random.Random(1)
    pattern = RowPattern()
    seen: dict[Json, tuple[Json, ...]] = {}
    rows = {vmid: guest(vmid) for vmid in range(100, 120)}
    for _ in range(300):
        vmid = draw.randrange(100, 125)
        column = draw.choice(["node", "status", "lock", "tags", "hastate", "name", "cpu"])
        if draw.random() < 0.2:
            rows.pop(vmid, None)
        elif draw.random() < 0.2 and column in rows.get(vmid, {}):
            rows[vmid].pop(column)
        else:
            rows.setdefault(vmid, guest(vmid))[column] = draw.random()
        shown: list[Row] = [dict(row) for row in rows.values()]
        draw.shuffle(shown)

        difference = pattern.compare([*shown, node("pve1")])
        for row in difference.changed:
            seen[row["vmid"]] = guest_key(row)
        for gone in difference.gone:
            del seen[gone]

        assert seen == {vmid: guest_key(row) for vmid, row in rows.items()}
