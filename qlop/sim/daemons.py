"""Let calls queue for the workers of each node's pvedaemon.

pveproxy hands every call that is ``protected`` to the pvedaemon of the node that it is for.
That has three workers (``max_workers`` in ``PVE/Service/pvedaemon.pm``), each of which does one
call at a time and nothing else meanwhile: three calls that wait for a lock or for a silent
guest agent hold up whatever comes next on that node. Calls that are not protected
(``/cluster/resources``, ``/version``) are pveproxy's own and go on.

A real worker may have taken up more connections than one before it got stuck; here whoever
waits is served by the first that is free.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

WORKERS = 3


class Daemons:
    """The workers of every node: how many are at work, and who waits for one."""

    def __init__(self) -> None:
        self._busy: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def are_idle(self) -> bool:
        """Return whether no call holds a worker for any time."""
        return not self._busy

    def is_full(self, node: str) -> bool:
        """Return whether a call for ``node`` would have to wait."""
        return self._busy.get(node, 0) >= WORKERS

    @asynccontextmanager
    async def worker(self, node: str) -> AsyncIterator[None]:
        """Hold one of a node's workers, as soon as one is free; ``""`` is no daemon's call."""
        if not node:
            yield
            return
        await self._take(node)
        try:
            yield
        finally:
            self._leave(node)

    async def _take(self, node: str) -> None:
        if not self.is_full(node):
            self._busy[node] = self._busy.get(node, 0) + 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(node, deque())
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in waiting:
                waiting.remove(turn)
            elif not turn.cancelled():
                self._leave(node)  # It was handed a worker in that very moment.
            raise

    def _leave(self, node: str) -> None:
        """Hand the worker to whoever waits longest, or let it rest."""
        waiting = self._waiting.get(node, deque())
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy[node] -= 1
        if not self._busy[node]:
            del self._busy[node]
