"""Ask the guests of a simulated cluster how they are, in virtual time."""

import asyncio
from datetime import timedelta

from typing_extensions import override

from qlop.model.health import GOOD, Answer, HttpCheck, NetworkCheck, Reply
from qlop.ports import Clock, Prober
from qlop.sim.application import guest_at, serves
from qlop.sim.cluster import Cluster

_CONNECT_S = 0.01


class SimProber(Prober):
    """Asks the guests of a simulated cluster, on any port, in the time of ``clock``."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock

    @override
    async def probe(self, address: str, check: NetworkCheck) -> Answer:
        self._cluster.advance(self._clock.now().timestamp())
        world = self._cluster.world
        guest = guest_at(world, address)
        node_is_up = guest is not None and world.nodes[guest.node].up
        served = serves(world, guest) if guest is not None and node_is_up else None
        await self._clock.sleep(timedelta(seconds=_CONNECT_S))
        if served is None:
            return Answer(reply=Reply.SILENT, text=f"{address}:{check.port}: connection refused")
        if not isinstance(check, HttpCheck):
            return GOOD
        if served.status is None:
            await asyncio.get_running_loop().create_future()
        await self._clock.sleep(timedelta(seconds=served.delay_s))
        status = served.status or 0
        if check.lowest <= status <= check.highest:
            return GOOD
        return Answer(reply=Reply.WRONG, text=f"{check.path} answers {status}")
