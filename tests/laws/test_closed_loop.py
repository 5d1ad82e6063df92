"""The loop closed on a simulated cluster: what is declared comes about and then is quiet."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace

import hypothesis
import pytest
import structlog
from hypothesis import given

from qlop.model.desired import DesiredDisk, DesiredGuest
from qlop.model.units import GIB
from qlop.model.verdict import Converged, Hold
from tests import builders as b
from tests import virtual_time
from tests.laws.closed import House
from tests.laws.town import TOWN, towns, vm, wanted

SMALL = (TOWN[0], TOWN[3])


async def settled(house: House, **how: int) -> None:
    """Live until at rest, and insist that nothing went wrong on the way."""
    assert await house.live(**how), house.left()
    house.invariants.check_end()
    assert (house.invariants.broken, house.errors) == ([], [])


def converged(house: House) -> bool:
    assert house.last is not None
    return all(isinstance(subject.verdict, Converged) for subject in house.last.status.subjects)


def run(story: Coroutine[object, object, None]) -> None:
    with structlog.testing.capture_logs():
        virtual_time.run(story)


def test_a_town_is_built_and_then_all_is_quiet() -> None:
    async def story() -> None:
        house = House(wanted(*TOWN))
        await settled(house)

        assert converged(house), house.last
        assert {name for name in house.guests() if " " not in name} == {"app", "db", "mq", "web"}
        assert await house.stay_calm() == []

    run(story())


def test_what_hands_undo_is_done_again() -> None:
    """A container's change leaves no trace in PVE: the slow audit round finds it."""

    async def story() -> None:
        house = House(wanted(*TOWN))
        await settled(house)
        await house.hand(10000, cores="2", onboot="1")
        await house.hand(10002, memory="300", onboot="1")
        assert len(await house.stay_calm(AUDIT_S)) == 2

        assert converged(house), house.last
        onboot = [one.config.get("onboot") for one in house.cluster.world.guests.values()]
        assert onboot.count("1") == 2, "what no manifest speaks about stays"

    run(story())


AUDIT_S = 900.0


def test_a_disk_grows_of_which_something_else_waits_for_a_reboot() -> None:
    """PVE keeps the option pending with the size it was written with, and believes it then."""

    async def story() -> None:
        running = vm("app", consents=b.UNASKED)
        house = House(wanted(running))
        await settled(house)
        disk = DesiredDisk(slot="scsi0", size_bytes=6 * GIB, properties={"ssd": "1"})
        house.desired = wanted(replace(running, disks=(disk,)))
        await settled(house)

        config = house.cluster.world.guests[10000].config
        assert "size=6G" in config["scsi0"]
        assert await house.stay_calm() == []

    run(story())


def test_what_is_no_longer_wanted_goes() -> None:
    async def story() -> None:
        house = House(wanted(*TOWN))
        await settled(house)
        house.desired = wanted(*TOWN[:2])
        await settled(house)

        assert {name for name in house.guests() if " " not in name} == {"app", "db"}
        assert await house.stay_calm() == []

    run(story())


@pytest.mark.slow  # builds a town once for every record of its journal
@pytest.mark.timeout(120)
def test_killed_after_any_record_and_started_again_the_end_is_the_same() -> None:
    reference = House(wanted(*SMALL))
    run(settled(reference))
    made = sorted(call for _, call in reference.sent)
    assert len(reference.records) > 15

    for cut in range(1, len(reference.records)):
        house = House(wanted(*SMALL))

        async def story(house: House = house, cut: int = cut) -> None:
            assert not await house.live(die_after=cut)
            await asyncio.sleep(3)
            await settled(house)

        run(story())
        assert house.guests() == reference.guests(), cut
        assert sorted(call for _, call in house.sent) == made, cut


@pytest.mark.slow  # builds some towns and rebuilds each into another
@pytest.mark.timeout(120)
@given(towns(), towns())
@hypothesis.settings(max_examples=hypothesis.settings().max_examples * 2 // 5)
def test_any_town_is_built_and_made_into_any_other(
    first: list[DesiredGuest], second: list[DesiredGuest]
) -> None:
    """What must not be changed, or not yet, is held; then all is quiet."""

    async def story() -> None:
        house = House(wanted(*first))
        await settled(house)
        assert converged(house), house.last
        assert await house.stay_calm() == []
        house.desired = wanted(*second)
        await settled(house)
        assert await house.stay_calm() == []

    run(story())


@pytest.mark.parametrize("read_s", [0.4, 1.1, 2.7])
def test_nothing_is_held_against_a_guest_that_was_read_before_its_action_ended(
    read_s: float,
) -> None:
    """Where answers are slow, actions end in the middle of every look."""

    async def story() -> None:
        house = House(wanted(*TOWN), read_s=read_s)
        await settled(house)

        assert converged(house), house.last
        assert {hold for _, hold in house.holds} == {Hold.IN_FLIGHT}

    run(story())


def test_backoff_ends_a_futile_quarrel() -> None:
    """Something resets an option each time: qlop does not write it in every cycle."""

    async def story() -> None:
        house = House(wanted(vm("app", options={"name": "app", "onboot": "1"})))
        await settled(house)

        async def undo() -> None:
            while True:
                await asyncio.sleep(1)
                await house.hand(10000, onboot="0")

        async with asyncio.TaskGroup() as group:
            hands = group.create_task(undo())
            sent = await house.stay_calm(600)
            hands.cancel()

        assert 5 <= len(sent) <= 12

    run(story())
