"""Workers do jobs in time, or late; what breaks is heard of."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from qlop.model.ids import NodeName
from qlop.observer.shift import Job, Shift

SECOND = timedelta(seconds=1)


def job(run: Callable[[], Awaitable[None]], node: str = "pve1") -> Job:
    return Job(node=NodeName(node), run=run)


def lasting(seconds: float, done: list[float]) -> Job:
    async def run() -> None:
        await asyncio.sleep(seconds)
        done.append(seconds)

    return job(run)


async def broken() -> None:
    await asyncio.sleep(3)
    raise ValueError("a bug")


async def test_who_is_late_goes_on_with_what_is_left() -> None:
    shift, done = Shift(1), list[float]()

    whole = await shift.work([lasting(5, done), lasting(6, done)], SECOND)
    await asyncio.sleep(11)

    assert (whole, done) == (False, [5, 6])
    assert await shift.work([], SECOND)


async def test_what_is_asked_now_takes_the_place_of_what_was_left() -> None:
    shift, done = Shift(1), list[float]()
    await shift.work([lasting(5, done), lasting(6, done)], SECOND)

    await shift.work([lasting(7, done)], SECOND)
    await asyncio.sleep(20)

    assert done == [5, 7]


async def test_a_job_that_breaks_late_is_heard_of_at_the_next_work() -> None:
    shift = Shift(1)
    await shift.work([job(broken)], SECOND)
    await asyncio.sleep(5)

    with pytest.raises(ValueError, match="a bug"):
        await shift.work([], SECOND)

    assert await shift.work([], SECOND)


async def test_closed_it_does_nothing_more() -> None:
    shift, done = Shift(1), list[float]()
    await shift.work([lasting(5, done), lasting(6, done)], SECOND)

    await shift.close()
    await asyncio.sleep(20)

    assert done == []
