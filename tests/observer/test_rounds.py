"""The rounds ask guests of the simulated cluster how they are, beside the cycles."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from qlop.model.action import Verb
from qlop.model.desired import Desired, DesiredNic
from qlop.model.guest import Power
from qlop.model.health import (
    GOOD,
    AgentCheck,
    Answer,
    Check,
    Condition,
    Health,
    HttpCheck,
    NetworkCheck,
    Reply,
    RunningCheck,
    TcpCheck,
)
from qlop.model.ids import VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed
from qlop.observer.pulse import STARTING
from qlop.observer.rounds import AGENTS, PROBES, Rounds
from qlop.ports import ErrorKind, Json, PortError, Prober, PveApi, PveCall
from tests import builders as b
from tests.observer.cluster import VirtualClock

HTTP = HttpCheck(
    port=8080, interval=timedelta(seconds=10), timeout=timedelta(seconds=5), failures=2
)
WRONG = Answer(reply=Reply.WRONG, text="500")
SILENT = Answer(reply=Reply.SILENT, text="refused")


class Guests(Prober):
    """Answers for guests: by address, good unless told otherwise; counts who asks at once."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.says: dict[str, Answer] = {}
        self.takes_s = takes_s
        self.asked: list[str] = []
        self.now = self.most = 0

    @override
    async def probe(self, address: str, check: NetworkCheck) -> Answer:
        self.asked.append(address)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.now -= 1
        return self.says.get(address, GOOD)


class Api(PveApi):
    """Answers for agents: their interfaces, or an error."""

    def __init__(self) -> None:
        self.error: PortError | None = None
        self.paths: list[str] = []
        self.now = self.most = 0

    @override
    async def call(self, call: PveCall) -> Json:
        self.paths.append(call.path)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(1)
        self.now -= 1
        if self.error is not None:
            raise self.error
        row: Json = {"name": "eth0", "ip-addresses": [{"ip-address": "10.0.0.9"}]}
        return {"result": [row]}


class Ward:
    """Rounds over some guests, and what is seen of them."""

    def __init__(self, *checks: Check, guests: int = 1, static: bool = True) -> None:
        wants = [
            b.desired_guest(
                index=number,
                name=f"web-{number}",
                options={"ipconfig0": {"ip": f"10.0.0.{number}/24"}} if static else {},
                nics=(DesiredNic(slot="net0", mac=None, properties={"bridge": "vmbr0"}),),
            )
            for number in range(1, guests + 1)
        ]
        self.desired: Desired = b.desired(*wants)
        service = replace(self.desired.services[b.WEB], checks=checks)
        self.desired = replace(self.desired, services={b.WEB: service})
        self.observed: Observed = b.observed(
            *(
                b.guest(10000 + n, config=b.config(b.mark(index=n, vmid=10000 + n)))
                for n in range(1, guests + 1)
            )
        )
        self.prober, self.api = Guests(), Api()
        self.rings = 0
        self.rounds = Rounds(self.api, self.prober, VirtualClock(), on_change=self._ring)

    def _ring(self) -> None:
        self.rings += 1

    def condition(self, number: int = 1) -> Condition:
        return self.health(number).condition

    def health(self, number: int = 1) -> Health:
        return self.rounds.look(self.desired, self.observed)[VmId(10000 + number)]

    def power(self, power: Power) -> None:
        guests = {vmid: replace(one, power=power) for vmid, one in self.observed.guests.items()}
        self.observed = replace(self.observed, guests=guests)

    @asynccontextmanager
    async def rounds_made(self) -> AsyncIterator[None]:
        self.rounds.look(self.desired, self.observed)
        task = asyncio.create_task(self.rounds.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_guest_that_answers_is_healthy_and_the_bell_is_rung_once() -> None:
    ward = Ward(HTTP)

    assert ward.condition() is Condition.UNKNOWN
    async with ward.rounds_made():
        await asyncio.sleep(31)

    assert ward.condition() is Condition.HEALTHY
    assert ward.prober.asked == ["10.0.0.1"] * 4
    assert ward.rings == 1


async def test_it_turns_unhealthy_after_its_failures_and_healthy_again() -> None:
    ward = Ward(HTTP)
    async with ward.rounds_made():
        await asyncio.sleep(1)
        ward.prober.says["10.0.0.1"] = WRONG
        await asyncio.sleep(10)
        first = ward.condition()
        await asyncio.sleep(10)
        second = ward.condition()
        ward.prober.says.clear()
        await asyncio.sleep(10)

    assert (first, second, ward.condition()) == (
        Condition.HEALTHY,
        Condition.UNHEALTHY,
        Condition.HEALTHY,
    )


async def test_one_that_hangs_is_given_its_time_and_no_more() -> None:
    ward = Ward(HTTP)
    ward.prober.takes_s = 3600
    async with ward.rounds_made():
        await asyncio.sleep(90)

    health = ward.rounds.look(ward.desired, ward.observed)[VmId(10001)]
    assert health.condition is Condition.UNHEALTHY
    assert "does not answer in 5 s" in health.message


async def test_the_same_value_is_returned_until_something_changes() -> None:
    ward = Ward(HTTP)
    async with ward.rounds_made():
        await asyncio.sleep(1)
        before = ward.rounds.look(ward.desired, ward.observed)
        await asyncio.sleep(60)
        after = ward.rounds.look(ward.desired, ward.observed)

    assert after is before


async def test_what_was_known_of_a_guest_that_was_changed_is_forgotten() -> None:
    ward = Ward(HTTP)
    async with ward.rounds_made():
        await asyncio.sleep(1)
        ward.rounds.touch(VmId(10001))
        touched = ward.condition()
        await asyncio.sleep(1)

    assert (touched, ward.condition()) == (Condition.UNKNOWN, Condition.HEALTHY)


async def test_an_answer_to_an_earlier_question_is_dropped() -> None:
    ward = Ward(HTTP)
    ward.prober.takes_s = 4
    async with ward.rounds_made():
        await asyncio.sleep(2)
        ward.rounds.touch(VmId(10001))
        await asyncio.sleep(3)  # The first answer has come, the second has not.

        assert ward.condition() is Condition.UNKNOWN


async def test_a_stopped_guest_is_unhealthy_and_not_asked() -> None:
    ward = Ward(HTTP, RunningCheck())
    ward.power(Power.STOPPED)
    async with ward.rounds_made():
        await asyncio.sleep(60)

    health = ward.rounds.look(ward.desired, ward.observed)[VmId(10001)]
    assert (health.condition, ward.prober.asked) == (Condition.UNHEALTHY, [])
    assert "it is stopped" in health.message


async def test_one_that_starts_is_asked_anew() -> None:
    ward = Ward(HTTP)
    ward.power(Power.STOPPED)
    async with ward.rounds_made():
        await asyncio.sleep(5)
        ward.power(Power.RUNNING)
        started = ward.condition()
        await asyncio.sleep(1)

    assert (started, ward.condition()) == (Condition.UNKNOWN, Condition.HEALTHY)


async def test_of_a_guest_whose_node_is_silent_nothing_is_known() -> None:
    ward = Ward(HTTP)
    ward.power(Power.UNKNOWN)

    assert ward.condition() is Condition.UNKNOWN


async def test_only_guests_of_ours_that_should_run_are_asked() -> None:
    ward = Ward(HTTP, guests=2)
    stranger = b.guest(10002, config=b.config(b.mark(index=2, vmid=10002), witness="uuid:x"))
    guests = {**ward.observed.guests, VmId(10002): stranger}
    ward.observed = replace(ward.observed, guests=guests)

    assert set(ward.rounds.look(ward.desired, ward.observed)) == {VmId(10001)}


async def test_without_checks_nobody_is_asked() -> None:
    ward = Ward()

    assert ward.rounds.look(ward.desired, ward.observed) == {}


async def test_an_address_that_no_manifest_gives_is_asked_of_the_agent_once() -> None:
    ward = Ward(TcpCheck(port=22), static=False)
    async with ward.rounds_made():
        await asyncio.sleep(25)

    assert ward.condition() is Condition.HEALTHY
    assert ward.prober.asked == ["10.0.0.9"] * 3
    assert ward.api.paths == ["/nodes/pve1/qemu/10001/agent/network-get-interfaces"]


async def test_a_silent_guest_may_have_another_address_by_now() -> None:
    ward = Ward(TcpCheck(port=22), static=False)
    ward.prober.says["10.0.0.9"] = SILENT
    async with ward.rounds_made():
        await asyncio.sleep(15)

    assert len(ward.api.paths) == 2


async def test_an_agent_that_is_silent_is_unhealthy_and_one_not_reached_unknown() -> None:
    ward = Ward(AgentCheck(start_period=timedelta(0)))
    ward.api.error = PortError(ErrorKind.CONFLICT, "QEMU guest agent is not running")
    async with ward.rounds_made():
        await asyncio.sleep(40)
        silent = ward.condition()
        ward.api.error = PortError(ErrorKind.TRANSIENT, "connection refused")
        await asyncio.sleep(120)

    assert (silent, ward.condition()) == (Condition.UNHEALTHY, Condition.UNKNOWN)


async def test_that_it_may_not_be_asked_is_shown_as_the_reason() -> None:
    ward = Ward(AgentCheck())
    refused = "Permission check failed (/vms/10001, VM.GuestAgent.Audit)"
    ward.api.error = PortError(ErrorKind.DENIED, refused, status=403)
    async with ward.rounds_made():
        first = ward.health()
        await asyncio.sleep(1)

    assert (first.condition, first.message) == (Condition.UNKNOWN, f"agent: {STARTING}")
    assert ward.health().condition is Condition.UNKNOWN
    assert ward.health().message == f"agent: qlop may not ask: {refused}"


async def test_few_agents_and_not_too_many_guests_are_asked_at_once() -> None:
    ward = Ward(AgentCheck(), HTTP, guests=200)
    ward.prober.takes_s = 2
    async with ward.rounds_made():
        await asyncio.sleep(100)

    assert (ward.api.most, ward.prober.most) == (AGENTS, PROBES)


async def test_if_nobody_at_all_answers_it_is_qlop_that_hears_nothing() -> None:
    ward = Ward(replace(HTTP, start_period=timedelta(0)), guests=3)
    ward.prober.says = {f"10.0.0.{n}": SILENT for n in (1, 2, 3)}
    async with ward.rounds_made():
        await asyncio.sleep(60)
        deaf = ward.condition(1)
        ward.prober.says["10.0.0.3"] = GOOD
        await asyncio.sleep(15)

    assert deaf is Condition.UNKNOWN
    assert [ward.condition(n) for n in (1, 2, 3)] == [
        Condition.UNHEALTHY,
        Condition.UNHEALTHY,
        Condition.HEALTHY,
    ]


async def test_one_that_was_unhealthy_before_a_change_stays_so_until_it_answers() -> None:
    ward = Ward(HTTP)
    async with ward.rounds_made():
        await asyncio.sleep(1)
        ward.prober.says["10.0.0.1"] = WRONG
        await asyncio.sleep(20)
        ward.rounds.touch(VmId(10001))
        touched = ward.condition()
        ward.prober.says.clear()
        await asyncio.sleep(10)

    assert (touched, ward.condition()) == (Condition.UNHEALTHY, Condition.HEALTHY)


async def test_one_that_an_action_took_down_is_not_held_to_be_sick_for_that() -> None:
    ward = Ward(HTTP)
    async with ward.rounds_made():
        await asyncio.sleep(1)
        ward.prober.says["10.0.0.1"] = WRONG
        reboot = b.intended(Verb.REBOOT, vmid=10001, at=VirtualClock().now())
        await asyncio.sleep(40)
        down = ward.condition()
        ward.rounds.note_end(replace(reboot, impact=Impact.REBOOT))

    assert (down, ward.condition()) == (Condition.UNHEALTHY, Condition.UNKNOWN)


@pytest.mark.parametrize(
    ("verb", "impact", "after"),
    [
        pytest.param(Verb.REBOOT, Impact.REBOOT, Condition.UNKNOWN, id="rebooted"),
        pytest.param(Verb.CONFIGURE, Impact.HOT, Condition.UNKNOWN, id="changed"),
        pytest.param(Verb.CONFIGURE, Impact.NONE, Condition.HEALTHY, id="tagged"),
        pytest.param(Verb.CONFIGURE, Impact.REBOOT, Condition.HEALTHY, id="only-written"),
        pytest.param(Verb.SNAPSHOT, Impact.HOT, Condition.HEALTHY, id="snapshotted"),
        pytest.param(Verb.ROLLBACK, Impact.DATA_LOSS, Condition.UNKNOWN, id="rolled-back"),
    ],
)
async def test_an_action_that_changes_a_guest_makes_what_was_known_old(
    verb: Verb, impact: Impact, after: Condition
) -> None:
    ward = Ward(HTTP)
    async with ward.rounds_made():
        await asyncio.sleep(1)
        ward.rounds.note_end(replace(b.intended(verb, vmid=10001), impact=impact))

        assert ward.condition() is after


async def test_who_looks_once_hears_of_each_guest_and_no_longer_than_that_takes() -> None:
    ward = Ward(HTTP, guests=3)
    ward.condition()
    began = asyncio.get_running_loop().time()

    await ward.rounds.hear(timedelta(seconds=10))

    assert [ward.condition(number) for number in (1, 2, 3)] == [Condition.HEALTHY] * 3
    assert asyncio.get_running_loop().time() - began < 1


async def test_who_does_not_answer_is_not_waited_for_for_ever_and_asked_later() -> None:
    ward = Ward(HTTP)
    ward.prober.takes_s = 3600
    ward.condition()
    began = asyncio.get_running_loop().time()

    await ward.rounds.hear(timedelta(seconds=2))

    assert ward.condition() is Condition.UNKNOWN
    assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.1)
    ward.prober.takes_s = 0
    async with ward.rounds_made():
        await asyncio.sleep(1)
    assert ward.condition() is Condition.HEALTHY
