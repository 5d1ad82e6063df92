"""Answer HTTP requests as the proxy of a simulated node: decode, hand on, encode."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import unquote

import orjson

from qlop.ports import Clock, Json
from qlop.sim import forms, script
from qlop.sim.cluster import Cluster
from qlop.sim.daemons import Daemons
from qlop.sim.http import Cut, HttpAnswer, HttpRequest
from qlop.sim.wire import ApiError, SimRequest, SimResponse, extjs

_LOCK_POLL = dt.timedelta(seconds=0.25)
_JSON = "application/json;charset=UTF-8"
_UNAUTHORIZED = 401
_PATIENCE = dt.timedelta(seconds=30)
"""How long a proxy waits for the daemon that it handed a call (``proxy_request`` in
``PVE/APIServer/AnyEvent.pm``)."""
_TIMED_OUT = SimResponse(status=596, reason="Connection timed out", empty=True)
"""What ``AnyEvent::HTTP`` makes of an answer that does not come."""
_FORMATTERS = frozenset({"json", "extjs"})

Reply = HttpAnswer | Awaitable[HttpAnswer]


class Proxy:
    """The proxies of all nodes; the port that was contacted tells which one speaks.

    ``mind`` is awaited after a script command: it may have taken a node down.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        *,
        speed: float,
        mind: Callable[[], Awaitable[None]],
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._speed = speed
        self._mind = mind
        self._daemons = Daemons()
        self._late: set[asyncio.Future[HttpAnswer]] = set()
        self.ports: dict[str, int] = {}

    def answer(self, request: HttpRequest) -> Reply:
        """Return the answer, or what it becomes after its time."""
        path, _, query = request.target.partition("?")
        path = unquote(path)
        if path == "/sim/do" and request.method == "POST":
            return self._do(request)
        if path == "/sim/state" and request.method == "GET":
            return self._state()
        _, api, formatter, rest = [*path.split("/", 3), "", "", ""][:4]
        if api != "api2":
            return self._plain(500, f"no such file '{path}'\n")
        if formatter not in _FORMATTERS:
            return self._plain(501, f"no formatter for uri /{rest}, {formatter}")
        node = self._node_at(request.port)
        try:
            simulated = self._read(request, query, node, f"/{rest.strip('/')}")
        except ApiError as error:
            return self._refused(request, error)
        if not self._daemons.are_idle:
            node = self._cluster.daemon_of(simulated)
            if self._daemons.is_full(node):
                return self._patiently(simulated, self._queued(simulated, node, formatter))
        response = self._cluster.handle(simulated, self._now())
        if response.blocked or response.delay_s > 0:
            reply = self._later(simulated, response, formatter)
            is_long = response.delay_s >= _PATIENCE.total_seconds()
            return self._patiently(simulated, reply) if is_long else reply
        return self._answer(response, formatter)

    def _refused(self, request: HttpRequest, error: ApiError) -> Reply:
        """Answer what can't be read: who asks is looked at first."""
        try:
            self._cluster.world.access.identify(
                forms.authorization(request.headers),
                self._cluster.world.stamp(),
                is_mutation=request.method not in {"GET", "HEAD"},
            )
        except ApiError as unknown:
            return self._wait(self._answer(unknown.response(), "json"), unknown.delay_s)
        return self._plain(error.status, f"{error.text}{chr(10) * (not error.bare)}")

    def _node_at(self, port: int) -> str:
        return next((name for name, own in self.ports.items() if own == port), "")

    def _read(self, request: HttpRequest, query: str, node: str, path: str) -> SimRequest:
        content_type = request.headers.get("content-type", "")
        length = int(request.headers.get("content-length", "0") or "0")
        if length and request.method not in {"PUT", "POST"}:
            raise ApiError(
                f"Unexpected content for method '{request.method}'", status=501, bare=True
            )
        if length > len(request.body):
            raise ApiError("for data too large", status=501, bare=True)
        is_upload = content_type.startswith("multipart/")
        return SimRequest(
            method=request.method,
            path=path,
            params=forms.parameters(request.method, query, request.headers, request.body),
            authorization=forms.authorization(request.headers),
            node=node,
            upload=forms.uploaded(content_type, request.body) if is_upload else b"",
        )

    def give_up(self) -> None:
        """Drop the calls that are still at work though nobody waits for them."""
        for work in self._late:
            work.cancel()

    async def _patiently(self, request: SimRequest, reply: Awaitable[HttpAnswer]) -> HttpAnswer:
        """Wait for a daemon's answer as long as the proxy does; the daemon does the work anyhow.

        A connection that its listening queue has taken is served when a worker is free, and
        that worker does not notice that nobody waits any more.
        """
        if not self._cluster.is_handed_on(request):
            return await reply
        work = asyncio.ensure_future(reply)
        timer = asyncio.ensure_future(self._clock.sleep(_PATIENCE))
        try:
            await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            timer.cancel()
        if work.done():
            return work.result()
        self._late.add(work)
        work.add_done_callback(self._late.discard)
        return self._answer(_TIMED_OUT, "json")

    async def _later(
        self, request: SimRequest, response: SimResponse, formatter: str
    ) -> HttpAnswer:
        """Answer after its time, during which a worker does nothing else.

        Who is refused for want of a ticket waits at the proxy, which serves others meanwhile.
        """
        is_refused = response.status == _UNAUTHORIZED
        async with self._daemons.worker("" if is_refused else self._cluster.daemon_of(request)):
            return await self._at_work(request, response, formatter)

    async def _queued(self, request: SimRequest, node: str, formatter: str) -> HttpAnswer:
        """Answer what finds every worker at work: nothing is looked at before one is free."""
        async with self._daemons.worker(node):
            response = self._cluster.handle(request, self._now())
            return await self._at_work(request, response, formatter)

    async def _at_work(
        self, request: SimRequest, response: SimResponse, formatter: str
    ) -> HttpAnswer:
        waited_s = 0.0
        while response.blocked:
            await self._clock.sleep(_LOCK_POLL)
            waited_s += _LOCK_POLL.total_seconds()
            response = self._cluster.handle(replace(request, waited_s=waited_s), self._now())
        return await self._wait(self._answer(response, formatter), response.delay_s)

    async def _wait(self, answer: HttpAnswer, seconds: float) -> HttpAnswer:
        await self._clock.sleep(dt.timedelta(seconds=seconds))
        return replace(answer, at=self._stamp())

    def _answer(self, response: SimResponse, formatter: str) -> HttpAnswer:
        if response.status == 0 or response.lost:
            return HttpAnswer(status=0, reason="", at=0.0, cut=Cut.ALL)
        if formatter == "extjs":
            response = extjs(response)
        body = response.body()
        return HttpAnswer(
            status=response.status,
            reason=response.reason.replace("\r", " ").replace("\n", " "),
            at=self._stamp(),
            body=body,
            content_type=_content_type(response, body),
            file=response.file,
            hops=response.hops,
            cut=Cut.HALF if response.half else Cut.NOT,
        )

    def _plain(self, status: int, text: str) -> HttpAnswer:
        return HttpAnswer(
            status=status, reason=text.split("\n", 1)[0], at=self._stamp(), body=text.encode()
        )

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _stamp(self) -> float:
        return self._cluster.world.stamp()

    async def _do(self, request: HttpRequest) -> HttpAnswer:
        try:
            text = script.do(self._cluster, request.body.decode(), self._now())
        except script.ScriptError as error:
            return self._plain(400, f"{error}\n")
        await self._mind()
        return self._plain(200, f"{text}\n")

    def _state(self) -> HttpAnswer:
        world = self._cluster.world
        self._cluster.advance(self._now())
        state: dict[str, Json] = {
            "now": self._now(),
            "speed": self._speed,
            "quorate": world.is_quorate(),
            "nodes": {
                name: {"up": node.up, "port": self.ports.get(name, 0)}
                for name, node in world.nodes.items()
            },
            "guests": {
                str(guest.vmid): {
                    "node": guest.node,
                    "kind": guest.kind.value,
                    "running": guest.is_running,
                    "lock": guest.lock,
                }
                for guest in world.guests.values()
            },
            "tasks_running": [task.upid for task in world.tasks.values() if task.end_at is None],
            "faults": [fault.effect.value for fault in world.faults],
        }
        return HttpAnswer(
            status=200,
            reason="OK",
            at=self._stamp(),
            body=orjson.dumps(state),
            content_type="application/json",
        )


def _content_type(response: SimResponse, body: bytes) -> str:
    if response.file:
        return "text/plain"
    # Whatever is wrong with parameters was formatted, even where nothing of it is left.
    return _JSON if body or response.status == 400 else ""
