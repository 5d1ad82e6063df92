"""Serve the simulated cluster over HTTPS, one port a node, as its proxies would.

    server = SimServer(Cluster(world.hospital(), now=time.time()))
    with server.in_background():
        print(server.url, server.ca_file, server.fingerprint)

``POST /sim/do`` carries out a script command, ``GET /sim/state`` tells how things stand;
both are outside ``/api2`` and need no token. ``speed`` is simulated seconds per real one.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from qlop.ports import Json
from qlop.sim import forms, script, tls
from qlop.sim.cluster import Cluster
from qlop.sim.servants import Servants
from qlop.sim.wire import ApiError, SimRequest, SimResponse, extjs

_LOCK_POLL_S = 0.25
_HOST = "127.0.0.1"
_START_LIMIT_S = 10.0
_STOP_LIMIT_S = 1.0
"""How long an answer that a fault holds back may keep the servers from closing."""
_FAREWELL_S = 0.05
"""TLS connections are gone a few turns of the loop after they were closed."""


class SimServer:
    """HTTPS servers for every node of a cluster, on loopback.

    ``ports`` maps nodes to ports; 0 or nothing picks a free one. A node that is down
    refuses connections. ``expired`` serves a certificate that is out of date.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        speed: float = 1.0,
        ports: dict[str, int] | None = None,
        directory: Path | None = None,
        expired: bool = False,
    ) -> None:
        self.cluster = cluster
        self._speed = speed
        self._wanted = dict(ports or {})
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="qlop-sim-")
        self._directory = directory or Path(self._temporary.name if self._temporary else ".")
        self._began = time.monotonic()
        self._sim_began = cluster.now
        span = dt.timedelta(days=-1 if expired else 3650)
        self._certificate = tls.self_signed(
            ["localhost", *cluster.world.nodes],
            ["127.0.0.1", "::1"],
            not_before=dt.datetime.now(dt.UTC) - dt.timedelta(days=2),
            valid=dt.timedelta(days=1) if expired else span,
        )
        self._runner: web.AppRunner | None = None
        self._sites: dict[str, web.TCPSite] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._minding = asyncio.Lock()
        self._servants = Servants(cluster, speed=lambda: self._speed)
        self.ports: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Return the first node's address."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """Return every node's address, in the nodes' order."""
        return [f"https://{_HOST}:{self.ports[name]}" for name in self.cluster.world.nodes]

    @property
    def ca_file(self) -> Path:
        """Return the file with the certificate that clients shall trust."""
        return self._directory / "pve-root-ca.pem"

    @property
    def fingerprint(self) -> str:
        """Return the certificate's SHA-256 fingerprint, colons and capitals."""
        return self._certificate.fingerprint

    def now(self) -> float:
        """Return the simulated time."""
        return self._sim_began + (time.monotonic() - self._began) * self._speed

    async def start(self) -> None:
        """Open every node's port."""
        self._began = time.monotonic()
        self._sim_began = self.cluster.now
        key_file = self._directory / "pve-ssl.key"
        self.ca_file.write_bytes(self._certificate.certificate_pem)
        key_file.touch(mode=0o600)
        key_file.write_bytes(self._certificate.key_pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.ca_file, key_file)
        self._context = context
        application = web.Application(client_max_size=forms.MAX_BODY_BYTES * 4)
        application.router.add_post("/sim/do", self._do)
        application.router.add_get("/sim/state", self._state)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=30, shutdown_timeout=_STOP_LIMIT_S
        )
        await self._runner.setup()
        for name in self.cluster.world.nodes:
            self.ports[name] = self._wanted.get(name, 0)
            await self._open(name)
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _open(self, name: str) -> None:
        assert self._runner is not None
        site = web.TCPSite(
            self._runner, _HOST, self.ports[name], ssl_context=self._context, reuse_address=True
        )
        await site.start()
        self._sites[name] = site
        server: Any = site._server  # noqa: SLF001 - aiohttp tells the port nowhere else
        self.ports[name] = server.sockets[0].getsockname()[1]

    async def _watch(self) -> None:
        """Let time pass without calls, and close the ports of nodes that are down."""
        while True:
            self.cluster.advance(self.now())
            await self._mind_ports()
            await asyncio.sleep(0.05)

    async def _mind_ports(self) -> None:
        async with self._minding:
            await self._servants.mind()
            for name in self.cluster.world.nodes:
                if self.cluster.world.is_reachable(name) and name not in self._sites:
                    await self._open(name)
                elif not self.cluster.world.is_reachable(name) and name in self._sites:
                    await self._sites.pop(name).stop()

    async def stop(self) -> None:
        """Close every port."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._servants.close()
        if self._runner is not None:
            server = self._runner.server
            await self._runner.cleanup()
            await asyncio.sleep(_FAREWELL_S)
            if server is not None:  # For those whose handshake had only begun.
                await server.shutdown(0)
                await asyncio.sleep(_FAREWELL_S)
        self._sites.clear()
        if self._temporary is not None:
            self._temporary.cleanup()

    @contextlib.contextmanager
    def in_background(self) -> Iterator["SimServer"]:
        """Serve from a thread of its own while the block runs."""
        ready = threading.Event()
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        loop = runner.get_loop()
        done = asyncio.Event()
        failure: list[BaseException] = []

        async def main() -> None:
            try:
                await self.start()
            except BaseException as error:
                failure.append(error)
                raise
            finally:
                ready.set()
            await done.wait()
            await self.stop()

        def serve() -> None:
            with runner:
                runner.run(main())

        thread = threading.Thread(target=serve, name="qlop-sim", daemon=True)
        thread.start()
        ready.wait(_START_LIMIT_S)
        if failure:
            raise failure[0]
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(done.set)
            thread.join(_START_LIMIT_S)

    def do(self, command: str) -> str:
        """Carry out a script command at the present simulated time, from the serving thread."""
        return script.do(self.cluster, command, self.now())

    async def _do(self, request: web.Request) -> web.Response:
        command = (await request.read()).decode()
        try:
            text = self.do(command)
        except script.ScriptError as error:
            return web.Response(status=400, text=f"{error}\n")
        await self._mind_ports()
        return web.Response(text=f"{text}\n")

    async def _state(self, request: web.Request) -> web.Response:
        del request
        world = self.cluster.world
        self.cluster.advance(self.now())
        state: dict[str, Json] = {
            "now": self.now(),
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
        return web.Response(body=orjson.dumps(state), content_type="application/json")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        node = self._node_of(request)
        path = unquote(request.rel_url.raw_path)
        _, api, formatter, rest = [*path.split("/", 3), "", "", ""][:4]
        if api != "api2":
            return _refuse(500, f"no such file '{path}'")
        if formatter not in {"json", "extjs"}:
            return _refuse(501, f"no formatter for uri {path}, {formatter}")
        if request.method not in {"GET", "POST", "PUT", "DELETE"}:
            return _empty(501, f"method '{request.method}' not available")
        try:
            simulated = await self._read(request, node, rest)
        except ApiError as error:
            return _refuse(error.status, error.text)
        response = await self._answer(simulated)
        if response.status == 0 or response.lost:
            _cut(request)
            return web.Response()
        if formatter == "extjs":
            response = extjs(response)
        return await _send(request, response)

    def _node_of(self, request: web.Request) -> str:
        transport = request.transport
        port = transport.get_extra_info("sockname")[1] if transport else 0
        return next((name for name, own in self.ports.items() if own == port), "")

    async def _read(self, request: web.Request, node: str, path: str) -> SimRequest:
        if request.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raise ApiError("chunked transfer encoding not supported", status=501)
        is_upload = request.headers.get("Content-Type", "").startswith("multipart/")
        if (request.content_length or 0) > forms.MAX_BODY_BYTES and not is_upload:
            raise ApiError("for data too large", status=501)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        params = forms.parameters(request.method, request.rel_url.raw_query_string, headers, body)
        return SimRequest(
            method=request.method,
            path=f"/{path.strip('/')}",
            params=params,
            authorization=forms.authorization(headers),
            node=node,
            upload=forms.uploaded(headers.get("content-type", ""), body) if is_upload else b"",
        )

    async def _answer(self, request: SimRequest) -> SimResponse:
        response = self.cluster.handle(request, self.now())
        waited_s = 0.0
        while response.blocked:
            await asyncio.sleep(_LOCK_POLL_S / self._speed)
            waited_s += _LOCK_POLL_S
            response = self.cluster.handle(replace(request, waited_s=waited_s), self.now())
        if response.delay_s > 0:
            await asyncio.sleep(response.delay_s / self._speed)
        return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _headers(*, proxied: bool, close: bool) -> list[tuple[str, str]]:
    date = formatdate(usegmt=True)
    connection = [("Connection", "close")] if close or proxied else []
    if not close:
        connection.append(("Connection", "Keep-Alive"))
    return [
        ("Cache-Control", "max-age=0"),
        *connection,
        ("Date", date),
        ("Pragma", "no-cache"),
        ("Server", "pve-api-daemon/3.0"),
        ("Expires", date),
    ]


async def _send(request: web.Request, response: SimResponse) -> web.StreamResponse:
    body = response.body()
    close = response.status != 200
    headers = _headers(proxied=response.proxied, close=close)
    answer = web.Response(
        status=response.status,
        reason=response.reason.replace("\r", " ").replace("\n", " "),
        body=body or None,
        headers={"Content-Type": "application/json;charset=UTF-8"} if body else None,
    )
    for name, value in headers:
        answer.headers.add(name, value)
    if close:
        answer.force_close()
    if response.half:
        answer.content_length = len(body)
        stream = web.StreamResponse(
            status=response.status, reason=response.reason, headers=answer.headers
        )
        stream.content_length = len(body)
        await stream.prepare(request)
        await stream.write(body[: len(body) // 2])
        _cut(request)
        return stream
    return answer


def _refuse(status: int, text: str) -> web.Response:
    answer = web.Response(status=status, reason=text.split("\n", 1)[0], text=text)
    for name, value in _headers(proxied=False, close=True):
        answer.headers.add(name, value)
    answer.force_close()
    return answer


def _empty(status: int, reason: str) -> web.Response:
    answer = web.Response(status=status, reason=reason)
    answer.force_close()
    return answer
