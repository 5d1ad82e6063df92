"""Reach the simulated cluster through the ``PveApi`` port, in virtual time.

    api = InProcessApi(cluster, clock)
    rows = await api.call(PveCall(method=Method.GET, route="/cluster/resources"))

What a call would take on the wire (a 401's three seconds, a silent agent, a lock) is slept
on the given clock; the cluster's time is the clock's.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import unquote

from qlop.ports import Clock, ErrorKind, Json, PortError, PveCall, port_error
from qlop.sim.cluster import Cluster
from qlop.sim.wire import SimRequest, SimResponse
from qlop.sim.world import DEFAULT_TOKEN

LOCK_POLL_S = 0.25
"""How often a call that waits for a lock is tried again."""

_TIMEOUT_S = 60.0
"""When a client would give up on an answer that does not come."""


class InProcessApi:
    """A ``PveApi`` onto a simulated cluster.

    ``token`` is what follows ``PVEAPIToken=``; ``node`` is the node contacted (``None``:
    the first that can be reached, as a client with several endpoints would). ``calls``
    counts the calls made, by method and route.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        *,
        token: str = DEFAULT_TOKEN,
        node: str | None = None,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._token = token
        self._node = node or ""
        self.calls: dict[str, int] = {}

    async def call(self, call: PveCall) -> Json:
        """Return the ``data`` of the cluster's answer.

        Raises:
            PortError: as ``port_error`` classifies the answer; ``AMBIGUOUS`` if the answer
                to a mutation was lost, ``TRANSIENT`` if that to a read was.
        """
        name = f"{call.method.value} {call.route}"
        self.calls[name] = self.calls.get(name, 0) + 1
        request = SimRequest(
            method=call.method.value,
            path=unquote(call.path),
            params=_parameters(call.params),
            authorization=f"PVEAPIToken={self._token}",
            node=self._node,
        )
        response = await self._answer(request)
        if response.lost or response.half:
            await self._sleep(_TIMEOUT_S if response.lost else 0.0)
            kind = ErrorKind.AMBIGUOUS if call.is_mutation else ErrorKind.TRANSIENT
            raise PortError(kind, f"{name}: the answer was lost")
        if response.status == 0:
            raise PortError(ErrorKind.TRANSIENT, f"{name}: connection refused")
        if response.status != 200:
            raise port_error(
                call, status=response.status, reason=response.reason, fields=response.errors
            )
        return response.value()

    async def _answer(self, request: SimRequest) -> SimResponse:
        response = self._cluster.handle(request, self._now())
        waited_s = 0.0
        while response.blocked:
            await self._sleep(LOCK_POLL_S)
            waited_s += LOCK_POLL_S
            response = self._cluster.handle(replace(request, waited_s=waited_s), self._now())
        await self._sleep(response.delay_s)
        return response

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(timedelta(seconds=seconds))


def _parameters(params: Mapping[str, str | int | float]) -> dict[str, Json]:
    """Return the parameters as a form would carry them: text."""
    return {name: str(value) for name, value in params.items()}
