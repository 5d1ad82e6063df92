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
import functools
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from qlop.ports import Clock
from qlop.sim import script, tls
from qlop.sim.cluster import Cluster
from qlop.sim.door import Door
from qlop.sim.http import Connection
from qlop.sim.proxy import Proxy
from qlop.sim.servants import Servants

_HOST = "127.0.0.1"
_START_LIMIT_S = 10.0
_FAREWELL_S = 0.05
"""TLS connections are gone a few turns of the loop after they were closed."""


class SimServer:
    """HTTPS servers for every node of a cluster, on loopback.

    ``ports`` maps nodes to ports; 0 or nothing picks a free one. A node that is down
    refuses connections. ``expired`` serves a certificate that is out of date. ``clock``
    replaces the real time at ``speed``: whoever gives it lets time pass.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        speed: float = 1.0,
        clock: Clock | None = None,
        ports: dict[str, int] | None = None,
        directory: Path | None = None,
        expired: bool = False,
    ) -> None:
        self.cluster = cluster
        self._clock = clock or _ScaledClock(cluster.now, speed)
        self._wanted = dict(ports or {})
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="qlop-sim-")
        self._directory = directory or Path(self._temporary.name if self._temporary else ".")
        span = dt.timedelta(days=-1 if expired else 3650)
        self._certificate = tls.self_signed(
            ["localhost", *cluster.world.nodes],
            ["127.0.0.1", "::1"],
            not_before=dt.datetime.now(dt.UTC) - dt.timedelta(days=2),
            valid=dt.timedelta(days=1) if expired else span,
        )
        self._proxy = Proxy(cluster, self._clock, speed=speed, mind=self.mind)
        self._doors: dict[str, Door] = {}
        self._connections: dict[Connection, str] = {}
        self._closed = False
        self._watcher: asyncio.Task[None] | None = None
        self._minding = asyncio.Lock()
        self._servants = Servants(cluster, speed=lambda: speed)

    @property
    def ports(self) -> dict[str, int]:
        """Return each node's port."""
        return self._proxy.ports

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
        return self._clock.now().timestamp()

    async def start(self) -> None:
        """Open every node's port."""
        if isinstance(self._clock, _ScaledClock):
            self._clock.begin(self.cluster.now)
        key_file = self._directory / "pve-ssl.key"
        self.ca_file.write_bytes(self._certificate.certificate_pem)
        key_file.touch(mode=0o600)
        key_file.write_bytes(self._certificate.key_pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.ca_file, key_file)
        self._context = context
        for name in self.cluster.world.nodes:
            self.ports[name] = self._wanted.get(name, 0)
            self._open(name)
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def _open(self, name: str) -> None:
        made = functools.partial(self._connection, name)
        door = Door(_HOST, self.ports[name], self._context, made)
        self._doors[name] = door
        self.ports[name] = door.port

    def _connection(self, name: str, plain: bool) -> Connection:  # noqa: FBT001
        made = Connection(self._proxy.answer, self.now, gone=self._forget, plain=plain)
        self._connections[made] = name
        if self._closed:
            asyncio.get_running_loop().call_soon(made.drop)
        return made

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    async def _watch(self) -> None:
        """Let time pass without calls, and close the ports of nodes that are down."""
        while True:
            self.cluster.advance(self.now())
            await self.mind()
            await asyncio.sleep(0.05)

    async def mind(self) -> None:
        """Open and close ports so that they are what nodes and guests are."""
        async with self._minding:
            await self._servants.mind()
            for name in self.cluster.world.nodes:
                if self.cluster.world.is_reachable(name) and name not in self._doors:
                    self._open(name)
                elif not self.cluster.world.is_reachable(name) and name in self._doors:
                    self._doors.pop(name).close()
                    for connection in [one for one, at in self._connections.items() if at == name]:
                        connection.abort()

    async def stop(self) -> None:
        """Close every port."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._servants.close()
        self._closed = True  # Those whose handshake has only begun are dropped when it ends.
        for door in self._doors.values():
            door.close()
        self._doors.clear()
        self._proxy.give_up()
        for connection in list(self._connections):
            connection.drop()
        await asyncio.sleep(_FAREWELL_S)
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


class _ScaledClock(Clock):
    """The real time, ``speed`` times as fast, from a given moment on."""

    def __init__(self, at: float, speed: float) -> None:
        self._speed = speed
        self.begin(at)

    def begin(self, at: float) -> None:
        """Let it be ``at`` (epoch seconds) now."""
        self._began, self._at = time.monotonic(), at

    @override
    def now(self) -> dt.datetime:
        passed_s = (time.monotonic() - self._began) * self._speed
        return dt.datetime.fromtimestamp(self._at + passed_s, dt.UTC)

    @override
    async def sleep(self, span: dt.timedelta) -> None:
        await asyncio.sleep(span.total_seconds() / self._speed)
