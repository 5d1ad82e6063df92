"""Killed at any step of any action, the next life ends it, and PVE got one mutation.

``settle`` stands for the planner's: it looks whether the cluster has the task or the
effect of an action whose answer was lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from typing_extensions import override

from qlop.journal.memory import MemoryJournal
from qlop.model.action import Verb
from qlop.model.history import Ending, Inflight, JournalRecord
from qlop.model.ids import Upid
from qlop.ports import Json, PveCall
from tests.executor.house import SUCCEEDED, House, said
from tests.executor.planned import cluster_for, planned
from tests.executor.toy import Killed, ToyCluster, now_s


class MortalJournal(MemoryJournal):
    """A journal whose owner dies before or after it has written its n-th record."""

    def __init__(
        self, records: Sequence[JournalRecord] = (), *, dies_before: int = 0, dies_after: int = 0
    ) -> None:
        super().__init__(records)
        self._dies_before = dies_before
        self._dies_after = dies_after

    @override
    def append(self, record: JournalRecord) -> None:
        number = len(self.records()) + 1
        if number == self._dies_before:
            raise Killed
        super().append(record)
        if number == self._dies_after:
            raise Killed


Death = Callable[[ToyCluster], MortalJournal]
"""Prepares a cluster and a journal so that the first life ends at a certain point."""


def writing(number: int) -> Death:
    return lambda _cluster: MortalJournal(dies_before=number)


def having_written(number: int) -> Death:
    return lambda _cluster: MortalJournal(dies_after=number)


def sending(cluster: ToyCluster) -> MortalJournal:
    def kill(call: PveCall) -> None:
        if call.is_mutation:
            raise Killed

    cluster.before = kill
    return MortalJournal()


def having_sent(cluster: ToyCluster) -> MortalJournal:
    def kill(call: PveCall) -> None:
        if call.is_mutation:
            raise Killed

    cluster.after = kill
    return MortalJournal()


def awaiting(cluster: ToyCluster) -> MortalJournal:
    def kill(call: PveCall) -> None:
        if call.route.endswith("/tasks/{upid}/status") and now_s() > 2:
            raise Killed

    cluster.before = kill
    return MortalJournal()


DEATHS = [
    pytest.param(writing(1), id="before-the-intent"),
    pytest.param(having_written(1), id="after-the-intent"),
    pytest.param(sending, id="before-the-mutation"),
    pytest.param(having_sent, id="after-the-mutation"),
    pytest.param(writing(2), id="before-the-answer-is-written"),
    pytest.param(having_written(2), id="after-the-answer-is-written"),
    pytest.param(awaiting, id="during-the-task"),
    pytest.param(writing(3), id="before-the-end-is-written"),
    pytest.param(having_written(3), id="after-the-end-is-written"),
]


async def live_until_death(cluster: ToyCluster, verb: Verb, journal: MortalJournal) -> House:
    house = House(cluster, journal)
    with suppress(Killed):
        try:
            async with house.living():
                house.start(planned(verb))
        except BaseExceptionGroup as group:
            raise Killed from group
    cluster.before = cluster.after = lambda _call: None
    return house


def settle(house: House, cluster: ToyCluster, left: Inflight) -> None:
    intended = left.intended
    tasks = [task for task in cluster.tasks.values() if task.vmid == intended.vmid]
    upid = Upid(tasks[0].upid) if tasks else None
    arrived = Ending.SUCCEEDED if cluster.mutations else Ending.FAILED
    assert house.executor.settle(intended.action, intended.attempt, arrived, "seen", upid=upid)


async def live_again(cluster: ToyCluster, verb: Verb, records: Sequence[JournalRecord]) -> House:
    """Start a new life on what the old one wrote, and act as a controller would."""
    house = House(cluster, MemoryJournal(records))
    async with house.living():
        for _ in range(20):
            await asyncio.sleep(1)
            for left in house.ledger.history().inflight.values():
                if left.ambiguous:
                    settle(house, cluster, left)
            if not cluster.mutations:
                house.start(planned(verb))
    return house


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("death", DEATHS)
async def test_one_mutation_however_it_is_cut(verb: Verb, death: Death) -> None:
    cluster = cluster_for(verb)

    first = await live_until_death(cluster, verb, death(cluster))
    second = await live_again(cluster, verb, first.journal.records())

    assert len(cluster.mutations) == 1
    assert second.ledger.history().inflight == {}
    assert second.ledger.history().failures == {}
    finals = [step for step in second.steps() if step in {"succeeded", "failed"}]
    assert finals[-1] == "succeeded"
    assert finals.count("succeeded") == 1


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("slept_s", [0, 100], ids=["task-runs", "task-has-ended"])
async def test_any_prefix_of_the_journal_is_taken_up_without_a_mutation(
    verb: Verb, length: int, slept_s: float
) -> None:
    cluster = cluster_for(verb)
    whole = House(cluster)
    async with whole.cut_short():
        whole.start(planned(verb))
        await asyncio.sleep(0.05)
    full = House(cluster, MemoryJournal(whole.journal.records()[:length]))
    await asyncio.sleep(slept_s)

    async with full.living():
        pass

    assert len(cluster.mutations) == 1
    if length == 1:
        assert full.steps() == ["intended", "unknown"]
    else:
        assert full.steps()[0] == "intended"
        assert full.steps()[-1] == "succeeded"


async def test_a_shutdown_touches_nothing_and_the_next_life_goes_on() -> None:
    cluster = cluster_for(Verb.MIGRATE)
    cluster.task_s = 2400
    first = House(cluster)
    async with first.cut_short():
        first.start(planned(Verb.MIGRATE))
        await asyncio.sleep(60)
        first.executor.stop()
    stopped_at_s = now_s()

    second = House(cluster, MemoryJournal(first.journal.records()))
    async with second.living():
        taken_up = second.executor.inflight

    assert stopped_at_s == pytest.approx(60)
    assert first.steps() == ["intended", "task"]
    assert taken_up == {"web"}
    assert said(second.ends[-1]) == SUCCEEDED
    assert second.steps() == ["intended", "task", "succeeded"]
    assert len(cluster.mutations) == 1


async def test_what_was_ambiguous_before_is_left_to_be_settled() -> None:
    cluster = cluster_for(Verb.START)
    first = await live_until_death(cluster, Verb.START, having_sent(cluster))
    second = House(cluster, MemoryJournal(first.journal.records()))
    async with second.living():
        pass

    third = House(cluster, MemoryJournal(second.journal.records()))
    async with third.living():
        pass

    assert third.steps() == ["intended", "unknown"]
    assert third.ends == []


class Unanswered(ToyCluster):
    """Takes every mutation and never answers it."""

    @override
    async def call(self, call: PveCall) -> Json:
        answer = await super().call(call)
        if call.is_mutation:
            await asyncio.sleep(1e6)
        return answer


async def test_what_is_cancelled_while_it_is_sent_is_written_down_as_open() -> None:
    cluster = Unanswered()
    cluster.guests |= cluster_for(Verb.START).guests
    first = House(cluster)
    async with first.cut_short():
        first.start(planned(Verb.START))
        await asyncio.sleep(1)

    assert first.steps() == ["intended"]
    assert len(cluster.mutations) == 1
