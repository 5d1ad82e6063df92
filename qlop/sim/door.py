"""Take connections on a node's port: TLS, and plain HTTP from whoever forgot it.

The first byte tells them apart, as ``tls_autostart`` of ``AnyEvent::Handle`` does, with which
``PVE/APIServer/AnyEvent.pm`` accepts: a TLS client begins with a handshake record.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from qlop.sim.http import IDLE_S, Connection

_HANDSHAKE = b"\x16"
_BACKLOG = 512


class Door:
    """A listening socket. ``made`` makes the connection of each client, plain or not."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, made: Callable[[bool], Connection]
    ) -> None:
        """Listen at once; 0 picks a free port. Raises ``OSError`` if the port is taken."""
        self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._context = context
        self._made = made
        self._admitting: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Take no more connections, and let go of those whose handshake is not done."""
        for task in (self._accepting, *self._admitting):
            task.cancel()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._socket)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._admit(client))
            self._admitting.add(task)
            task.add_done_callback(self._admitting.discard)

    async def _admit(self, client: socket.socket) -> None:
        try:
            async with asyncio.timeout(IDLE_S):
                first = await _first_byte(client)
        except (OSError, TimeoutError):
            client.close()  # Whoever came is gone, or says nothing.
            return
        except asyncio.CancelledError:
            client.close()
            raise
        is_plain = first != _HANDSHAKE
        with contextlib.suppress(OSError):  # It speaks no TLS that we know, or has gone.
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._made(is_plain),
                client,
                ssl=None if is_plain else self._context,
            )


async def _first_byte(client: socket.socket) -> bytes:
    """Return what comes first, and leave it there to be read; empty at the end."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(BlockingIOError):
        return client.recv(1, socket.MSG_PEEK)
    readable: asyncio.Future[None] = loop.create_future()

    def come() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(client, come)
    try:
        await readable
    finally:
        loop.remove_reader(client)
    return client.recv(1, socket.MSG_PEEK)
