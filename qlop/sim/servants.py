"""Open real ports on the loopback network for what simulated guests serve.

Each running guest that was given an address (``guest VMID address 127.A.B.C PORT…``)
answers there as its application would: it dies with the guest, and is slow, wrong or hung
when that is so.
"""

import asyncio
import contextlib
from collections.abc import Callable

from qlop.sim.application import serves
from qlop.sim.cluster import Cluster
from qlop.sim.state import Guest

_REQUEST_BYTES = 64 * 1024
_REQUEST_S = 10.0

Place = tuple[str, int]


class Servants:
    """The listening sockets of a cluster's guests. ``mind`` brings them up to date."""

    def __init__(self, cluster: Cluster, *, speed: Callable[[], float]) -> None:
        """Serve for ``cluster``, whose time is ``speed()`` times as fast as ours."""
        self._cluster = cluster
        self._speed = speed
        self._open: dict[Place, asyncio.Server] = {}
        self._held: set[asyncio.StreamWriter] = set()

    async def mind(self) -> None:
        """Open and close sockets so that they are what the guests are."""
        wanted = dict(self._wanted())
        for place in set(self._open) - set(wanted):
            self._open.pop(place).close()
        for place, guest in wanted.items():
            if place not in self._open:
                with contextlib.suppress(OSError):  # The port is somebody else's.
                    self._open[place] = await self._listen(place, guest)

    async def close(self) -> None:
        """Close all of them."""
        for server in self._open.values():
            server.close()
        for writer in self._held:
            writer.close()
        self._open.clear()

    def _wanted(self) -> list[tuple[Place, Guest]]:
        world = self._cluster.world
        return [
            ((guest.address, port), guest)
            for guest in world.guests.values()
            if guest.address and world.nodes[guest.node].up and serves(world, guest) is not None
            for port in guest.ports
        ]

    async def _listen(self, place: Place, guest: Guest) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._held.add(writer)
            try:
                await self._answer(guest, reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                pass  # Whoever asked has gone, or does not speak HTTP.
            finally:
                self._held.discard(writer)
                writer.close()

        return await asyncio.start_server(answer, *place, limit=_REQUEST_BYTES)

    async def _answer(
        self, guest: Guest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with asyncio.timeout(_REQUEST_S):
            await reader.readuntil(b"\r\n\r\n")
        served = serves(self._cluster.world, guest)
        if served is None:
            return
        if served.status is None:
            await reader.read()  # Until whoever asked gives up.
            return
        await asyncio.sleep(served.delay_s / self._speed())
        reason = "OK" if served.status == 200 else "Internal Server Error"
        head = f"HTTP/1.1 {served.status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n"
        writer.write(f"{head}\r\n".encode())
        await writer.drain()
