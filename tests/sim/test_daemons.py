"""A node's pvedaemon has three workers, and what they wait for everybody waits for."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

import pytest
from typing_extensions import override

from qlop.ports import Clock
from qlop.sim.http import HttpAnswer, HttpRequest
from qlop.sim.proxy import Proxy
from tests.sim.lab import AUTHORIZATION, Lab

AGENT = "/nodes/pve1/qemu/101/agent/info"
STATUS = "/nodes/pve1/qemu/101/status/current"
AGENT_S = 3.0
"""What a call to a silent agent takes."""


class LoopClock(Clock):
    """The time of the loop, which is virtual in tests."""

    def __init__(self, began: float) -> None:
        self._began = began - asyncio.get_running_loop().time()

    @override
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._began + asyncio.get_running_loop().time(), UTC)

    @override
    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


async def nothing() -> None:
    """Nobody has to be told."""


class Node:
    """The proxy of ``pve1``, where guest 101 runs with an agent that is silent."""

    def __init__(self) -> None:
        lab = Lab()
        guest = lab.clone()
        lab.do("POST", f"{guest}/status/start")
        lab.later(20)
        lab.by_hand("guest 101 agent hang")
        self.cluster = lab.cluster
        self.clock = LoopClock(lab.now)
        self.proxy = Proxy(lab.cluster, self.clock, speed=1, mind=nothing)
        self.proxy.ports["pve1"] = 1

    async def ask(
        self, path: str, authorization: str = AUTHORIZATION, *, method: str = "GET", body: str = ""
    ) -> tuple[int, float]:
        """Return the status, and how long it took to come."""
        began = self.clock.now()
        reply = self.proxy.answer(
            HttpRequest(
                method=method,
                target=f"/api2/json{path}",
                headers={
                    "authorization": authorization,
                    "content-type": "application/x-www-form-urlencoded",
                    "content-length": str(len(body)),
                },
                body=body.encode(),
                port=1,
            )
        )
        answer = await reply if isinstance(reply, Awaitable) else reply
        assert isinstance(answer, HttpAnswer)
        return answer.status, round((self.clock.now() - began).total_seconds(), 1)

    async def with_agents(self, count: int, *paths: str) -> list[tuple[int, float]]:
        """Ask a silent agent ``count`` times, then for ``paths``; return those answers."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self.ask(AGENT))
            await asyncio.sleep(0.1)
            asked = [group.create_task(self.ask(path)) for path in paths]
        return [one.result() for one in asked]


async def test_two_silent_agents_hold_up_nobody() -> None:
    assert await Node().with_agents(2, STATUS) == [(200, 0.0)]


async def test_three_hold_up_the_node_s_daemon_until_one_is_done() -> None:
    assert await Node().with_agents(3, STATUS) == [(200, AGENT_S - 0.1)]


async def test_what_the_proxy_does_itself_goes_on() -> None:
    asked = ("/cluster/resources", "/version", "/nodes/pve1/qemu/101/config")

    assert await Node().with_agents(3, *asked) == [(200, 0.0)] * 3


async def test_another_node_has_workers_of_its_own() -> None:
    assert await Node().with_agents(3, "/nodes/pve2/qemu") == [(200, 0.0)]


@pytest.mark.parametrize(("calls", "seconds"), [(3, 3.0), (4, 6.0), (6, 6.0), (7, 9.0)])
async def test_calls_are_served_three_at_a_time(calls: int, seconds: float) -> None:
    node = Node()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(node.ask(AGENT)) for _ in range(calls)]

    assert max(one.result()[1] for one in asked) == seconds


async def test_whoever_has_no_ticket_waits_at_the_proxy_and_holds_up_nobody() -> None:
    node = Node()
    async with asyncio.TaskGroup() as group:
        wrong = [group.create_task(node.ask(STATUS, "PVEAPIToken=a@pve!b=c")) for _ in range(5)]
        await asyncio.sleep(0.1)
        asked = group.create_task(node.ask(STATUS))

    assert [one.result() for one in wrong] == [(401, 3.0)] * 5
    assert asked.result() == (200, 0.0)


async def test_a_call_that_is_given_up_while_it_waits_takes_no_worker_along() -> None:
    node = Node()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(node.ask(AGENT))
        await asyncio.sleep(0.1)
        gone = group.create_task(node.ask(STATUS))
        await asyncio.sleep(0.1)
        gone.cancel()

    assert await node.with_agents(2, STATUS) == [(200, 0.0)]
    assert await node.with_agents(3, STATUS) == [(200, AGENT_S - 0.1)]


async def test_a_proxy_waits_thirty_seconds_for_a_worker_and_the_work_is_done_all_the_same() -> (
    None
):
    """``timeout => 30`` in ``proxy_request`` of pve-http-server's ``AnyEvent.pm``."""
    node = Node()
    config = "/nodes/pve1/qemu/101/config"
    async with asyncio.TaskGroup() as group:
        for _ in range(33):  # Eleven rounds of three seconds.
            group.create_task(node.ask(AGENT))
        await asyncio.sleep(0.1)
        asked = group.create_task(node.ask(config, method="PUT", body="cores=3"))

    assert asked.result() == (596, 30.0)
    assert node.cluster.world.guests[101].config["cores"] == "2"
    await asyncio.sleep(5)
    assert node.cluster.world.guests[101].pending["cores"] == "3"
