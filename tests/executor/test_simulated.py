"""Every action of both kinds of guest against the simulated cluster, whole and cut.

The toy cluster of the other tests does what the executor expects; the simulator does what
PVE does: locks, pending changes, real task texts, the gap in a reboot.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from qlop.journal.memory import MemoryJournal
from qlop.model import action as act
from qlop.model.action import Action, MigrationMode, Verb
from qlop.model.guest import GuestKind
from qlop.model.history import Ending
from qlop.model.ids import ClusterName, PoolId, ServiceName, StorageId, Upid, VmId
from qlop.model.owner import OwnerMark, signed_description
from qlop.model.plan import PlannedAction, Premise
from qlop.ports import Json, Method, PveCall
from qlop.pve import calls
from qlop.sim.cluster import Cluster
from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.inprocess import InProcessApi
from qlop.sim.world import GuestSpec, hospital
from tests.executor.house import SUCCEEDED, House, said
from tests.executor.planned import CREATING, NODE, action_of, planned
from tests.executor.toy import EPOCH, Killed, VirtualClock, now_s

VM, CT = GuestKind.VM, GuestKind.CONTAINER
VMID = VmId(110)
UUID, MAC = "11111111-2222-5333-8444-555555555555", "02:11:22:33:44:55"
MARKS = {
    kind: OwnerMark(
        cluster=ClusterName("hospital"),
        service=ServiceName("web"),
        index=0,
        vmid=VMID,
        witness=witness,
    )
    for kind, witness in {VM: f"uuid:{UUID}", CT: f"mac:{MAC.lower()}"}.items()
}
NOTES = {kind: signed_description("", mark) for kind, mark in MARKS.items()}
CONFIGS = {
    VM: {
        "name": "web",
        "memory": "1024",
        "scsihw": "virtio-scsi-single",
        "scsi0": "nas:4,format=qcow2",
        "scsi1": "nas:1,format=qcow2",
        "ide2": "nas:cloudinit",
        "agent": "1",
        "smbios1": f"uuid={UUID}",
        "description": NOTES[VM],
    },
    CT: {
        "hostname": "web",
        "memory": "512",
        "ostype": "debian",
        "unprivileged": "1",
        "rootfs": "local-lvm:4",
        "mp0": "local-lvm:1,mp=/srv",
        "net0": f"name=eth0,bridge=vmbr0,hwaddr={MAC},ip=dhcp",
        "description": NOTES[CT],
    },
}
RUNNING = frozenset({Verb.RESUME, Verb.SHUTDOWN, Verb.REBOOT, Verb.MIGRATE})
NOT_OF_CONTAINERS = frozenset({Verb.RESUME, Verb.REGENERATE})
CASES = [
    pytest.param(kind, verb, id=f"{kind.value}-{verb.value}")
    for kind in GuestKind
    for verb in Verb
    if kind is VM or verb not in NOT_OF_CONTAINERS
]


@dataclass(slots=True)
class Simulated:
    """A simulated cluster in which ``planned`` may be carried out, and a way to kill."""

    cluster: Cluster
    api: InProcessApi
    planned: PlannedAction
    death: str = ""
    answered: list[PveCall] = field(default_factory=list)
    upids: list[Upid] = field(default_factory=list)

    async def call(self, call: PveCall) -> Json:
        if self.death == "sending" and call.is_mutation:
            raise Killed
        answer = await self.api.call(call)
        if call.is_mutation:
            self.answered.append(call)
            self.upids += [Upid(answer)] if isinstance(answer, str) else []
        polled = call.route.endswith("{upid}/status")
        if (self.death == "sent" and call.is_mutation) or (self.death == "awaiting" and polled):
            raise Killed
        return answer


async def simulated(kind: GuestKind, verb: Verb) -> Simulated:
    source = GuestSpec(vmid=9100, node="pve1", kind="lxc", config=CONFIGS[CT] | {"template": "1"})
    guest = GuestSpec(
        vmid=110, node="pve1", kind=kind.value, running=verb in RUNNING, config=CONFIGS[kind]
    )
    spec = hospital()
    heir = GuestSpec(vmid=111, node="pve1", kind=kind.value, config=heir_config(kind))
    there = (guest, heir) if verb is Verb.HAND_OVER else () if verb in CREATING else (guest,)
    guests = (*spec.guests, source, *there)
    spec = replace(spec, guests=guests, pools=("ward",))
    cluster = Cluster(spec, now=EPOCH.timestamp())
    api = InProcessApi(cluster, VirtualClock())
    await asyncio.sleep(30)
    digest = await prepared(api, kind, verb)
    action = specialized(action_of(verb), kind, digest)
    premise = planned(verb).premise
    if premise is not None:
        beside = premise.beside and replace(
            premise.beside, kind=kind, mark=heir_mark(kind), witness=heir_mark(kind).witness
        )
        premise = Premise(
            mark=MARKS[kind],
            witness=MARKS[kind].witness,
            power=premise.power,
            beside=beside or None,
        )
    wish = replace(planned(verb), action=action, premise=premise)
    if verb in CREATING:
        wish = replace(wish, witness=MARKS[kind].witness)
    api.calls.clear()
    return Simulated(cluster, api, wish)


def heir_mark(kind: GuestKind) -> OwnerMark:
    """The mark of the guest that is handed a disk."""
    witness = MARKS[kind].witness[:-1] + "6"
    return replace(MARKS[kind], vmid=VmId(111), generation=1, witness=witness)


def heir_config(kind: GuestKind) -> dict[str, str]:
    """A guest like the other, without its second disk."""
    config = {key: value for key, value in CONFIGS[kind].items() if key not in {"scsi1", "mp0"}}
    config["description"] = signed_description("", heir_mark(kind))
    if kind is VM:
        return config | {"smbios1": f"uuid={UUID[:-1]}6"}
    return config | {"net0": f"name=eth0,bridge=vmbr0,hwaddr={MAC[:-1]}6,ip=dhcp"}


async def prepared(api: InProcessApi, kind: GuestKind, verb: Verb) -> str:
    """Bring the guest into the state that the verb is for; return its digest."""
    if verb in CREATING:
        return ""
    if verb is Verb.RESUME:
        await api.call(on_guest(kind, Method.POST, "/status/suspend"))
    if verb in {Verb.DELETE_SNAPSHOT, Verb.ROLLBACK}:
        await api.call(on_guest(kind, Method.POST, "/snapshot", snapname="old"))
    await asyncio.sleep(30)
    config = await api.call(calls.guest_config(kind, NODE, VMID))
    assert isinstance(config, dict)
    return str(config["digest"])


def on_guest(kind: GuestKind, method: Method, suffix: str, **params: str) -> PveCall:
    route = f"/nodes/{{node}}/{kind.value}/{{vmid}}{suffix}"
    return PveCall(method=method, route=route, at={"node": "pve1", "vmid": 110}, params=params)


def specialized(action: Action, kind: GuestKind, digest: str) -> Action:
    action = replace(action, kind=kind)
    match action:
        case act.CreateGuest():
            params = dict(CONFIGS[kind])
            if kind is CT:
                params["ostemplate"] = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
            return replace(action, params=params)
        case act.CloneGuest():
            # A container's volumes are local: it can't be cloned to another node.
            source, target = (9000, action.target) if kind is VM else (9100, NODE)
            storage = None if kind is VM else StorageId("local-lvm")
            return replace(
                action,
                source=VmId(source),
                target=target,
                storage=storage,
                description=NOTES[kind],
            )
        case act.ConfigureGuest():
            return replace(action, digest=digest, set={"memory": "2048"})
        case act.ReplaceGuest():
            mark = replace(MARKS[kind], yields=action.build, carries=action.carries)
            writes = {"description": signed_description("", mark)}
            return replace(action, digest=digest, writes=writes)
        case act.HandOverDisk():
            return replace(action, digest=digest, slot="scsi1" if kind is VM else "mp0")
        case act.ResizeDisk():
            slot = "scsi0" if kind is VM else "rootfs"
            return replace(action, digest=digest, slot=slot, size_bytes=8 << 30)
        case act.MigrateGuest() if kind is CT:
            return replace(action, mode=MigrationMode.RESTART)
        case act.AssignPool():
            return replace(action, pool=PoolId("ward"))
        case _:
            return action


def mutations(world: Simulated) -> int:
    return sum(count for name, count in world.api.calls.items() if not name.startswith("GET"))


@pytest.mark.parametrize(("kind", "verb"), CASES)
async def test_every_action_arrives(kind: GuestKind, verb: Verb) -> None:
    world = await simulated(kind, verb)

    end = await House(world).carry_out(world.planned)

    assert said(end) == SUCCEEDED
    assert mutations(world) == 1


async def live_again(world: Simulated, journal: MemoryJournal) -> House:
    """Start a new life that settles by what reached the cluster, and plans again if nothing."""
    house = House(world, MemoryJournal(journal.records()))
    async with house.living():
        for _ in range(3):
            await asyncio.sleep(5)
            for left in house.ledger.history().inflight.values():
                if left.ambiguous:
                    house.executor.settle(
                        left.intended.action,
                        left.intended.attempt,
                        Ending.SUCCEEDED if world.answered else Ending.FAILED,
                        "seen",
                        upid=world.upids[0] if world.upids else None,
                    )
            if not mutations(world):
                house.start(world.planned)
    return house


@pytest.mark.parametrize(("kind", "verb"), CASES)
@pytest.mark.parametrize("death", ["sending", "sent", "awaiting"])
async def test_every_action_survives_a_kill(kind: GuestKind, verb: Verb, death: str) -> None:
    world = await simulated(kind, verb)
    world.death = death
    first = House(world)
    with suppress(Killed):
        try:
            await first.carry_out(world.planned)
        except BaseExceptionGroup as group:
            raise Killed from group
    world.death = ""
    died = death != "awaiting" or bool(world.upids)
    assert (first.ends == []) is died

    second = await live_again(world, MemoryJournal(first.journal.records()))

    assert mutations(world) == 1
    assert second.ledger.history().inflight == {}
    assert second.ledger.history().failures == {}
    assert second.steps()[-1] == "succeeded"


@pytest.mark.parametrize(("kind", "verb"), CASES)
async def test_a_lost_answer_is_never_answered_by_a_second_mutation(
    kind: GuestKind, verb: Verb
) -> None:
    world = await simulated(kind, verb)
    routes = [f"{method} *" for method in ("POST", "PUT", "DELETE")]
    for route in routes:
        world.cluster.arm(Fault(match=Match(route=route), effect=Effect.LOSE))
    house = House(world)

    async with house.living():
        house.start(world.planned)
        await asyncio.sleep(120)
        again = house.start(world.planned)

    assert (house.steps(), again) == (["intended", "unknown"], ())
    assert mutations(world) == 1


async def test_a_node_that_is_down_for_a_while_loses_no_task() -> None:
    world = await simulated(VM, Verb.CLONE)
    house = House(world)

    async with house.living():
        began_s = now_s()
        house.start(world.planned)
        await asyncio.sleep(3)
        world.cluster.world.nodes["pve1"].proxy_up = False
        await asyncio.sleep(120)
        world.cluster.world.nodes["pve1"].proxy_up = True

    assert said(house.ends[-1]) == SUCCEEDED
    assert now_s() - began_s > 120
    assert mutations(world) == 1


async def test_a_stale_digest_changes_nothing() -> None:
    world = await simulated(VM, Verb.CONFIGURE)
    await world.api.call(on_guest(VM, Method.PUT, "/config", cores="3"))

    end = await House(world).carry_out(world.planned)

    assert (end.ending, end.error) == (Ending.FAILED, "conflict")
    assert "file change by other user" in end.message


async def test_a_vmid_that_is_taken_is_a_conflict() -> None:
    world = await simulated(VM, Verb.CREATE)
    body = {"vmid": "110", "name": "somebody"}
    await world.api.call(
        PveCall(method=Method.POST, route="/nodes/{node}/qemu", at={"node": "pve2"}, params=body)
    )
    await asyncio.sleep(5)

    end = await House(world).carry_out(world.planned)

    assert (end.ending, end.error) == (Ending.FAILED, "conflict")


async def test_a_reboot_is_done_after_the_gap_in_which_the_guest_is_stopped() -> None:
    world = await simulated(VM, Verb.REBOOT)

    await House(world).carry_out(world.planned)

    status = await world.api.call(calls.guest_status(VM, NODE, VMID))
    assert isinstance(status, dict)
    assert status["status"] == "running"
    assert isinstance(status["uptime"], int)
    assert status["uptime"] < 5
