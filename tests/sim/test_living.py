"""Simulated guests serve as long as they live, in virtual time and on real ports."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qlop.model.health import Answer, HttpCheck, NetworkCheck, Reply, TcpCheck
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.living import SimProber
from qlop.sim.script import ScriptError
from qlop.sim.server import SimServer
from qlop.sim.world import GuestSpec
from tests.sim.lab import START, Lab

HTTP, TCP = HttpCheck(port=80, path="/up"), TcpCheck(port=80)
ADDRESS = "10.0.0.103"


class LabClock:
    """The lab's time."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._lab.now, tz=UTC)

    async def sleep(self, span: timedelta) -> None:
        self._lab.later(span.total_seconds())


@pytest.fixture
def lab() -> Lab:
    one = Lab()
    guest = one.clone()
    one.must("PUT", f"{guest}/config", ipconfig0=f"ip={ADDRESS}/24,gw=10.0.0.1", cores=2)
    one.by_hand("guest 101 start")
    one.later(60)
    return one


async def ask(lab: Lab, check: NetworkCheck = HTTP) -> Answer:
    return await SimProber(lab.cluster, LabClock(lab)).probe(ADDRESS, check)


async def test_a_guest_that_runs_answers(lab: Lab) -> None:
    assert (await ask(lab)).reply is Reply.GOOD
    assert (await ask(lab, TCP)).reply is Reply.GOOD


@pytest.mark.parametrize("command", ["guest 101 stop", "guest 101 app down", "node pve1 down"])
async def test_one_that_does_not_is_silent(lab: Lab, command: str) -> None:
    lab.by_hand(command)

    assert (await ask(lab)).reply is Reply.SILENT


async def test_one_that_boots_is_silent_until_it_has(lab: Lab) -> None:
    lab.by_hand("guest 101 stop")
    lab.by_hand("guest 101 start")
    before = await ask(lab)
    lab.later(30)

    assert (before.reply, (await ask(lab)).reply) == (Reply.SILENT, Reply.GOOD)


async def test_a_wrong_application_answers_an_error_and_takes_connections(lab: Lab) -> None:
    lab.by_hand("guest 101 app wrong")

    assert await ask(lab) == Answer(reply=Reply.WRONG, text="/up answers 500")
    assert (await ask(lab, TCP)).reply is Reply.GOOD


async def test_a_slow_one_takes_its_time(lab: Lab) -> None:
    lab.by_hand("guest 101 app slow")
    before = lab.now

    assert (await ask(lab)).reply is Reply.GOOD
    assert lab.now - before > 20


async def test_a_hung_one_never_answers(lab: Lab) -> None:
    lab.by_hand("guest 101 app hung")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await ask(lab)


async def test_one_that_needs_something_is_wrong_without_it(lab: Lab) -> None:
    lab.by_hand("guest 101 app needs cores=2")
    with_it = await ask(lab)
    lab.by_hand("guest 101 app needs cores=4")

    assert (with_it.reply, (await ask(lab)).reply) == (Reply.GOOD, Reply.WRONG)


@pytest.mark.parametrize(
    "command", ["guest 101 app dancing", "guest 101 address 10.0.0.1 80", "guest 101 address x"]
)
def test_nonsense_is_refused(lab: Lab, command: str) -> None:
    with pytest.raises(ScriptError):
        lab.by_hand(command)


@pytest.fixture(scope="module")
def server() -> Iterator[SimServer]:
    guest = GuestSpec(
        vmid=110, node="pve1", config={"scsi0": "local-lvm:3", "boot": "order=scsi0"}
    )
    spec = replace(world.hospital(), guests=(*world.hospital().guests, guest))
    one = SimServer(Cluster(spec, seed=1, now=START), speed=200)
    with one.in_background():
        yield one


@pytest.mark.real
@pytest.mark.slow
def test_a_guest_answers_on_a_real_port_and_dies_with_it(server: SimServer) -> None:
    """It waits for sockets to open and close."""
    address, port = "127.77.0.110", 18080
    server.do(f"guest 110 address {address} {port}")
    server.do("guest 110 start")

    def reply() -> str:
        async def get() -> str:
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return line.decode().strip()

        with contextlib.suppress(OSError):
            return asyncio.run(get())
        return "nobody"

    def becomes(what: str) -> bool:
        until = time.monotonic() + 5
        while reply() != what and time.monotonic() < until:
            pass
        return reply() == what

    assert becomes("HTTP/1.1 200 OK")
    server.do("guest 110 app wrong")
    assert becomes("HTTP/1.1 500 Internal Server Error")
    server.do("guest 110 stop")
    assert becomes("nobody")
