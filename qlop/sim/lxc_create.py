"""Create, template and destroy containers."""

import re

from qlop.ports import Json
from qlop.sim import (
    drives,
    grants,
    lxc_options,
    lxc_pending,
    power,
    qemu_create,
    qemu_options,
    restore,
    ssh_keys,
    tags,
    volume_access,
    volumes,
)
from qlop.sim.access import denied
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import guest_lock
from qlop.sim.state import Guest, Kind, Storage, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters

_NOT_CONFIG = {
    "vmid",
    "node",
    "ostemplate",
    "bwlimit",
    "force",
    "ignore-unpack-errors",
    "password",
    "pool",
    "restore",
    "ssh-public-keys",
    "start",
    "storage",
    "unique",
    "ha-managed",
    "unprivileged",
}


def create(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/lxc``."""
    world, vmid = call.world, call.vmid
    world.need_quorum()
    _refuse_taken(call)
    if "ssh-public-keys" in call.params:
        ssh_keys.check_lines(call.params["ssh-public-keys"])
    pool = call.text("pool")
    _demand_allocate(call, pool)
    if call.flag("restore"):
        return restore.lxc(call)
    is_unprivileged = call.text("unprivileged", "1") == "1"
    given = {key: value for key, value in call.params.items() if key not in _NOT_CONFIG}
    storage = call.text("storage", "local")
    for option in [name for name in given if drives.is_mount(name)]:
        if re.fullmatch(r"\d+(\.\d+)?", given[option]):
            given[option] = f"{storage}:{given[option]}"
    mounts = [option for option in given if drives.is_mount(option)]
    lxc_options.check_permissions(call, given, given, unprivileged=is_unprivileged, pool=pool)
    for option in mounts:
        _check_mount_access(call, given[option])
    grants.check_new_container(call, given, unprivileged=is_unprivileged)
    volume_access.check(call, call.params["ostemplate"], vmid, "vztmpl")
    if mounts and "rootfs" not in given:
        raise ApiError("mount points configured, but 'rootfs' not set - aborting")
    for option in mounts:
        _check_mount(call, given[option])
    if "rootfs" not in given:
        check_rootdir(call, storage)
        given["rootfs"] = f"{storage}:4"
    guest = Guest(vmid=vmid, kind=Kind.LXC, node=call.node, config={"lock": "create"})
    world.guests[vmid] = guest
    write(world, guest)
    return call.fork(
        "vzcreate",
        vmid,
        lambda task: _create(call, task, given, is_unprivileged=is_unprivileged),
    )


def _refuse_taken(call: Call) -> None:
    taken = call.world.guests.get(call.vmid)
    if taken is not None and not (call.flag("restore") and call.flag("force")):
        name = "VM" if taken.kind is Kind.QEMU else "CT"
        raise ApiError(f"{name} {call.vmid} already exists on node '{taken.node}'")


def _demand_allocate(call: Call, pool: str) -> None:
    if pool and pool not in call.world.pools:
        raise denied(f"pool '{pool}' does not exist")
    if not call.may(f"/vms/{call.vmid}", "VM.Allocate") and not (
        pool and call.may(f"/pool/{pool}", "VM.Allocate")
    ):
        raise denied()


def _check_mount_access(call: Call, value: str) -> None:
    """Refuse mounts that are root's alone, and volumes of others.

    After ``check_ct_modify_config_perm`` (pve-container, ``PVE/LXC.pm``).
    """
    volid = drives.parse(value).get("file", "")
    if volid.startswith("/"):
        kind = "device" if volid.startswith("/dev/") else "bind"
        if not call.who.is_root:
            raise denied(f"mount point type {kind} is only allowed for root@pam")
    elif drives.new_disk(volid) is None:
        volume_access.check(call, volid, call.vmid, "rootdir")


def _check_mount(call: Call, value: str) -> None:
    volid = drives.parse(value).get("file", "")
    if volid.startswith("/"):
        if not call.who.is_root:
            raise ApiError("Only root can pass arbitrary filesystem paths.")
        return
    check_rootdir(call, volid.partition(":")[0])


def check_rootdir(call: Call, name: str) -> Storage:
    """Return a storage that may hold containers' volumes, and that the caller may use.

    Raises:
        ApiError: 400, it holds other things; 403, the caller may not; 500, it is not there.
    """
    storage = volumes.on_node(call.world, name, call.node)
    if "rootdir" not in storage.content:
        raise bad_parameters(
            {"storage": f"storage '{name}' does not support container directories"}
        )
    call.demand(f"/storage/{name}", "Datastore.AllocateSpace")
    return storage


def _create(call: Call, task: Task, given: dict[str, str], *, is_unprivileged: bool) -> Worker:
    world, vmid = call.world, call.vmid
    yield from world.hold(task, guest_lock(vmid))
    guest = call.guest()
    before = {(volume.volid, volume.node) for volume in volumes.of_guest(world, vmid)}
    config: dict[str, str] = {}
    try:
        for option in drives.mounts(given):
            config[option] = lxc_pending.create_mount(world, guest, given[option])
            _say_created(call, task, config[option])
        yield world.spec.timing.allocate_s
        template = call.params["ostemplate"]
        archive = _archive(call, task, template)
        yield from _unpack(call, task, guest, config, archive)
    except (ApiError, TaskError) as error:
        for volume in list(volumes.of_guest(world, vmid)):
            if (volume.volid, volume.node) not in before:
                volumes.drop(world, volume)
        world.guests.pop(vmid, None)
        world.vmlist_version += 1
        raise TaskError(f"unable to create CT {vmid} - {error}") from error
    guest.config = _finished(call, given, config, is_unprivileged=is_unprivileged)
    write(world, guest)
    if pool := call.text("pool"):
        world.pools[pool].guests.add(vmid)
        world.access.vm_pool[vmid] = pool
        world.access.changed()
    if call.flag("start"):
        world.let_go(task, guest_lock(vmid))
        power.autostart(world, guest, call.who.full)


def _say_created(call: Call, task: Task, value: str) -> None:
    volume = volumes.find(call.world, drives.parse(value).get("file", ""), call.node)
    if volume is None or volume.format == "subvol":
        return
    task.say(volumes.format_line(call.world.storages[volume.storage], volume))
    blocks = volume.size_bytes // 4096
    task.say(f"Creating filesystem with {blocks} 4k blocks and {blocks // 4} inodes")
    task.say(f"Filesystem UUID: {qemu_options.new_uuid(call.world)}")
    task.say("Superblock backups stored on blocks: ")
    marks = [32768 * factor for factor in (1, 3, 5, 7, 9, 25, 27) if 32768 * factor < blocks]
    task.say("\t" + ", ".join(str(mark) for mark in marks))


def _archive(call: Call, task: Task, template: str) -> Volume:
    archive = volumes.find(call.world, template, call.node)
    if archive is None:
        task.say(f"volume '{template}' does not exist")
        raise TaskError(f"volume '{template}' does not exist")
    return archive


def _unpack(
    call: Call, task: Task, guest: Guest, config: dict[str, str], archive: Volume
) -> Worker:
    world = call.world
    file = archive.name.rpartition("/")[2]
    path = world.storages[archive.storage].options.get("path", "/mnt/pve/" + archive.storage)
    task.say(f"extracting archive '{path}/template/cache/{file}'")
    yield world.spec.timing.unpack_s
    task.say(f"Total bytes read: {archive.size_bytes * 3} (412MiB, 98MiB/s)")
    task.say("Detected container architecture: amd64")
    root = volumes.find(world, drives.parse(config["rootfs"])["file"], guest.node)
    if root is not None:
        storage = world.storages[root.storage]
        more = max(0, archive.size_bytes * 3 - root.used_bytes)
        if volumes.free_bytes(storage, guest.node) < more:
            raise TaskError(volumes.no_space(storage, root.volid))
        volumes.take(world, root, more)


_SYSTEMS = ("debian", "ubuntu", "alpine", "centos", "fedora", "opensuse", "archlinux", "devuan")


def _finished(
    call: Call, given: dict[str, str], mounts: dict[str, str], *, is_unprivileged: bool
) -> dict[str, str]:
    config = {**given, **mounts}
    for option in list(config):
        if re.fullmatch(r"net\d+", option):
            config[option] = lxc_options.print_net(call.world, config[option])
    template = call.params["ostemplate"].rpartition("/")[2]
    system = next((name for name in _SYSTEMS if name in template), "unmanaged")
    config.setdefault("ostype", system)
    config.setdefault("arch", "amd64")
    config.setdefault("hostname", f"CT{call.vmid}")
    config.setdefault("memory", "512")
    config.setdefault("swap", "512")
    if is_unprivileged:
        config["unprivileged"] = "1"
    if "tags" in config:
        config["tags"] = tags.unique(call.world, config["tags"])
    return config


def destroy(call: Call) -> Json:
    """Answer ``DELETE /nodes/{node}/lxc/{vmid}``."""
    guest = call.guest()
    qemu_create.check_destroyable(call, guest)
    check_lock(guest)
    if guest.is_running and not call.flag("force"):
        raise ApiError(f"unable to destroy CT {call.vmid} - container is running")
    return call.fork("vzdestroy", call.vmid, lambda task: _destroy(call, task))


def _destroy(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    if guest.is_running:
        if not call.flag("force"):
            raise TaskError(f"unable to destroy CT {call.vmid} - container is running")
        yield world.spec.timing.stop_s
        power.kill(world, guest)
    qemu_create.refuse_used_base(call, guest)
    if call.flag("purge"):
        qemu_create.purge(call, task, guest)
    yield world.spec.timing.destroy_s
    if not world.is_quorate():
        write(world, guest)
    qemu_create.remove(call, guest)


def make_template(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/lxc/{vmid}/template``: a worker does it; no UPID is told."""
    call.enter()
    guest = call.guest()
    check_lock(guest)
    if guest.snapshots:
        raise ApiError("unable to create template, because CT contains snapshots")
    if guest.is_template:
        raise ApiError("you can't convert a template to a template")
    if guest.is_running:
        raise ApiError("you can't convert a CT to template if the CT is running")
    call.fork("vztemplate", call.vmid, lambda _: _make_template(call, guest))
    return None


def _make_template(call: Call, guest: Guest) -> Worker:
    yield call.world.spec.timing.config_s
    qemu_create.turn_into_template(call, guest)


HANDLERS: Handlers = {
    "POST /nodes/{node}/lxc": create,
    "DELETE /nodes/{node}/lxc/{vmid}": destroy,
    "POST /nodes/{node}/lxc/{vmid}/template": make_template,
}
