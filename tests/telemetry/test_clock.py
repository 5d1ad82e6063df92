"""Time moves on, in UTC; chance can be repeated."""

import asyncio
from datetime import UTC, timedelta

from qlop.telemetry.clock import SystemClock, SystemIds


def test_now_is_aware_and_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


async def test_sleeping_takes_as_long_as_said() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    await SystemClock().sleep(timedelta(minutes=5))

    assert loop.time() - began == 300


def test_the_same_seed_gives_the_same_chance() -> None:
    one, other = SystemIds(7), SystemIds(7)

    assert [one.cycle_id(), one.jitter()] == [other.cycle_id(), other.jitter()]


def test_without_a_seed_nobody_can_say() -> None:
    assert SystemIds().cycle_id() != SystemIds().cycle_id()


def test_ids_are_short_and_jitter_is_below_one() -> None:
    ids = SystemIds(1)

    assert all(len(ids.cycle_id()) == 8 and 0 <= ids.jitter() < 1 for _ in range(100))
