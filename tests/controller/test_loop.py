"""Cycles go on: at intervals, when something asks, and whatever one of them dies of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from typing_extensions import override

from qlop.controller.cycle import CycleResult
from qlop.controller.loop import MIN_GAP, Loop
from qlop.controller.triggers import Triggers
from qlop.model.desired import Desired
from qlop.model.guest import Power
from qlop.model.history import JournalRecord
from qlop.model.observed import Observed
from qlop.observer.observer import Interest
from qlop.planner import planner
from tests import builders as b
from tests.controller.cast import Cast, Eyes

WANT = b.desired(b.desired_guest())
ON = b.observed(b.guest())


class VirtualClock:
    """The loop's time as wall time."""

    def now(self) -> datetime:
        return b.NOW + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


@dataclass(slots=True)
class Chance:
    """Draws what it is told to draw."""

    value: float = 0.5

    def cycle_id(self) -> str:
        return "cycle"

    def jitter(self) -> float:
        return self.value


class Blinking(Eyes):
    """Dies now and then, as only a bug does."""

    @override
    async def observe(self, interest: Interest) -> Observed:
        self.interests.append(interest)
        if len(self.interests) in {1, 3}:
            raise ZeroDivisionError
        return self.sights[0]


@dataclass(slots=True)
class Watch:
    """A loop, and when its cycles were."""

    desired: Desired | None = WANT
    jitter: float = 0.5
    eyes: Eyes | None = None
    interval: timedelta | None = None
    sight: Observed = ON
    records: Sequence[JournalRecord] = ()
    cycles: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    cast: Cast = field(init=False)
    loop: Loop = field(init=False)

    def __post_init__(self) -> None:
        self.cast = Cast(self.desired, [self.sight], list(self.records))
        self.cast.engine = replace(self.cast.engine, clock=VirtualClock())
        if self.eyes is not None:
            self.cast.engine = replace(self.cast.engine, observer=self.eyes)
        self.loop = Loop(
            engine=self.cast.engine,
            triggers=Triggers(),
            clock=VirtualClock(),
            ids=Chance(self.jitter),
            on_cycle=self._see,
            on_error=self.errors.append,
            interval=self.interval,
        )

    def _see(self, _: CycleResult, took_s: float) -> None:
        assert took_s == 0.0
        self.cycles.append(round(asyncio.get_running_loop().time(), 3))

    async def run_for(self, seconds: float) -> list[float]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loop.run())
            await asyncio.sleep(seconds)
            self.loop.stop()
        return self.cycles


@pytest.mark.parametrize(
    ("watch", "cycles"),
    [
        pytest.param(Watch(), [0, 15.1, 30.2, 45.3], id="as-the-manifest-says"),
        pytest.param(Watch(jitter=0.0), [0, 13.6, 27.2, 40.8, 54.4], id="a-tenth-earlier"),
        pytest.param(Watch(jitter=1.0), [0, 16.6, 33.2, 49.8], id="a-tenth-later"),
        pytest.param(
            Watch(interval=timedelta(seconds=20)), [0, 20.1, 40.2], id="as-the-operator-says"
        ),
        pytest.param(Watch(desired=None), [0, 15.1, 30.2, 45.3], id="without-manifests"),
    ],
)
async def test_intervals(watch: Watch, cycles: list[float]) -> None:
    assert await watch.run_for(55) == cycles


async def test_whoever_rings_gets_a_cycle_and_a_burst_gets_one() -> None:
    watch = Watch()

    async def ring() -> None:
        await asyncio.sleep(5)
        for _ in range(50):
            watch.loop.triggers.ring()

    async with asyncio.TaskGroup() as group:
        group.create_task(ring())
        group.create_task(watch.run_for(10))

    assert watch.cycles == [0, 5]


async def test_between_two_cycles_there_is_a_pause_however_it_rings() -> None:
    watch = Watch()

    async def ring() -> None:
        while True:
            watch.loop.triggers.ring()
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        ringing = group.create_task(ring())
        cycles = await watch.run_for(1)
        ringing.cancel()

    gaps = [after - before for before, after in pairwise(cycles)]
    assert min(gaps) >= MIN_GAP.total_seconds() - 1e-6
    assert 5 <= len(cycles) <= 11


async def test_manifests_are_read_at_first_each_minute_and_when_asked() -> None:
    watch = Watch()

    async def ask() -> None:
        await asyncio.sleep(20)
        watch.loop.triggers.ring_for_manifests()

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        group.create_task(watch.run_for(100))

    assert watch.cast.manifests.read == 3


async def test_a_cycle_that_dies_is_told_and_the_next_reads_the_manifests_again() -> None:
    watch = Watch(eyes=Blinking([ON]))

    cycles = await watch.run_for(50)

    assert [type(error) for error in watch.errors] == [ZeroDivisionError, ZeroDivisionError]
    assert cycles == [15.1, 45.3]
    assert watch.cast.manifests.read == 2


async def test_the_end_of_a_backoff_is_not_slept_through() -> None:
    off = b.observed(b.guest(power=Power.STOPPED))
    start = planner.plan(b.plan_input(WANT, off)).actions[0].id
    failed: list[JournalRecord] = [
        b.intended(action=start),
        b.finished(action=start, succeeded=False),
    ]
    watch = Watch(sight=off, records=failed)

    # The interval is 15 s, and 10 s after its failure the start may be tried again.
    assert await watch.run_for(11) == [0, 10]
    assert watch.cast.hands.started == [start]


async def test_stopped_it_returns_at_once() -> None:
    watch = Watch()

    assert await watch.run_for(3) == [0]
    assert asyncio.get_running_loop().time() == 3
