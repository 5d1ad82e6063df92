"""Make desired states of any size, and simulated clusters that are already there."""

import asyncio
from collections.abc import Iterator

from qlop.controller.manifests import InForce
from qlop.manifest.load import load
from qlop.model.action import CreateGuest
from qlop.model.desired import Desired
from qlop.model.guest import GuestKind
from qlop.model.history import History
from qlop.model.plan import Plan, PlanInput
from qlop.model.source import SourceFile, SourceTree
from qlop.observer.observer import Interest, Observer
from qlop.planner import planner
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import InProcessApi
from qlop.sim.world import LOCAL, LOCAL_LVM, NAS, ClusterSpec, GuestSpec, NodeSpec, root
from qlop.telemetry.clock import SystemClock

REPLICAS = 3
GUESTS_PER_NODE = 150
"""More than most run: it keeps a fleet of 10,000 on 67 nodes."""


def node_count(guests: int) -> int:
    """Return how many nodes a fleet of so many guests has."""
    return max(3, -(-guests // GUESTS_PER_NODE))


def manifests(guests: int) -> SourceTree:
    """Return manifests that want ``guests`` guests, three to a service."""
    names = [f"pve{number + 1}" for number in range(node_count(guests))]
    files = [SourceFile(path="cluster.yaml", content=_cluster(names, guests), size_bytes=0)]
    files += [
        SourceFile(path=f"services/{number // 100}/s{number}.yaml", content=text, size_bytes=0)
        for number, text in enumerate(_services(guests))
    ]
    sized = tuple(
        SourceFile(path=one.path, content=one.content, size_bytes=len(one.content))
        for one in files
    )
    return SourceTree(root="bench", files=sized)


def desired(guests: int) -> Desired:
    """Return the desired state of ``manifests``."""
    found = load(manifests(guests))
    assert found.desired is not None, found.findings[:3]
    return found.desired


def converged_spec(guests: int) -> ClusterSpec:
    """Return a cluster in which ``desired(guests)`` is true, by qlop's own plan for it."""
    wanted = desired(guests)
    plan = asyncio.run(_plan(wanted, guests))
    there = [
        GuestSpec(
            vmid=int(planned.action.vmid),
            node=planned.action.node,
            kind=planned.action.kind.value,
            running=True,
            config=dict(planned.action.params),
            used_gib=1.0,
        )
        for planned in plan.actions
        if isinstance(planned.action, CreateGuest)
    ]
    assert len(there) == guests, (len(there), next(iter(plan.verdicts.values())))
    assert all(one.kind == GuestKind.VM.value for one in there)
    return ClusterSpec(
        name="bench",
        nodes=_nodes(guests),
        storages=(LOCAL, LOCAL_LVM, NAS),
        guests=there,
        users=(root(),),
    )


def in_force(wanted: Desired) -> InForce:
    """Return a desired state as the controller holds it."""
    return InForce(desired=wanted, findings=(), is_current=True)


async def _plan(wanted: Desired, guests: int) -> Plan:
    clock = SystemClock()
    empty = ClusterSpec(
        name="bench", nodes=_nodes(guests), storages=(LOCAL, LOCAL_LVM, NAS), users=(root(),)
    )
    start = clock.now().timestamp()
    cluster = Cluster(empty, now=start - 60)
    cluster.advance(start)
    observer = Observer(InProcessApi(cluster, clock), clock)
    observed = await observer.observe(
        Interest(cluster=wanted.cluster.name, snapshots_of=frozenset())
    )
    return planner.plan(
        PlanInput(desired=wanted, observed=observed, history=History(), now=clock.now())
    )


def _nodes(guests: int) -> tuple[NodeSpec, ...]:
    return tuple(
        NodeSpec(name=f"pve{number + 1}", cores=64, memory_gib=1024)
        for number in range(node_count(guests))
    )


def _cluster(names: list[str], guests: int) -> bytes:
    return f"""\
apiVersion: qlop/v1
kind: Cluster
metadata: {{name: bench}}
spec:
  nodes: [{", ".join(names)}]
  storages: [local, local-lvm, nas]
  vmidRange: 10000-{10000 + guests + 1000}
  interval: 30s
""".encode()


def _services(guests: int) -> Iterator[bytes]:
    for number in range(-(-guests // REPLICAS)):
        replicas = min(REPLICAS, guests - number * REPLICAS)
        yield f"""\
apiVersion: qlop/v1
kind: Service
metadata: {{name: s{number}}}
spec:
  type: vm
  replicas: {replicas}
  source: {{empty: true}}
  cpu: {{cores: 2, type: x86-64-v2-AES}}
  memory: 2GiB
  scsiController: virtio-scsi-single
  disks:
    - {{slot: scsi0, storage: local-lvm, size: 8GiB, discard: true, ssd: true}}
  networks:
    - {{bridge: vmbr0, model: virtio, firewall: true}}
  tags: [bench, s{number}]
  description: Service {number} of the benchmark
""".encode()
