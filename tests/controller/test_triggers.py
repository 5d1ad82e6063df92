"""A trigger asks for a cycle and says nothing else."""

import asyncio
from datetime import timedelta

from qlop.controller.triggers import Triggers

MINUTE = timedelta(minutes=1)


async def test_a_bell_rung_before_is_heard() -> None:
    triggers = Triggers()
    triggers.ring()

    assert await triggers.wait(MINUTE)
    assert asyncio.get_running_loop().time() == 0


async def test_however_often_it_is_rung_it_is_heard_once() -> None:
    triggers = Triggers()
    triggers.ring()
    triggers.ring()

    assert await triggers.wait(MINUTE)
    assert not await triggers.wait(MINUTE)
    assert asyncio.get_running_loop().time() == 60


async def test_a_bell_rung_meanwhile_ends_the_wait() -> None:
    triggers = Triggers()
    asyncio.get_running_loop().call_later(7, triggers.ring)

    assert await triggers.wait(MINUTE)
    assert asyncio.get_running_loop().time() == 7


async def test_manifests_are_asked_for_at_first_and_then_when_somebody_asks() -> None:
    triggers = Triggers()
    asked = [triggers.take_manifests(), triggers.take_manifests()]
    triggers.ring()
    asked.append(triggers.take_manifests())
    triggers.ring_for_manifests()
    asked += [triggers.take_manifests(), triggers.take_manifests()]
    triggers.ask_for_manifests()
    asked.append(triggers.take_manifests())

    assert asked == [True, False, False, True, False, True]


async def test_asking_for_manifests_alone_wakes_nobody() -> None:
    triggers = Triggers()
    triggers.ask_for_manifests()

    assert not await triggers.wait(MINUTE)
