"""Run cycles for ever: at intervals, and whenever something asks for one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.triggers import Triggers
from qlop.ports import Clock, Ids

DEFAULT_INTERVAL = timedelta(seconds=15)
"""Until a good ``Cluster`` manifest says otherwise."""

JITTER_SHARE = 0.1
"""Intervals vary by a tenth, so that several qlops don't fall into step."""

REREAD = timedelta(minutes=1)
"""How often manifests are read again although nothing said that they changed."""

MIN_GAP = timedelta(milliseconds=100)
"""Between two cycles. Finishing actions come in bursts: one look serves them all."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """The daemon's heart: ``run`` returns when ``stop`` was called.

    ``on_cycle`` is told each result and how many seconds it took; ``on_error`` each
    exception that a cycle died of. A cycle that fails changes nothing about the next.
    """

    engine: Engine
    triggers: Triggers
    clock: Clock
    ids: Ids
    on_cycle: Callable[[CycleResult, float], None]
    on_error: Callable[[Exception], None]
    act: bool = True
    interval: timedelta | None = None
    """The operator's word; None: what the ``Cluster`` manifest says."""
    _stopping: bool = False

    def stop(self) -> None:
        """Make ``run`` return as soon as the cycle under way is done."""
        self._stopping = True
        self.triggers.ring()

    async def run(self) -> None:
        """Make cycles until stopped."""
        read_at = self.clock.now()
        while not self._stopping:
            now = self.clock.now()
            reread = self.triggers.take_manifests() or now - read_at >= REREAD
            if reread:
                read_at = now
            await self._cycle(read_manifests=reread)
            if not self._stopping:
                await self.clock.sleep(MIN_GAP)
                await self.triggers.wait(self._pause())

    async def _cycle(self, *, read_manifests: bool) -> None:
        began = asyncio.get_running_loop().time()
        try:
            result = await self.engine.cycle(read_manifests=read_manifests, act=self.act)
        except Exception as error:  # noqa: BLE001  # the cycle boundary: the next one begins anew
            if read_manifests:
                self.triggers.ask_for_manifests()
            self.on_error(error)
            return
        self.on_cycle(result, asyncio.get_running_loop().time() - began)

    def _pause(self) -> timedelta:
        """Return how long to wait for a trigger: an interval, or until a backoff ends."""
        last = self.engine.last
        if last is not None and last.noted:
            return MIN_GAP
        interval = self.interval
        if interval is None and last is not None and last.source is not None:
            interval = last.source.desired.cluster.interval
        pause = (interval or DEFAULT_INTERVAL) * (1 + JITTER_SHARE * (self.ids.jitter() - 0.5) * 2)
        if last is not None and last.plan is not None and last.plan.reconsider_at is not None:
            left = last.plan.reconsider_at - self.clock.now()
            pause = max(min(pause, left), MIN_GAP)
        return pause
