"""Measure how long it takes to create a hundred guests, against what can't be beaten.

In simulated time, so the figure is the same on every machine.
"""

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from qlop.controller.cycle import CycleResult, Engine
from qlop.controller.loop import Loop
from qlop.controller.manifests import Manifests
from qlop.controller.triggers import Triggers
from qlop.executor.executor import Executor
from qlop.journal.ledger import Ledger
from qlop.journal.memory import MemoryJournal
from qlop.model.history import Finished, Intended
from qlop.model.source import SourceFile, SourceTree
from qlop.observer.observer import Observer
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import InProcessApi
from qlop.sim.world import ClusterSpec, NodeSpec, hospital
from qlop.telemetry.clock import SystemIds
from tests import virtual_time

GUESTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Makespan:
    """How long it took, in seconds of simulated time.

    ``bound_s`` is what the clones of the busiest node take, one after the other, and the
    rest of the last guest's life behind them.
    """

    guests: int
    makespan_s: float
    bound_s: float
    ratio: float
    cycles: int


class _Over(Exception):  # noqa: N818 - no error: how the group is left
    pass


class _Clock:
    """Virtual wall time, that of the running loop."""

    began = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the present instant."""
        return self.began + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, span: timedelta) -> None:
        """Wait, which takes no time."""
        await asyncio.sleep(span.total_seconds())


def measure() -> dict[str, Any]:
    """Return the figures."""
    return asdict(virtual_time.run(_measure()))


async def _measure() -> Makespan:
    clock = _Clock()
    spec = _spec()
    cluster = Cluster(spec, seed=1, now=clock.now().timestamp() - 60)
    cluster.advance(clock.now().timestamp())
    api = InProcessApi(cluster, clock)
    ledger, triggers, observer = Ledger(MemoryJournal()), Triggers(), Observer(api, clock)

    def ended(intended: Intended, _: Finished) -> None:
        observer.touch(intended.vmid)
        triggers.ring()

    executor = Executor(api=api, ledger=ledger, clock=clock, on_event=lambda _: None, on_end=ended)
    engine = Engine(
        manifests=Manifests(_manifests),
        observer=observer,
        executor=executor,
        history=ledger.history,
        clock=clock,
        ids=SystemIds(1),
        is_leading=lambda: True,
        on_event=lambda _: None,
    )
    cycles = 0

    def done(result: CycleResult, _: float) -> None:
        nonlocal cycles
        cycles += 1
        assert cycles < 10_000, [one.verdict for one in result.status.subjects if not one.is_ready]
        if result.status.ready == GUESTS:
            loop.stop()

    def broke(error: Exception) -> None:
        raise error

    loop = Loop(
        engine=engine,
        triggers=triggers,
        clock=clock,
        ids=SystemIds(2),
        on_cycle=done,
        on_error=broke,
    )
    try:
        async with asyncio.TaskGroup() as group:
            executor.resume(group)
            await loop.run()
            raise _Over  # noqa: TRY301 - out of the group, not out of the function
    except* _Over:
        pass
    took = asyncio.get_running_loop().time()
    bound = _bound(cluster)
    return Makespan(
        guests=GUESTS, makespan_s=took, bound_s=bound, ratio=took / bound, cycles=cycles
    )


def _bound(cluster: Cluster) -> float:
    """Return the least time in which the guests can come up where they came up.

    Clones on one local storage go one after the other. The guest that is cloned last on a
    node has still to be grown and started. All durations are those of the tasks that ran.
    """
    spans: dict[str, dict[str, list[float]]] = {}
    for task in cluster.world.tasks.values():
        if task.end_at is not None:
            kinds = spans.setdefault(task.node, {})
            kinds.setdefault(task.type, []).append(task.end_at - task.start_at)
    return max(
        sum(kinds["qmclone"]) + min(kinds["resize"]) + min(kinds["qmstart"])
        for kinds in spans.values()
    )


def _spec() -> ClusterSpec:
    base = hospital()
    nodes = tuple(NodeSpec(name=node.name, cores=64, memory_gib=512) for node in base.nodes)
    return ClusterSpec(
        name="bench",
        nodes=nodes,
        storages=base.storages,
        volumes=base.volumes,
        guests=base.guests,
        users=base.users,
    )


def _manifests() -> SourceTree:
    text = f"""\
apiVersion: qlop/v1
kind: Cluster
metadata: {{name: bench}}
spec:
  nodes: [pve1, pve2, pve3]
  storages: [local, local-lvm, nas]
  vmidRange: 10000-10999
---
apiVersion: qlop/v1
kind: Service
metadata: {{name: web}}
spec:
  type: vm
  replicas: {GUESTS}
  source: {{clone: {{template: debian-12-cloud, full: true, storage: local-lvm}}}}
  cpu: {{cores: 2}}
  memory: 2GiB
  disks:
    - {{slot: scsi0, size: 8GiB}}
  networks:
    - {{bridge: vmbr0}}
""".encode()
    return SourceTree(
        root="bench", files=(SourceFile(path="web.yaml", content=text, size_bytes=len(text)),)
    )
