"""Carry actions out on values: what PVE would make of them, without any PVE.

It is deliberately another mind than the planner's and the simulator's: small, and wrong
in nothing that a law is about.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from qlop.executor import intent
from qlop.model.action import (
    AssignPool,
    CloneGuest,
    ConfigureGuest,
    CreateGuest,
    CreateSnapshot,
    DeleteSnapshot,
    DestroyGuest,
    MigrateGuest,
    RebootGuest,
    RegenerateCloudInit,
    ResizeDisk,
    ResumeGuest,
    RollbackSnapshot,
    ShutdownGuest,
    StartGuest,
)
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power
from qlop.model.history import Dispatched, Ending, Finished
from qlop.model.ids import ActionId, CycleId, NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, Observed, ObservedGuest, ObservedSnapshot
from qlop.model.option import DISK_BASES, base_of, canonical, change_impact
from qlop.model.owner import parse_mark
from qlop.model.plan import Plan, PlannedAction
from qlop.model.reading import Known
from qlop.model.units import GIB, MIB
from qlop.planner import planner
from qlop.planner.audit import audit
from qlop.pve.parse_config import parse_disk, parse_nic
from tests import builders as b
from tests.strategies import World

_ALLOCATION = re.compile(r"([A-Za-z0-9-]+):(\d+(?:\.\d+)?)((?:,.*)?)")
_CLOUD_INIT = re.compile(r"([A-Za-z0-9-]+):cloudinit")
IMAGE_BYTES = 2 * GIB


def after(world: World, planned: PlannedAction) -> World:
    """Return the world in which ``planned`` was done, journalled and seen."""
    attempt = world.source.history.attempts.get(planned.id, 0) + 1
    intended = intent.intended_for(planned, cycle=CycleId("c1"), attempt=attempt, at=b.NOW)
    lived = (
        intended,
        Dispatched(at=b.NOW, action=planned.id, attempt=attempt, upid=None),
        Finished(at=b.NOW, action=planned.id, attempt=attempt, ending=Ending.SUCCEEDED),
    )
    return replace(
        world,
        observed=done(world.observed, planned),
        records=(*world.records, *lived),
    )


def done(observed: Observed, planned: PlannedAction) -> Observed:
    """Return what is seen once ``planned`` is done."""
    guests = dict(observed.guests)
    vmid = planned.action.vmid
    match planned.action:
        case CreateGuest() as create:
            assert vmid not in guests, "PVE refuses a VMID that is taken"
            guests[vmid] = _created(create)
        case CloneGuest() as clone:
            assert vmid not in guests, "PVE refuses a VMID that is taken"
            guests[vmid] = _cloned(clone, guests[clone.source])
        case DestroyGuest():
            assert guests[vmid].power is Power.STOPPED, "PVE refuses to destroy what runs"
            del guests[vmid]
        case _:
            guests[vmid] = _changed(guests[vmid], planned)
    return replace(observed, guests=guests)


def _changed(guest: ObservedGuest, planned: PlannedAction) -> ObservedGuest:
    assert isinstance(guest.config, Known)
    have = guest.config.value
    match planned.action:
        case ConfigureGuest() as write:
            assert write.digest in {"", have.digest}, "PVE refuses a stale digest"
            return _configured(guest, have, write)
        case ResizeDisk(slot=slot, size_bytes=size):
            disk = have.disks[slot]
            assert size > (disk.size_bytes or 0), "PVE refuses to shrink"
            disks = {**have.disks, slot: replace(disk, size_bytes=size)}
            return _with(guest, replace(have, disks=disks))
        case RegenerateCloudInit():
            return guest
        case AssignPool(pool=pool):
            return replace(guest, pool=pool)
        case MigrateGuest(target=target):
            assert target != guest.node
            return replace(guest, node=target)
        case CreateSnapshot() | DeleteSnapshot() as snap:
            return _snapped(guest, snap)
        case _:
            return _powered(guest, have, planned)


def _powered(guest: ObservedGuest, have: GuestConfig, planned: PlannedAction) -> ObservedGuest:
    applied = _with(guest, replace(have, pending=frozenset()))
    match planned.action:
        case StartGuest():
            assert guest.power in {Power.STOPPED, Power.SUSPENDED}
            return replace(applied, power=Power.RUNNING, lock="")
        case ResumeGuest():
            assert guest.power is Power.PAUSED
            return replace(guest, power=Power.RUNNING)
        case ShutdownGuest(force_stop=force_stop):
            assert guest.power is Power.RUNNING or force_stop
            return replace(applied, power=Power.STOPPED)
        case RebootGuest():
            assert guest.power is Power.RUNNING
            return applied
        case RollbackSnapshot(start=start):
            return replace(applied, power=Power.RUNNING if start else Power.STOPPED)
        case _:
            raise AssertionError(planned)


def _snapped(guest: ObservedGuest, snap: CreateSnapshot | DeleteSnapshot) -> ObservedGuest:
    assert isinstance(guest.snapshots, Known)
    listed = guest.snapshots.value
    match snap:
        case CreateSnapshot(snapshot=name, memory=memory):
            assert all(one.name != name for one in listed), "PVE refuses a name that is taken"
            taken = ObservedSnapshot(name=name, taken_at=b.NOW, ours=True, with_memory=memory)
            return replace(guest, snapshots=Known((*listed, taken)))
        case DeleteSnapshot(snapshot=name):
            left = tuple(one for one in listed if one.name != name)
            return replace(guest, snapshots=Known(left))


def _with(guest: ObservedGuest, config: GuestConfig) -> ObservedGuest:
    return replace(guest, config=Known(_signed(guest.kind, config)))


def _signed(kind: GuestKind, config: GuestConfig) -> GuestConfig:
    """Return the configuration with the mark and witness that it shows, and a new digest."""
    description = config.options.get("description", "")
    assert isinstance(description, str)
    return replace(
        config,
        mark=parse_mark(description),
        witness=_witness(kind, config),
        digest=f"{config.digest}'" if len(config.digest) < 40 else "d",
    )


def _witness(kind: GuestKind, config: GuestConfig) -> str:
    if kind is GuestKind.VM:
        smbios = config.options.get("smbios1", {})
        return "uuid:" + ("" if isinstance(smbios, str) else smbios.get("uuid", ""))
    slots = sorted(config.nics)
    if slots:
        return f"mac:{config.nics[slots[0]].mac.lower()}"
    rootfs = config.disks.get("rootfs")
    return "" if rootfs is None else f"volume:{rootfs.volume}"


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A configuration that is being written."""

    options: dict[str, OptionValue]
    disks: dict[str, Disk]
    nics: dict[str, Nic]


def _configured(guest: ObservedGuest, have: GuestConfig, write: ConfigureGuest) -> ObservedGuest:
    draft = _Draft(options=dict(have.options), disks=dict(have.disks), nics=dict(have.nics))
    pending = set(have.pending)
    for key in write.delete:
        assert key not in draft.disks, "a disk that goes away is lost"
        draft.options.pop(key, None)
        draft.nics.pop(key, None)
    for key, text in write.set.items():
        if _put(guest, key, text, draft) is Impact.REBOOT:
            pending.add(key)
    if guest.power in {Power.STOPPED, Power.UNKNOWN}:
        pending = set(have.pending)
    written = replace(
        have,
        options=draft.options,
        disks=draft.disks,
        nics=draft.nics,
        pending=frozenset(pending),
    )
    memory = draft.options.get("memory")
    size = int(memory) * MIB if isinstance(memory, str) else guest.memory_bytes
    return replace(_with(guest, written), memory_bytes=size)


def _put(guest: ObservedGuest, key: str, text: str, draft: _Draft) -> Impact:
    """Write one value, and return what it costs the guest if it runs."""
    kind = guest.kind
    if re.fullmatch(r"net\d+", key):
        former = draft.nics.get(key)
        draft.nics[key] = _wired(kind, guest.vmid, key, text)
        old = former.properties if former is not None else None
        return change_impact(kind, key, draft.nics[key].properties, old)
    if base_of(key) in DISK_BASES[kind]:
        stored = parse_disk(kind, key, _allocated(text, guest.vmid, key))
        there = draft.disks.get(key)
        assert there is None or there.volume == stored.volume, "a volume that is replaced is lost"
        draft.disks[key] = stored
        return change_impact(kind, key, stored.properties, there.properties if there else None)
    value = canonical(kind, key, text)
    former_value = draft.options.get(key)
    draft.options[key] = value
    return change_impact(kind, key, value, former_value)


def _wired(kind: GuestKind, vmid: VmId, key: str, text: str) -> Nic:
    nic = parse_nic(kind, key, text)
    if nic.mac:
        return nic
    properties = dict(nic.properties)
    if kind is GuestKind.VM and "model" not in properties:
        properties["model"] = "virtio"
    return replace(nic, mac=f"BC:24:{vmid % 256:02X}:00:00:0{key[-1]}", properties=properties)


def _allocated(text: str, vmid: VmId, slot: str) -> str:
    """Return what PVE stores for ``STORAGE:GIB``: the volume it made, and its size."""
    if found := _CLOUD_INIT.fullmatch(text):
        return f"{found[1]}:vm-{vmid}-cloudinit,media=cdrom"
    found = _ALLOCATION.fullmatch(text)
    if found is None:
        return text
    rest = ",".join(
        part
        for part in found[3].split(",")
        if part and not part.startswith(("import-from=", "format="))
    )
    size = IMAGE_BYTES if "import-from=" in found[3] else int(float(found[2]) * GIB)
    return f"{found[1]}:vm-{vmid}-{slot},size={size}" + (f",{rest}" if rest else "")


def _created(create: CreateGuest) -> ObservedGuest:
    draft = _Draft(options={}, disks={}, nics={})
    blank = _blank(create, create.node)
    for key, text in create.params.items():
        if key not in {"ostemplate", "pool"}:
            _put(blank, key, text, draft)
    made = b.config(options=draft.options, disks=draft.disks.values(), nics=draft.nics.values())
    return replace(_with(blank, made), memory_bytes=_memory(draft.options))


def _memory(options: dict[str, OptionValue]) -> int:
    return int(str(options.get("memory", "512"))) * MIB


def _blank(action: CreateGuest | CloneGuest, node: NodeName) -> ObservedGuest:
    return replace(
        b.guest(action.vmid, kind=action.kind, node=node, name=action.subject),
        power=Power.STOPPED,
        memory_bytes=0,
    )


def _cloned(clone: CloneGuest, template: ObservedGuest) -> ObservedGuest:
    """Return the clone: the template's, but for UUID, MACs, volumes, name and notes."""
    assert isinstance(template.config, Known)
    have = template.config.value
    options = dict(have.options) | {
        "name" if clone.kind is GuestKind.VM else "hostname": clone.name,
        "description": clone.description,
    }
    if clone.kind is GuestKind.VM:
        options["smbios1"] = {"uuid": f"pves-{clone.vmid}"}
    disks = {}
    for slot, disk in have.disks.items():
        storage = clone.storage or disk.storage
        volume = f"{storage}:vm-{clone.vmid}-{slot}"
        disks[slot] = replace(disk, storage=storage, volume=volume)
    nics = {
        slot: replace(nic, mac=f"BC:24:11:EE:{clone.vmid % 256:02X}:0{slot[-1]}")
        for slot, nic in have.nics.items()
    }
    made = replace(have, options=options, disks=disks, nics=nics)
    blank = replace(_blank(clone, clone.target), pool=clone.pool)
    return replace(_with(blank, made), memory_bytes=_memory(dict(options)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One cycle of a run: the world, the plan made of it, what was done then."""

    world: World
    plan: Plan
    done: PlannedAction | None


def run(world: World, *, at_most: int) -> Iterator[Stage]:
    """Plan, do the first action, plan again, until there is nothing left to do."""
    for _ in range(at_most):
        plan = planner.plan(world.source)
        found = audit(world.source, plan)
        assert found == (), found
        done = plan.actions[0] if plan.actions else None
        yield Stage(world=world, plan=plan, done=done)
        if done is None:
            return
        world = after(world, done)
    raise AssertionError(f"not at an end after {at_most} actions: {_left(world)}")


def _left(world: World) -> list[ActionId]:
    return [planned.id for planned in planner.plan(world.source).actions]


def limit_of(world: World) -> int:
    """Return how many actions any world must have come to rest after."""
    return 12 * (len(world.desired.guests) + len(world.observed.guests)) + 5
