"""Killed at any step of any action and started again: the same end, and nothing twice."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import pytest
from typing_extensions import override

from qlop.journal.memory import MemoryJournal
from qlop.model.history import JournalRecord
from qlop.ports import Json, PortError, PveCall
from tests import virtual_time
from tests.faults.errands import Errand, all_errands
from tests.faults.life import Died, Life, seed_of
from tests.faults.town import Wire
from tests.faults.trial import Stage, offences, portrait, staged, steps


class Moment(Enum):
    """When, of a call or a record, the process is killed."""

    BEFORE = "before it leaves"
    COMMITTED = "after it is done"
    AFTER = "after the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The ``number``th call or record of a life, and the moment of it."""

    what: str
    number: int
    moment: Moment

    @override
    def __str__(self) -> str:
        return f"{self.what} {self.number}, {self.moment.value}"


@dataclass(slots=True)
class Fate:
    """What a life does, counted; it ends at ``death``, and nothing happens after that.

    ``lasts_from`` and ``lasts_to``: the calls between the first record and the last.
    """

    death: Death | None = None
    is_dead: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    mutations: set[int] = field(default_factory=set)
    lasts_from: int = 0
    lasts_to: int = 0

    def begins(self, what: str) -> int:
        """Count a call or record, and die if it is not to begin."""
        if self.is_dead:
            raise Died
        number = self.counts[what] = self.counts.get(what, 0) + 1
        self.meets(what, number, Moment.BEFORE)
        return number

    def meets(self, what: str, number: int, moment: Moment) -> None:
        """Die if this is the moment."""
        if self.death == Death(what=what, number=number, moment=moment):
            self.is_dead = True
            raise Died


@dataclass(slots=True)
class FatedApi:
    """The way to the cluster of a process that may die."""

    wire: Wire
    fate: Fate

    async def call(self, call: PveCall) -> Json:
        number = self.fate.begins("call")
        if call.is_mutation:
            self.fate.mutations.add(number)
            answer = asyncio.ensure_future(self.wire.call(call))
            await asyncio.sleep(0)  # The cluster has taken it by now.
            try:
                self.fate.meets("call", number, Moment.COMMITTED)
                result = await answer
            except Died:
                answer.cancel()
                raise
        else:
            result = await self._answered(number, call)
        self.fate.meets("call", number, Moment.AFTER)
        return result

    async def _answered(self, number: int, call: PveCall) -> Json:
        """Return the answer; one that is an error can be the last that is heard, too."""
        try:
            return await self.wire.call(call)
        except PortError:
            self.fate.meets("call", number, Moment.AFTER)
            raise


@dataclass(slots=True)
class FatedJournal:
    """The journal of a process that may die, right before or after it has written."""

    kept: MemoryJournal
    fate: Fate

    def append(self, record: JournalRecord) -> None:
        number = self.fate.begins("record")
        if not self.fate.lasts_from:
            self.fate.lasts_from = self.fate.counts["call"]
        self.fate.lasts_to = self.fate.counts["call"] + 1
        self.kept.append(record)
        self.fate.meets("record", number, Moment.AFTER)

    def records(self) -> Sequence[JournalRecord]:
        return self.kept.records()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an errand ended: the guests, what was done to them, what broke a law."""

    portrait: list[tuple[object, ...]]
    done: list[str]
    broken: list[str]
    fate: Fate


async def _lived(errand: Errand, death: Death | None) -> Ended:
    stage = await staged(errand, seed=seed_of(errand.id))
    fate = Fate(death=death)
    first = _life(stage, fate)
    try:
        await first.until_rest()
    except Died:
        assert death is not None
    last = first
    if fate.is_dead:
        await asyncio.sleep(1)
        last = _life(stage, Fate())
        await last.until_rest()
    broken = offences(stage, last)
    if death is not None and not fate.is_dead:
        broken.append("it was not killed")
    return Ended(
        portrait=portrait(stage.cluster),
        done=[f"{one.route} {stage.cluster.exit_of(one)}" for one in stage.changes()],
        broken=[f"{one} [{last.told()}] [{steps(stage)}]" for one in broken],
        fate=fate,
    )


def _life(stage: Stage, fate: Fate) -> Life:
    return Life(
        api=FatedApi(stage.wire, fate),
        prober=stage.wire.prober,
        journal=FatedJournal(stage.journal, fate),
        manifests=stage.errand.after.text(stage.errand.kind),
        goals=stage.errand.goals,
    )


def deaths(fate: Fate) -> Iterator[Death]:
    """Return every moment at which a life like this may be cut off."""
    for number in range(1, fate.counts["record"] + 1):
        for moment in (Moment.BEFORE, Moment.AFTER):
            yield Death(what="record", number=number, moment=moment)
    for number in range(fate.lasts_from, fate.lasts_to + 1):
        if number in fate.mutations:
            for moment in Moment:
                yield Death(what="call", number=number, moment=moment)
        elif number <= fate.counts["call"]:
            yield Death(what="call", number=number, moment=Moment.AFTER)


def _worth_counting(done: list[str]) -> list[str]:
    """Return what was done, but for a cloud-init drive that was written as it was before.

    Nothing that PVE lists shows whether it was written: what is in doubt is done again.
    All else is done once.
    """
    again = done[1:] and done[-1] == done[-2] and "/cloudinit" in done[-1]
    return done[:-1] if again else done


@pytest.mark.slow  # some forty lives each; a replacement has a hundred and more
@pytest.mark.timeout(300)
@pytest.mark.parametrize("errand", [pytest.param(one, id=one.id) for one in all_errands()])
def test_killed_at_any_step_the_next_life_ends_as_if_nothing_had_been(
    errand: Errand, tally: Counter[str]
) -> None:
    calm = virtual_time.run(_lived(errand, None))
    assert calm.broken == []
    told = []
    for death in deaths(calm.fate):
        ended = virtual_time.run(_lived(errand, death))
        tally["kills at each step of each action"] += 1
        told += [f"{death}: {one}" for one in ended.broken]
        if ended.portrait != calm.portrait:
            told.append(f"{death}: another end: {ended.portrait} instead of {calm.portrait}")
        if _worth_counting(ended.done) != _worth_counting(calm.done):
            told.append(f"{death}: {ended.done} instead of {calm.done}")

    assert not told, "\n".join(told)
