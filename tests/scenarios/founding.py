"""Begin a story where another has ended: with a cluster that is as its manifests want it.

The cluster is brought there once, by qlop itself, and then described anew. What stories
share is that description and the journal, which are values.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from qlop.controller.cycle import CycleResult
from qlop.model.history import JournalRecord
from qlop.sim import drives, volumes
from qlop.sim.cluster import Cluster
from qlop.sim.engine import World
from qlop.sim.inprocess import InProcessApi
from qlop.sim.living import SimProber
from qlop.sim.state import Guest
from qlop.sim.world import DEFAULT_TOKEN, GIB, ClusterSpec, GuestSpec
from tests import virtual_time
from tests.scenarios import invariants
from tests.scenarios.life import Disk, Lease, Life, Shared, StoryClock, now_s
from tests.scenarios.transcript import Transcript

BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When every story begins: a Monday morning."""

_FOUNDED = BEGIN - timedelta(days=1)
_WITHIN_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A cluster that is as wanted, and the journal of how it came about."""

    spec: ClusterSpec
    records: tuple[JournalRecord, ...]
    cloudinit: Mapping[int, dict[str, str]]
    """What is on the cloud-init drives, by VMID: a description can't say it."""


_KNOWN: dict[object, Founded] = {}


def founded(spec: ClusterSpec, manifests: Mapping[str, str]) -> Founded:
    """Return ``spec`` with all that ``manifests`` want, from memory if it was made before."""
    key = (repr(spec), tuple(sorted(manifests.items())))
    if key not in _KNOWN:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            write_all(root, manifests)
            with structlog.testing.capture_logs():
                _KNOWN[key] = virtual_time.run(_found(spec, root))
    return _KNOWN[key]


def write_all(root: Path, manifests: Mapping[str, str]) -> None:
    """Write the manifests below ``root``."""
    for path, text in manifests.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def build(start: Founded, *, seed: int, began: datetime) -> Cluster:
    """Return the cluster at the beginning of a story."""
    # A minute before, so that every node has reported by then.
    cluster = Cluster(start.spec, seed=seed, now=began.timestamp() - 60)
    for vmid, options in start.cloudinit.items():
        cluster.world.guests[vmid].cloudinit = dict(options)
    cluster.advance(began.timestamp())
    return cluster


async def _found(spec: ClusterSpec, root: Path) -> Founded:
    clock = StoryClock(_FOUNDED)
    cluster = build(Founded(spec=spec, records=(), cloudinit={}), seed=7, began=_FOUNDED)
    done = asyncio.Event()
    last: list[CycleResult] = []

    def cycled(result: CycleResult) -> None:
        last[:] = [result]
        if result.status.subjects and result.status.ready == len(result.status.subjects):
            done.set()

    transcript = Transcript(now_s, str(root))
    shared = Shared(
        api=InProcessApi(cluster, clock),
        caller=DEFAULT_TOKEN.partition("=")[0],
        prober=SimProber(cluster, clock),
        shell=None,
        root=root,
        clock=clock,
        disk=Disk(),
        lease=Lease(),
        transcript=transcript,
        check=invariants.no_invariant,
        on_cycle=cycled,
    )
    life = Life("founder", shared)
    life.start()
    try:
        async with asyncio.timeout(_WITHIN_S):
            await done.wait()
    except TimeoutError:
        verdicts = [subject.verdict for subject in last[0].status.subjects if last]
        raise AssertionError(f"never founded:\n{transcript.text()}\n{verdicts}") from None
    await life.stop()
    return _described(spec, cluster.world, tuple(shared.disk.records))


def _described(spec: ClusterSpec, world: World, records: tuple[JournalRecord, ...]) -> Founded:
    before = {guest.vmid for guest in spec.guests}
    ours = [guest for vmid, guest in sorted(world.guests.items()) if vmid not in before]
    guests = tuple(_guest(world, guest) for guest in ours)
    return Founded(
        spec=replace(spec, guests=(*spec.guests, *guests)),
        records=records,
        cloudinit={guest.vmid: dict(guest.cloudinit) for guest in ours},
    )


def _guest(world: World, guest: Guest) -> GuestSpec:
    config = {key: _value(world, guest, key, value) for key, value in guest.config.items()}
    return GuestSpec(
        vmid=guest.vmid,
        node=guest.node,
        kind=guest.kind.value,
        running=guest.is_running,
        config=config,
        os=_system(world, guest),
        pool=world.access.vm_pool.get(guest.vmid, ""),
    )


def _value(world: World, guest: Guest, key: str, value: str) -> str:
    """Return an option as it was asked for when the guest was made."""
    if not (drives.is_drive(key) or drives.is_mount(key)):
        return value
    drive = drives.parse(value)
    file = drive.get("file", "")
    volume = volumes.find(world, file, guest.node)
    if volume is None or volume.vmid is None:
        return value
    drive.pop("size", None)
    if "cloudinit" in file:
        drive.pop("media", None)
        drive["file"] = f"{volume.storage}:cloudinit"
    else:
        drive["file"] = f"{volume.storage}:{volume.size_bytes / GIB:g}"
        if world.storages[volume.storage].has_files:
            drive["format"] = volume.format
    return drives.show(drive)


def _system(world: World, guest: Guest) -> str:
    key = "rootfs" if "rootfs" in guest.config else drives.boot_disk(guest.config)
    file = drives.parse(guest.config.get(key or "", "")).get("file", "")
    volume = volumes.find(world, file, guest.node)
    return volume.os.value if volume is not None else "none"
