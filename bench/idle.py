"""Measure what an idle cycle costs, against the bare cost of the same reads."""

import asyncio
import gc
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from typing_extensions import override

from bench import serve, worlds
from qlop.controller.cycle import Engine
from qlop.controller.manifests import Manifests
from qlop.model.history import History
from qlop.observer.observer import Observer
from qlop.planner import planner
from qlop.ports import Json, PveApi, PveCall
from qlop.pve import calls
from qlop.pve.client import ProxmoxerApi
from qlop.telemetry.clock import SystemClock, SystemIds
from qlop.telemetry.metrics import CycleOutcome, Metrics

ROUNDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What was measured for one number of guests.

    Seconds are medians; ``cpu`` is this process's, the cluster's not counted. ``bare`` is
    the same client making the same reads and throwing the answers away.
    """

    guests: int
    calls_per_cycle: float
    cycle_cpu_s: float
    bare_cpu_s: float
    cycle_wall_s: float
    bare_wall_s: float
    cpu_ratio: float
    wall_ratio: float
    plan_s: float
    first_cycle_s: float
    resident_mb: float


class _Counting(PveApi):
    """Counts the calls that go through."""

    def __init__(self, api: ProxmoxerApi) -> None:
        self._api = api
        self.count = 0

    @override
    async def call(self, call: PveCall) -> Json:
        """Pass ``call`` on."""
        self.count += 1
        return await self._api.call(call)


def measure(guests: int) -> dict[str, Any]:
    """Return the figures for ``guests`` guests."""
    with serve.serving(guests) as served:
        api = ProxmoxerApi(served.api())
        try:
            return asdict(asyncio.run(_measure(api, guests)))
        finally:
            api.close()


async def _measure(real: ProxmoxerApi, guests: int) -> Idle:
    api = _Counting(real)
    clock = SystemClock()
    history = History()
    engine = Engine(
        manifests=Manifests(lambda: worlds.manifests(guests)),
        observer=Observer(api, clock),
        executor=None,
        history=lambda: history,
        clock=clock,
        ids=SystemIds(1),
        is_leading=lambda: True,
        on_event=lambda _: None,
    )
    metrics = Metrics(version="bench")
    began = time.perf_counter()
    await engine.cycle(read_manifests=True, act=False)
    while engine.last is None or engine.last.status.ready < guests:
        result = await engine.cycle(read_manifests=False, act=False)
        if time.perf_counter() - began > serve.STARTUP_S:
            first = next(one for one in result.status.subjects if not one.is_ready)
            raise RuntimeError(f"not converged: {first}")
    first_cycle_s = time.perf_counter() - began

    async def cycle() -> None:
        result = await engine.cycle(read_manifests=False, act=False)
        metrics.cycle_finished(CycleOutcome.SUCCEEDED, 0.1)
        metrics.publish(result.status, queued=0)
        assert result.plan is not None
        assert not result.plan.actions

    async def bare() -> None:
        await asyncio.gather(
            *(
                real.call(call)
                for call in (
                    calls.resources(),
                    calls.cluster_status(),
                    calls.cluster_tasks(),
                    calls.cluster_log(),
                )
            )
        )

    gc.collect()
    before = api.count
    cycles, bares = await _paired(cycle, bare)
    source = engine.last.source
    assert source is not None
    planned = []
    for _ in range(5):
        start = time.perf_counter()
        planner.plan(source)
        planned.append(time.perf_counter() - start)
    cycle_cpu, cycle_wall = _medians(cycles)
    bare_cpu, bare_wall = _medians(bares)
    return Idle(
        guests=guests,
        calls_per_cycle=(api.count - before) / (ROUNDS + 1),
        cycle_cpu_s=cycle_cpu,
        bare_cpu_s=bare_cpu,
        cycle_wall_s=cycle_wall,
        bare_wall_s=bare_wall,
        cpu_ratio=cycle_cpu / bare_cpu,
        wall_ratio=cycle_wall / bare_wall,
        plan_s=median(planned),
        first_cycle_s=first_cycle_s,
        resident_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


_Cost = tuple[float, float]


async def _paired(
    one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]
) -> tuple[list[_Cost], list[_Cost]]:
    """Run the two in turn, after one of each that is not counted, and return their costs."""
    await _cost(one)
    await _cost(other)
    ones, others = [], []
    for _ in range(ROUNDS):
        ones.append(await _cost(one))
        others.append(await _cost(other))
    return ones, others


async def _cost(work: Callable[[], Awaitable[None]]) -> _Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _medians(costs: list[_Cost]) -> _Cost:
    return median(cpu for cpu, _ in costs), median(wall for _, wall in costs)
