"""An action's life, from its intent to its end, and everything that may go wrong in it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from typing_extensions import override

from qlop.journal.memory import MemoryJournal
from qlop.model.action import Verb
from qlop.model.event import EventKind
from qlop.model.history import Ending, Finished, Intended, JournalRecord
from qlop.model.ids import CycleId, GuestName, Upid
from qlop.model.policy import Limits
from qlop.ports import ErrorKind, PortError, PveCall
from tests.executor.house import SUCCEEDED, House, said
from tests.executor.planned import AT_ONCE, cluster_for, guest_for, plan_of, planned
from tests.executor.toy import is_mutation, now_s, refusing


@pytest.mark.parametrize("verb", Verb)
async def test_an_action_is_one_mutation_and_three_records(verb: Verb) -> None:
    house = House(cluster := cluster_for(verb))

    end = await house.carry_out(planned(verb))

    assert said(end) == SUCCEEDED
    assert len(cluster.mutations) == 1
    answer = "dispatched" if verb in AT_ONCE else "task"
    assert house.steps() == ["intended", answer, "succeeded"]
    assert house.ledger.history().inflight == {}


@pytest.mark.parametrize("verb", Verb)
async def test_no_parameter_reaches_journal_or_events(verb: Verb) -> None:
    house = House(cluster_for(verb))

    await house.carry_out(planned(verb))

    assert "hunter2" not in repr((house.journal.records(), house.events))


async def test_people_are_told_what_happens_and_why() -> None:
    house = House(cluster_for(Verb.CLONE))

    await house.carry_out(planned(Verb.CLONE))

    assert [(event.kind, event.message) for event in house.events] == [
        (EventKind.ACTION_STARTED, "clone template 9000 to web (110) on pve2: it should"),
        (EventKind.ACTION_FINISHED, "clone template 9000 to web (110) on pve2: done in 5s"),
    ]


async def test_what_the_planner_expects_is_journalled_with_the_intent() -> None:
    house = House(cluster_for(Verb.RESIZE))

    await house.carry_out(planned(Verb.RESIZE))

    intended = house.journal.records()[0]
    assert isinstance(intended, Intended)
    assert intended.expects == {"slot": "scsi0", "size-bytes": str(64 << 30), "said": "so"}
    assert intended.takes == ("node:pve1",)


class FullDisk(MemoryJournal):
    """A journal that can't be written from its ``full_at``-th record on, for a while."""

    def __init__(self, full_at: int, refusals: int) -> None:
        super().__init__()
        self._full_at = full_at
        self._refusals = refusals

    def fill(self, refusals: int) -> None:
        self._refusals = refusals

    @override
    def append(self, record: JournalRecord) -> None:
        if len(self.records()) >= self._full_at and self._refusals:
            self._refusals -= 1
            raise PortError(ErrorKind.TRANSIENT, "journal.db: disk is full")
        super().append(record)


async def test_nothing_is_sent_that_could_not_be_written_down() -> None:
    house = House(cluster := cluster_for(Verb.START), FullDisk(0, 1))

    async with house.living():
        first = house.start(planned(Verb.START))
        trouble = house.executor.trouble
        calls = len(cluster.mutations) + len(cluster.reads)
        second = house.start(planned(Verb.START))

    assert (first, calls, trouble) == ((), 0, "journal.db: disk is full")
    assert (len(second), house.executor.trouble) == (1, "")
    assert len(cluster.mutations) == 1


@pytest.mark.parametrize("full_at", [1, 2], ids=["dispatched", "finished"])
async def test_what_has_happened_is_written_down_when_the_disk_has_room_again(
    full_at: int,
) -> None:
    house = House(cluster := cluster_for(Verb.START), FullDisk(full_at, 20))

    end = await house.carry_out(planned(Verb.START))

    assert said(end) == SUCCEEDED
    assert house.steps() == ["intended", "task", "succeeded"]
    assert len(cluster.mutations) == 1


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.AMBIGUOUS])
async def test_a_refused_mutation_is_not_repeated(kind: ErrorKind) -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.before = refusing(kind, "said PVE", on=is_mutation, status=500)

    end = await house.carry_out(planned(Verb.START))

    assert said(end) == (Ending.FAILED, kind.value, "said PVE")
    assert house.steps() == ["intended", "failed"]
    assert house.ledger.history().failures[planned(Verb.START).id].count == 1


async def test_a_lost_answer_leaves_the_action_in_flight() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.after = refusing(ErrorKind.AMBIGUOUS, "connection reset", on=is_mutation)

    async with house.living():
        house.start(planned(Verb.START))
        await asyncio.sleep(1)
        again = house.start(planned(Verb.START))

    assert said(house.ends[-1]) == (Ending.UNKNOWN, "ambiguous", "connection reset")
    assert house.ledger.history().inflight[GuestName("web")].ambiguous
    assert again == ()
    assert len(cluster.mutations) == 1
    assert house.events[-1].kind is EventKind.ACTION_FAILED


async def test_a_found_task_is_adopted_and_awaited() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.after = refusing(ErrorKind.AMBIGUOUS, "connection reset", on=is_mutation)

    async with house.living():
        house.start(planned(Verb.START))
        await asyncio.sleep(1)
        settled = house.executor.settle(
            planned(Verb.START).id, 1, Ending.UNKNOWN, "", upid=Upid(next(iter(cluster.tasks)))
        )

    assert settled
    assert house.steps() == ["intended", "unknown", "task", "succeeded"]
    assert len(cluster.mutations) == 1


@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.FAILED])
async def test_what_looking_has_shown_is_recorded(ending: Ending) -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.after = refusing(ErrorKind.AMBIGUOUS, "connection reset", on=is_mutation)

    async with house.living():
        house.start(planned(Verb.START))
        await asyncio.sleep(1)
        wrong = house.executor.settle(planned(Verb.START).id, 2, ending, "seen")
        right = house.executor.settle(planned(Verb.START).id, 1, ending, "seen")
        twice = house.executor.settle(planned(Verb.START).id, 1, ending, "seen")

    assert (wrong, right, twice) == (False, True, False)
    assert house.steps() == ["intended", "unknown", ending.value]
    assert house.ends[-1].error == ("transient" if ending is Ending.FAILED else "")


@pytest.mark.parametrize("adopting", [True, False])
async def test_what_could_not_be_written_down_is_not_settled(adopting: bool) -> None:  # noqa: FBT001 - a table
    journal = FullDisk(2, 1)
    house = House(cluster := cluster_for(Verb.START), journal)
    cluster.after = refusing(ErrorKind.AMBIGUOUS, "connection reset", on=is_mutation)

    async with house.living():
        house.start(planned(Verb.START))
        await asyncio.sleep(10)
        journal.fill(1)
        upid = Upid(next(iter(cluster.tasks))) if adopting else None
        id_ = planned(Verb.START).id
        refused = house.executor.settle(id_, 1, Ending.SUCCEEDED, "seen", upid=upid)
        settled = house.executor.settle(id_, 1, Ending.SUCCEEDED, "seen", upid=upid)

    assert (refused, settled) == (False, True)
    assert house.steps()[-1] == "succeeded"


async def test_a_task_on_a_dead_node_can_be_settled_while_it_is_awaited() -> None:
    house = House(cluster := cluster_for(Verb.MIGRATE))
    cluster.task_s = 1e9

    async with house.living():
        house.start(planned(Verb.MIGRATE))
        await asyncio.sleep(60)
        settled = house.executor.settle(
            planned(Verb.MIGRATE).id, 1, Ending.FAILED, "HA has recovered it"
        )
        await asyncio.sleep(0)
        left = house.executor.inflight

    assert (settled, left) == (True, frozenset())
    assert house.steps() == ["intended", "task", "failed"]


async def test_what_is_being_sent_is_not_settled() -> None:
    house = House(cluster_for(Verb.START))

    async with house.living():
        house.start(planned(Verb.START))
        settled = house.executor.settle(planned(Verb.START).id, 1, Ending.FAILED, "gone")

    assert not settled
    assert house.steps() == ["intended", "task", "succeeded"]


async def test_a_bug_before_the_mutation_fails_the_action_only() -> None:
    def broken(_call: PveCall) -> None:
        raise ZeroDivisionError("oops")

    house = House(cluster := cluster_for(Verb.START))
    cluster.before = broken

    end = await house.carry_out(planned(Verb.START))

    assert said(end) == (Ending.FAILED, "invalid", "a bug in qlop: ZeroDivisionError: oops")


async def test_a_bug_after_the_mutation_leaves_its_end_open() -> None:
    def broken(call: PveCall) -> None:
        if call.is_mutation:
            raise ZeroDivisionError("oops")

    house = House(cluster := cluster_for(Verb.START))
    cluster.after = broken

    end = await house.carry_out(planned(Verb.START))

    assert said(end) == (Ending.UNKNOWN, "ambiguous", "a bug in qlop: ZeroDivisionError: oops")


async def test_one_slow_action_blocks_its_own_guest_only() -> None:
    house = House(cluster := cluster_for(Verb.MIGRATE))
    cluster.guests[guest_for(Verb.START, 111).vmid] = guest_for(Verb.START, 111)
    slow, quick = planned(Verb.MIGRATE), planned(Verb.START, "db", 111)

    async with house.living():
        cluster.slow["migrate"] = 2400
        started = house.start(slow)
        await asyncio.sleep(1)
        started = [*started, *house.start(slow, planned(Verb.START), quick)]
        await asyncio.sleep(10)
        busy = house.executor.inflight

    assert (started, busy) == ([slow.id, quick.id], frozenset({GuestName("web")}))
    assert [end.action for end in house.ends] == [quick.id, slow.id]


async def test_a_plan_that_has_not_seen_an_end_starts_nothing_on_that_guest() -> None:
    house = House(cluster := cluster_for(Verb.START))

    async with house.living():
        seen = house.executor.ends
        house.start(planned(Verb.START))
        await asyncio.sleep(20)
        stale = house.executor.start(
            plan_of(planned(Verb.START)), cycle=CycleId("c2"), seen=seen, limits=Limits()
        )

    assert stale == ()
    assert len(cluster.mutations) == 1


async def test_after_stop_nothing_is_sent() -> None:
    house = House(cluster := cluster_for(Verb.START))

    async with house.living():
        house.start(planned(Verb.START))
        house.executor.stop()
        later = house.start(planned(Verb.START, "db", 111))

    assert (later, cluster.mutations) == ((), [])
    assert said(house.ends[-1]) == (Ending.SUPERSEDED, "", "qlop is stopping")


async def test_a_lost_lease_stops_what_is_not_sent_yet() -> None:
    house = House(cluster := cluster_for(Verb.START))

    async with house.living():
        house.start(planned(Verb.START))
        house.leading = False
        later = house.start(planned(Verb.START, "db", 111))

    assert (later, cluster.mutations) == ((), [])
    assert said(house.ends[-1]) == (Ending.SUPERSEDED, "", "this qlop no longer leads")


async def test_a_shutdown_waits_for_what_is_being_sent_but_not_for_tasks() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.answer_s, cluster.task_s = 3, 1000

    async with house.cut_short():
        house.start(planned(Verb.START))
        await asyncio.sleep(0.1)
        house.executor.stop()
        await house.executor.await_sent(timedelta(seconds=8))
        waited_s = now_s()

    assert waited_s == pytest.approx(3, abs=0.2)
    assert house.steps() == ["intended", "task"]


async def test_waiting_for_what_is_being_sent_has_an_end() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.answer_s = 3

    async with house.living():
        house.start(planned(Verb.START))
        await asyncio.sleep(0.1)
        await house.executor.await_sent(timedelta(seconds=1))
        waited_s = now_s()

    assert waited_s == pytest.approx(1.1, abs=0.01)


async def test_attempts_are_counted() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.before = refusing(ErrorKind.TRANSIENT, "refused", on=is_mutation, status=500)

    await house.carry_out(planned(Verb.START))
    await house.carry_out(planned(Verb.START))

    records: Sequence[JournalRecord] = house.journal.records()
    assert [entry.attempt for entry in records if isinstance(entry, Intended | Finished)] == [
        1,
        1,
        2,
        2,
    ]
    assert house.ledger.history().failures[planned(Verb.START).id].count == 2


@pytest.mark.parametrize(
    ("kind", "status"),
    [(ErrorKind.TRANSIENT, None), (ErrorKind.TRANSIENT, 595), (ErrorKind.DENIED, None)],
)
async def test_what_never_left_is_no_failure_of_the_action(
    kind: ErrorKind, status: int | None
) -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.before = refusing(kind, "no connection", on=is_mutation, status=status)

    await house.carry_out(planned(Verb.START))
    end = await house.carry_out(planned(Verb.START))

    history, action = house.ledger.history(), planned(Verb.START).id
    assert said(end) == (Ending.SUPERSEDED, kind.value, "no connection")
    assert history.failures == {}
    assert history.unsent[action].count == 2


async def test_what_was_kept_from_being_sent_is_forgotten_once_it_is_done() -> None:
    house = House(cluster := cluster_for(Verb.START))
    cluster.before = refusing(ErrorKind.TRANSIENT, "no connection", on=is_mutation)
    await house.carry_out(planned(Verb.START))
    cluster.before = lambda _call: None

    end = await house.carry_out(planned(Verb.START))

    assert said(end) == SUCCEEDED
    assert house.ledger.history().unsent == {}
