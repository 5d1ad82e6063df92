"""The observer sees what the simulated cluster does, through the calls and parsers."""

import asyncio

from typing_extensions import override

from qlop.model.action import CloneGuest, ConfigureGuest, ShutdownGuest, StartGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import GuestName, NodeName, ServiceName, VmId
from qlop.model.observed import GuestConfig, Observed
from qlop.model.owner import OwnerMark, mark_text
from qlop.model.reading import Known, Unknown
from qlop.observer.observer import Interest, Observer
from qlop.ports import RemoteShell
from qlop.pve.calls import call_for
from qlop.sim import script, world
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import InProcessApi
from tests.observer.cluster import EPOCH, LAB, NOTHING, VirtualClock

WEB, VMID, NODE = GuestName("web"), VmId(10000), NodeName("pve1")
TEMPLATE = VmId(9001)
MARK = OwnerMark(
    cluster=LAB, service=ServiceName("web"), index=1, vmid=VMID, witness="uuid:to-be-sealed"
)


class Files(RemoteShell):
    """Prints the two files of the simulated cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @override
    async def run(self, command: str, *, timeout_s: float) -> str:
        del command, timeout_s
        return self._cluster.version_text() + self._cluster.vmlist_text()


class Scene:
    """A simulated cluster and an observer of it."""

    def __init__(self, *, ssh: bool = False) -> None:
        self.clock = VirtualClock()
        self.cluster = Cluster(world.hospital(), now=EPOCH.timestamp())
        self.api = InProcessApi(self.cluster, self.clock)
        shell = Files(self.cluster) if ssh else None
        self.eyes = Observer(self.api, self.clock, shell=shell)

    async def look(self, interest: Interest = NOTHING) -> Observed:
        return await self.eyes.observe(interest)

    async def clone(self) -> None:
        clone = CloneGuest(
            subject=WEB,
            vmid=VMID,
            kind=GuestKind.VM,
            node=NODE,
            source=TEMPLATE,
            target=NODE,
            full=True,
            name="web",
            description=mark_text(MARK),
        )
        await self.api.call(call_for(clone))

    def do(self, command: str) -> None:
        script.do(self.cluster, command, self.clock.now().timestamp())


def config_of(observed: Observed) -> GuestConfig:
    reading = observed.guests[VMID].config
    assert isinstance(reading, Known), reading
    return reading.value


def node_of_template(observed: Observed) -> NodeName:
    return observed.guests[TEMPLATE].node


async def test_a_clone_is_seen_from_its_first_moment_to_its_last() -> None:
    scene = Scene()
    first = await scene.look()
    await scene.clone()
    await asyncio.sleep(1)

    begun = await scene.look()
    await asyncio.sleep(600)
    done = await scene.look()

    assert node_of_template(first) == NODE
    assert (begun.guests[VMID].lock, config_of(begun).mark) == ("clone", None)
    assert [task.verb for task in begun.tasks if not task.exit_status] == ["qmclone"]
    assert (done.guests[VMID].lock, config_of(done).mark) == ("", MARK)
    assert done.guests[VMID].name == "web"
    assert config_of(done).witness.startswith("uuid:")
    assert done.complete


async def test_start_change_and_shutdown_are_seen_at_once_after_a_touch() -> None:
    scene = Scene()
    await scene.look()
    await scene.clone()
    await asyncio.sleep(600)
    stopped = await scene.look()

    start = StartGuest(subject=WEB, vmid=VMID, kind=GuestKind.VM, node=NODE)
    await scene.api.call(call_for(start))
    await asyncio.sleep(8)
    scene.eyes.touch(VMID)
    started = await scene.look()
    change = ConfigureGuest(
        subject=WEB,
        vmid=VMID,
        kind=GuestKind.VM,
        node=NODE,
        digest=config_of(started).digest,
        set={"memory": "4096"},
    )
    await scene.api.call(call_for(change))
    changed = await scene.look()
    stop = ShutdownGuest(
        subject=WEB, vmid=VMID, kind=GuestKind.VM, node=NODE, grace_s=60, force_stop=True
    )
    await scene.api.call(call_for(stop))
    await asyncio.sleep(90)
    scene.eyes.touch(VMID)
    ended = await scene.look()

    assert stopped.guests[VMID].power is Power.STOPPED
    assert started.guests[VMID].power is Power.RUNNING
    assert config_of(changed).options["memory"] == "4096"
    assert config_of(changed).pending == {"memory"}
    assert ended.guests[VMID].power is Power.STOPPED
    assert config_of(ended).pending == frozenset()


async def test_without_quorum_the_listing_is_not_complete() -> None:
    scene = Scene()
    await scene.look()
    scene.do("node pve2 down")
    scene.do("node pve3 down")
    await asyncio.sleep(60)

    seen = await scene.look()

    assert seen.quorate == Known(value=False)
    assert not seen.complete


async def test_guests_of_a_dead_node_do_nobody_knows_what() -> None:
    scene = Scene()
    await scene.look()
    scene.do("node pve2 down")
    await asyncio.sleep(60)

    seen = await scene.look()

    assert seen.complete
    assert not seen.nodes[NodeName("pve2")].online
    there = [guest for guest in seen.guests.values() if guest.node == "pve2"]
    assert [guest.power for guest in there] == [Power.UNKNOWN] * len(there) != []


async def test_an_edit_by_hand_is_seen_with_the_key_and_not_without() -> None:
    seen = {}
    for ssh in (True, False):
        scene = Scene(ssh=ssh)
        await scene.look()
        scene.do(f"guest {TEMPLATE} set cores=7")
        observed = await scene.look()
        reading = observed.guests[TEMPLATE].config
        assert not isinstance(reading, Unknown)
        assert isinstance(reading, Known)
        seen[ssh] = reading.value.options.get("cores")

    assert seen[True] == "7"
    assert seen[False] != "7"
