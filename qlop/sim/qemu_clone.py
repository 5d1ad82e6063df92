"""Clone VMs: full copies and linked clones, to this node or another."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from qlop.ports import Json
from qlop.sim import drives, grants, qemu_options, volumes
from qlop.sim.access import denied
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import World, guest_lock
from qlop.sim.state import Guest, Kind, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters

_CLONE_LOCK_WAIT_S = 1.0
"""A clone waits only a second for its source's and its target's lock file."""

_SNAPSHOT_KEYS = {
    "parent",
    "snaptime",
    "vmstate",
    "snapstate",
    "runningcpu",
    "runningmachine",
    "running-nets-host-mtu",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a clone will have: its options, and its disks with whether each is copied."""

    config: dict[str, str]
    disks: Mapping[str, str]
    copied: frozenset[str]


def clone(call: Call) -> Json:
    """Answer ``POST …/clone``."""
    world = call.world
    guest = world.guests.get(call.vmid)
    if guest is None or guest.kind is not Kind.QEMU or guest.node != call.node:
        raise ApiError(
            f"unable to find configuration file for VM {call.vmid} on node '{call.node}'"
        )
    newid = int(call.params["newid"])
    target = call.text("target")
    if target in {call.node, "localhost"}:
        target = ""
    _check_rights(call, newid)
    running = guest.is_running
    _plan(call, newid, target)
    return call.fork(
        "qmclone", call.vmid, lambda task: _clone(call, task, newid, target, running=running)
    )


def _check_rights(call: Call, newid: int) -> None:
    pool = call.text("pool")
    if pool and pool not in call.world.pools:
        raise denied(f"pool '{pool}' does not exist")
    if not call.may(f"/vms/{newid}", "VM.Allocate") and not (
        pool and call.may(f"/pool/{pool}", "VM.Allocate")
    ):
        raise denied()


def _plan(call: Call, newid: int, target: str) -> _Plan:
    world = call.world
    storage_name, snapname = call.get("storage"), call.get("snapname")
    if target and target not in world.nodes:
        raise ApiError(f"no such cluster node '{target}'")
    if storage_name is not None:
        _check_storage(call, storage_name, target)
    world.need_quorum()
    guest = call.guest()
    check_lock(guest)
    if snapname is not None and snapname not in guest.snapshots:
        raise ApiError(f"snapshot '{snapname}' does not exist")
    full = call.flag("full") if "full" in call.params else not guest.is_template
    if not full:
        for name in ("storage", "format"):
            if name in call.params:
                raise ApiError(f"parameter '{name}' not allowed for linked clones")
    section = guest.snapshots[snapname] if snapname else guest.config
    is_shared = _check_disks_access(call, section, storage_name)
    grants.check_bridges(call, section)
    if target and not is_shared:
        raise ApiError(f"can't clone VM to node '{target}' (VM uses local storage)")
    if newid in world.guests:
        raise ApiError(f"unable to create VM {newid}: config file already exists")
    return _sort(call, section, full=full, snapname=snapname)


def _check_storage(call: Call, name: str, target: str) -> None:
    storage = volumes.on_node(call.world, name, call.node)
    if "images" not in storage.content:
        raise bad_parameters({"storage": f"storage '{name}' does not support vm images"})
    if target:
        volumes.on_node(call.world, name, target)
        if not storage.shared:
            raise ApiError(f"can't clone to non-shared storage '{name}'")


def _check_disks_access(call: Call, section: Mapping[str, str], storage: str | None) -> bool:
    """Check rights on the storages involved; return whether all disks are on shared ones."""
    is_shared = True
    for key, value in section.items():
        if not drives.is_drive(key):
            continue
        file = drives.parse(value).get("file", "none")
        if ":" not in file:
            continue
        name = file.partition(":")[0]
        if drives.is_cdrom(value) and "cloudinit" not in file:
            call.demand(f"/storage/{name}", "Datastore.Audit")
            is_shared = is_shared and call.world.storages[name].shared
            continue
        entry = call.world.storages.get(name)
        is_shared = is_shared and entry is not None and entry.shared
        call.demand(f"/storage/{storage or name}", "Datastore.AllocateSpace")
    return is_shared


def _sort(call: Call, section: Mapping[str, str], *, full: bool, snapname: str | None) -> _Plan:
    world = call.world
    config: dict[str, str] = {}
    disks: dict[str, str] = {}
    copied: set[str] = set()
    for key in sorted(section):
        value = section[key]
        if key in _SNAPSHOT_KEYS or re.fullmatch(r"unused\d+", key):
            continue
        if re.fullmatch(r"net\d+", key):
            net = qemu_options.parse_net(value)
            net["macaddr"] = qemu_options.new_mac(world)
            config[key] = qemu_options.print_net(world, drives.show(net, "model"))
        elif drives.is_drive(key):
            file = drives.parse(value).get("file", "none")
            is_cloudinit = "cloudinit" in file.rpartition("/")[2]
            if drives.is_cdrom(value) and not is_cloudinit:
                config[key] = value
                continue
            disks[key] = value
            if full or is_cloudinit or key == "tpmstate0":
                copied.add(key)
            else:
                _need_linkable(call, file, key, snapname)
        else:
            config[key] = value
    return _Plan(config=config, disks=disks, copied=frozenset(copied))


def _need_linkable(call: Call, volid: str, key: str, snapname: str | None) -> None:
    volume = volumes.find(call.world, volid, call.node)
    if volume is None or not volumes.can_link(call.world, volume) or snapname:
        text = " a snapshot of" if snapname else ""
        raise ApiError(f"Linked clone feature is not supported for{text} '{volid}' ({key})")


@dataclass(slots=True, kw_only=True)
class _Made:
    """What a clone has allocated so far."""

    volumes: list[Volume] = field(default_factory=list)


def _clone(call: Call, task: Task, newid: int, target: str, *, running: bool) -> Worker:
    world = call.world
    yield from world.hold(
        task, guest_lock(call.vmid), shared=not running, wait_s=_CLONE_LOCK_WAIT_S
    )
    yield from world.hold(task, guest_lock(newid), wait_s=_CLONE_LOCK_WAIT_S)
    plan = _plan(call, newid, target)
    copy = Guest(vmid=newid, kind=Kind.QEMU, node=call.node, config={"lock": "clone"})
    world.guests[newid] = copy
    write(world, copy)
    made = _Made()
    try:
        yield from _copy_disks(call, task, plan, copy, made)
        _finish(call, plan, copy, target)
    except (ApiError, TaskError) as error:
        for volume in made.volumes:
            volumes.drop(world, volume)
        world.guests.pop(newid, None)
        world.vmlist_version += 1
        raise TaskError(f"clone failed: {error}") from error


def _copy_disks(call: Call, task: Task, plan: _Plan, copy: Guest, made: _Made) -> Worker:
    world, timing = call.world, call.world.spec.timing
    for key in sorted(plan.disks):
        drive = drives.parse(plan.disks[key])
        source = volumes.need(world, drive["file"], call.node)
        if key not in plan.copied:
            task.say(f"create linked clone of drive {key} ({source.volid})")
            yield timing.linked_clone_s
            volume = volumes.link(world, source, call.node, copy.vmid)
            made.volumes.append(volume)
            _say_link(world, task, source, volume)
        elif "cloudinit" in source.name:
            volume = _copy_cloudinit(call, source, copy)
            made.volumes.append(volume)
            task.say(f"create full clone of drive {key} ({source.volid})")
            task.say(volumes.format_line(world.storages[volume.storage], volume))
            yield timing.allocate_s
        else:
            task.say(f"create full clone of drive {key} ({source.volid})")
            volume = _allocate_copy(call, source, copy)
            made.volumes.append(volume)
            task.say(volumes.format_line(world.storages[volume.storage], volume))
            yield from _transfer(world, task, source, volume)
        drive["file"] = volume.volid
        if not drives.is_cdrom(plan.disks[key]) or "cloudinit" in volume.volid:
            drive["size"] = drives.size_text(volume.size_bytes)
        plan.config[key] = drives.show(drive)


def _say_link(world: World, task: Task, base: Volume, volume: Volume) -> None:
    storage = world.storages[base.storage]
    last = volume.name.rpartition("/")[2]
    if not storage.has_files:
        task.say(f'  Logical volume "{last}" created.')
        return
    backing = f"../{base.name}"
    task.say(f"clone {base.name}: images, {last}, {volume.vmid} to {last} (base={backing})")
    task.say(volumes.format_line(storage, volume, backing))


def _target_storage(call: Call, source: Volume) -> str:
    return call.get("storage") or source.storage


def _copy_cloudinit(call: Call, source: Volume, copy: Guest) -> Volume:
    world = call.world
    storage = volumes.on_node(world, _target_storage(call, source), call.node)
    return volumes.allocate(
        world,
        storage=storage,
        node=call.node,
        vmid=copy.vmid,
        size=source.size_bytes,
        format_="qcow2" if storage.has_files else "raw",
        name="cloudinit",
    )


def _allocate_copy(call: Call, source: Volume, copy: Guest) -> Volume:
    world = call.world
    storage = volumes.on_node(world, _target_storage(call, source), call.node)
    format_ = call.get("format") or (source.format if storage.has_files else "raw")
    return volumes.allocate(
        world,
        storage=storage,
        node=call.node,
        vmid=copy.vmid,
        size=source.size_bytes,
        format_=format_,
    )


def _transfer(world: World, task: Task, source: Volume, volume: Volume) -> Worker:
    """Copy in two steps, so that a copy that is interrupted is seen half done."""
    total = _gib(source.size_bytes)
    seconds = world.spec.timing.allocate_s
    seconds += world.spec.timing.copy_s_per_gib * source.used_bytes / 1024**3
    task.say(f"transferred 0.0 B of {total} (0.00%)")
    yield seconds / 2
    volumes.fill_copy(world, source, volume)
    yield seconds / 2
    task.say(f"transferred {total} of {total} (100.00%)")


def _gib(size: int) -> str:
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size}.0 B"


def _finish(call: Call, plan: _Plan, copy: Guest, target: str) -> None:
    world = call.world
    if world.guests.get(copy.vmid) is not copy:
        raise TaskError(f"Configuration file '{copy.conf_path}' does not exist")
    config = plan.config
    smbios = drives.parse(config.get("smbios1", ""), "uuid")
    smbios["uuid"] = qemu_options.new_uuid(world)
    config["smbios1"] = ",".join(f"{key}={value}" for key, value in smbios.items())
    if "vmgenid" in config:
        config["vmgenid"] = qemu_options.new_uuid(world)
    config.pop("template", None)
    config.pop("lock", None)
    source_name = config.get("name", str(call.vmid))
    config["name"] = call.get("name") or f"Copy-of-VM-{source_name}"
    if description := call.get("description"):
        config["description"] = description
    copy.config = config
    if target:
        world.changed(copy)
        copy.node = target
    write(world, copy)
    if pool := call.text("pool"):
        world.pools[pool].guests.add(copy.vmid)
        world.access.vm_pool[copy.vmid] = pool


HANDLERS: Handlers = {"POST /nodes/{node}/qemu/{vmid}/clone": clone}
