"""Carry requests over HTTPS, and read answers byte by byte."""

import asyncio
import datetime as dt
import ssl
from urllib.parse import urlsplit

from typing_extensions import override

from qlop.ports import Clock
from qlop.pve import tls
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer
from tests.contract.wire import Answer, Transport, Wire

_ANSWER_S = 60.0

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class StepClock(Clock):
    """Time that passes only when somebody waits; never behind the cluster's."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._at = cluster.now

    def set(self, at: float) -> None:
        """Let it be ``at`` now."""
        self._at = at

    @override
    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(max(self._at, self._cluster.now), dt.UTC)

    @override
    async def sleep(self, span: dt.timedelta) -> None:
        self._at = (self.now() + span).timestamp()
        await asyncio.sleep(0)


class Lines:
    """Connections to servers, kept as long as the servers keep them.

    With ``pins``, only to a server whose certificate has one of these fingerprints.
    """

    def __init__(self, context: ssl.SSLContext, pins: tuple[str, ...] = ()) -> None:
        self._context = context
        self._pins = pins
        self._open: dict[str, Stream] = {}

    async def exchange(self, authority: str, request: bytes) -> Answer:
        """Send a whole request to ``HOST:PORT`` and return the answer."""
        async with asyncio.timeout(_ANSWER_S):
            kept = self._open.get(authority)
            if kept is not None:
                try:
                    return await self._ask(authority, kept, request)
                except (asyncio.IncompleteReadError, ConnectionError):
                    self._drop(authority)  # It was silent for too long.
            host, _, port = authority.rpartition(":")
            fresh = await asyncio.open_connection(host.strip("[]"), int(port), ssl=self._context)
            self._check(fresh[1])
            self._open[authority] = fresh
            return await self._ask(authority, fresh, request)

    def _check(self, writer: asyncio.StreamWriter) -> None:
        found = tls.fingerprint(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        if self._pins and found not in self._pins:
            writer.close()
            raise tls.FingerprintError(self._pins, found)

    async def _ask(self, authority: str, stream: Stream, request: bytes) -> Answer:
        reader, writer = stream
        writer.write(request)
        answer = await read(reader)
        connection = [value for name, value in answer.headers or () if name == "Connection"]
        if connection[-1:] != ["Keep-Alive"]:
            self._drop(authority)
        return answer

    def _drop(self, authority: str) -> None:
        self._open.pop(authority)[1].close()

    async def close(self) -> None:
        """Close them all."""
        for authority in list(self._open):
            self._drop(authority)
        await asyncio.sleep(0.05)


async def read(reader: asyncio.StreamReader) -> Answer:
    """Read one answer, headers as they are."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    _, status, reason = [*first.split(" ", 2), ""][:3]
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
    length = next((int(value) for name, value in headers if name == "Content-Length"), 0)
    body = await reader.readexactly(length)
    return Answer(status=int(status), reason=reason, body=body, headers=headers)


def encoded(wire: Wire, host: str) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{wire.method} {wire.target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.title()}: {value}" for name, value in wire.headers.items()]
    if wire.body:
        lines.append(f"Content-Length: {len(wire.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + wire.body


class OverHttps(Transport):
    """Serves a simulated cluster over HTTPS and talks to it, both in one loop.

    The loop runs only while something is under way, so that between two calls the world
    may be looked at and changed.
    """

    def __init__(self, cluster: Cluster, contacted: str) -> None:
        self._cluster = cluster
        self._contacted = contacted
        self._clock = StepClock(cluster)
        self._server = SimServer(cluster, clock=self._clock)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._runner.run(self._server.start())
        self._lines = Lines(ssl.create_default_context(cafile=self._server.ca_file))

    @override
    def send(self, wire: Wire, now: float) -> Answer:
        self._clock.set(now)
        answer = self._runner.run(self._send(wire))
        self._cluster.advance(self._server.now())
        return answer

    async def _send(self, wire: Wire) -> Answer:
        await self._server.mind()
        world = self._cluster.world
        up = [name for name in world.nodes if world.is_reachable(name)]
        node = self._contacted if self._contacted in up else up[0]
        authority = urlsplit(self._server.urls[[*world.nodes].index(node)]).netloc
        return await self._lines.exchange(authority, encoded(wire, authority))

    @override
    def close(self) -> None:
        self._runner.run(self._lines.close())
        self._runner.run(self._server.stop())
        self._runner.close()
