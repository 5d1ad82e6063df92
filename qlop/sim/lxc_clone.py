"""Clone containers: full copies and linked clones, to this node or another."""

import re

from qlop.ports import Json
from qlop.sim import drives, lxc_create, lxc_options, qemu_options, volumes
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import World, guest_lock
from qlop.sim.state import Guest, Kind, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError


def clone(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/lxc/{vmid}/clone``."""
    world = call.world
    newid = int(call.params["newid"])
    target = call.text("target")
    if target in {call.node, "localhost"}:
        target = ""
    if target and target not in world.nodes:
        raise ApiError(f"no such cluster node '{target}'")
    if not call.may(f"/vms/{newid}", "VM.Allocate"):
        call.demand(f"/vms/{newid}", "VM.Allocate")
    world.need_quorum()
    guest = call.guest()
    if newid in world.guests:
        taken = world.guests[newid]
        name = "VM" if taken.kind is Kind.QEMU else "CT"
        raise ApiError(f"{name} {newid} already exists on node '{taken.node}'")
    check_lock(guest)
    section, full = _clone_source(call, guest)
    if target and not _is_shared(call, section):
        raise ApiError(f"can't clone CT to node '{target}' (CT uses local storage)")
    if (storage := call.get("storage")) is not None:
        lxc_create.check_rootdir(call, storage)
    copy = Guest(vmid=newid, kind=Kind.LXC, node=call.node, config={"lock": "create"})
    world.guests[newid] = copy
    write(world, copy)
    return call.fork(
        "vzclone",
        call.vmid,
        lambda task: _clone(call, task, dict(section), copy, target, full=full),
    )


def _clone_source(call: Call, guest: Guest) -> tuple[dict[str, str], bool]:
    snapname = call.get("snapname")
    if snapname is not None and snapname not in guest.snapshots:
        raise ApiError(f"snapshot '{snapname}' does not exist")
    section = guest.snapshots[snapname] if snapname else guest.config
    full = call.flag("full") if "full" in call.params else not guest.is_template
    if not full and "storage" in call.params:
        raise ApiError("parameter 'storage' not allowed for linked clones")
    for key, value in section.items():
        if not drives.is_mount(key):
            continue
        volid = drives.parse(value).get("file", "")
        volume = volumes.find(call.world, volid, call.node)
        if full and guest.is_running and not snapname:
            raise ApiError("Full clone of a running container is only possible from a snapshot")
        if not full and (volume is None or not volumes.can_link(call.world, volume)):
            raise ApiError(f"Linked clone feature for '{volid}' is not available")
        call.demand(
            f"/storage/{call.text('storage', volid.partition(':')[0])}",
            "Datastore.AllocateSpace",
        )
    return section, full


def _is_shared(call: Call, section: dict[str, str]) -> bool:
    names = [
        drives.parse(value).get("file", "").partition(":")[0]
        for key, value in section.items()
        if drives.is_mount(key)
    ]
    return all(call.world.storages[name].shared for name in names if name in call.world.storages)


def _own_config(world: World, section: dict[str, str]) -> dict[str, str]:
    """Return what a clone takes over, with network addresses of its own."""
    config: dict[str, str] = {}
    for key, value in sorted(section.items()):
        if key in {"parent", "snaptime", "lock", "template"} or key.startswith("unused"):
            continue
        config[key] = value
        if re.fullmatch(r"net\d+", key):
            net = drives.parse(value, "name")
            net["hwaddr"] = qemu_options.new_mac(world)
            config[key] = lxc_options.print_net(world, drives.show(net, "none"))
    return config


def _clone(
    call: Call, task: Task, section: dict[str, str], copy: Guest, target: str, *, full: bool
) -> Worker:
    world, timing = call.world, call.world.spec.timing
    made: list[Volume] = []
    yield from world.hold(task, guest_lock(call.vmid), shared=True)
    config = _own_config(world, section)
    try:
        for key in [key for key in config if drives.is_mount(key)]:
            mount = drives.parse(config[key])
            source = volumes.need(world, mount["file"], call.node)
            volume = _copy(call, task, key, source, copy, full=full)
            made.append(volume)
            yield timing.allocate_s
            if full:
                yield timing.copy_s_per_gib * source.used_bytes / 1024**3
                volumes.fill_copy(world, source, volume)
            mount["file"] = volume.volid
            config[key] = drives.show(mount)
    except (ApiError, TaskError) as error:
        for volume in made:
            volumes.drop(world, volume)
        world.guests.pop(copy.vmid, None)
        world.vmlist_version += 1
        raise TaskError(f"clone failed: {error}") from error
    if hostname := call.get("hostname"):
        config["hostname"] = hostname
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


def _copy(call: Call, task: Task, key: str, source: Volume, copy: Guest, *, full: bool) -> Volume:
    world = call.world
    if not full:
        task.say(f"create linked clone of mountpoint {key} ({source.volid})")
        return volumes.link(world, source, call.node, copy.vmid)
    task.say(f"create full clone of mountpoint {key} ({source.volid})")
    storage = volumes.on_node(world, call.text("storage", source.storage), call.node)
    volume = volumes.allocate(
        world,
        storage=storage,
        node=call.node,
        vmid=copy.vmid,
        size=source.size_bytes,
        format_=source.format if storage.has_files else "",
        content="rootdir",
    )
    task.say(volumes.format_line(storage, volume))
    return volume


HANDLERS: Handlers = {"POST /nodes/{node}/lxc/{vmid}/clone": clone}
