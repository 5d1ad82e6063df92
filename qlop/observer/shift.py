"""Let a few workers read guests, during an observation and, if that is too short, beyond it.

An API that takes eight seconds for an answer is slow, and would be asked the same again for
ever if each observation began anew. Whoever is not done in time goes on; only nobody else
asks the same node meanwhile, so that one node that hangs keeps nobody else waiting.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from qlop.model.ids import NodeName

WORKERS_MIN = 2
"""So many there are for the other nodes, however many are late on some node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to read from a node."""

    node: NodeName
    run: Callable[[], Awaitable[None]]


class Shift:
    """The workers, those that are late among them, and what is still to be done."""

    def __init__(self, workers: int) -> None:
        """Let so many jobs be done at once."""
        self._workers = workers
        self._queue: deque[Job] = deque()
        self._late: set[asyncio.Task[None]] = set()
        self._at: dict[asyncio.Task[None], NodeName] = {}

    async def work(self, jobs: Iterable[Job], within: timedelta) -> bool:
        """Do the jobs, in their order, instead of those that are left; return whether all are done.

        After ``within`` it returns, and late workers go on. What a job raises, be it one of
        an earlier observation, is raised here.
        """
        self._dismiss()
        self._queue = deque(jobs)
        free = max(min(WORKERS_MIN, self._workers), self._workers - len(self._late))
        # They may outlast whoever waits for them, so that no group can own them.
        tasks = {
            asyncio.create_task(self._do(), name="read")
            for _ in range(min(free, len(self._queue)))
        }
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=within.total_seconds())
        finally:
            self._late |= tasks
        self._dismiss()
        return not self._queue and not self._late

    async def close(self) -> None:
        """Break off what is still being read."""
        self._queue.clear()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        self._late.clear()

    async def _do(self) -> None:
        me = asyncio.current_task()
        assert me is not None, "it runs as a task"
        try:
            while (job := self._next(me)) is not None:
                self._at[me] = job.node
                await job.run()
        finally:
            self._at.pop(me, None)

    def _next(self, me: asyncio.Task[None]) -> Job | None:
        """Return the next job; of a node that keeps somebody waiting only to whom it answered."""
        if me in self._late:
            return self._queue.popleft() if self._queue else None
        slow = {self._at.get(task) for task in self._late}
        for job in self._queue:
            if job.node not in slow:
                self._queue.remove(job)
                return job
        return None

    def _dismiss(self) -> None:
        """Let go of those that are done.

        Raises:
            Exception: what one of them raised.
        """
        done = {task for task in self._late if task.done()}
        self._late -= done
        for task in done:
            task.result()
