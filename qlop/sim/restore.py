"""Make guests from archives."""

import re

from qlop.ports import Json
from qlop.sim import drives, lxc_options, power, qemu_options, volume_access, volumes
from qlop.sim.call import Call, write
from qlop.sim.conffile import parse
from qlop.sim.engine import World, guest_lock
from qlop.sim.state import Guest, Kind, Os, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError

_RESTORE_LOCK_WAIT_S = 5.0


def qemu(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/qemu`` with an archive."""
    return _restore(call, Kind.QEMU, call.params["archive"])


def lxc(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/lxc`` with ``restore=1``."""
    return _restore(call, Kind.LXC, call.params["ostemplate"])


def _restore(call: Call, kind: Kind, archive: str) -> Json:
    world, vmid = call.world, call.vmid
    name = "VM" if kind is Kind.QEMU else "CT"
    taken = world.guests.get(vmid)
    if archive == "-":
        raise ApiError("pipe requires cli environment")
    volume_access.check(call, archive, vmid, "backup")
    volume = volumes.need(world, archive, call.node)
    if taken is not None:
        if not call.flag("force"):
            raise ApiError(
                f"unable to restore {name} {vmid} - {name} {vmid} already exists on node "
                f"'{taken.node}'"
            )
        try:
            world.enter(guest_lock(vmid), call.waited_s, wait_s=_RESTORE_LOCK_WAIT_S)
        except ApiError as error:
            raise ApiError(f"unable to restore {name} {vmid} - {error}") from error
        if taken.is_running:
            raise ApiError(f"unable to restore {name} {vmid} - vm is running")
    task_kind = "qmrestore" if kind is Kind.QEMU else "vzrestore"
    return call.fork(task_kind, vmid, lambda task: _unpack(call, task, kind, volume))


def _unpack(call: Call, task: Task, kind: Kind, archive: Volume) -> Worker:
    world, vmid = call.world, call.vmid
    yield from world.hold(task, guest_lock(vmid))
    old = world.guests.get(vmid)
    config = parse(archive.config)[0]
    guest = Guest(vmid=vmid, kind=kind, node=call.node, config={"lock": "create"})
    world.guests[vmid] = guest
    write(world, guest)
    if call.flag("live-restore"):
        task.say(
            "error before or during data restore, some or all disks were not completely "
            f"restored. VM {vmid} state is NOT cleaned up."
        )
        guest.config = {}
        world.wrote(guest)
        raise TaskError(
            "live-restore is only compatible with backup images from a Proxmox Backup Server"
        )
    if old is not None:
        for volume in list(volumes.of_guest(world, vmid)):
            if volume.node in {"", call.node}:
                volumes.drop(world, volume)
    for key in sorted(config):
        if drives.is_cdrom(config[key]) and "cloudinit" not in config[key]:
            continue
        if drives.is_drive(key) or drives.is_mount(key):
            config[key] = _restore_disk(call, task, archive, config[key], kind)
    yield world.spec.timing.backup_s_per_gib * archive.used_bytes * 2 / 1024**3 + 0.5
    _finish(call, guest, config, archive)


def _restore_disk(call: Call, task: Task, archive: Volume, value: str, kind: Kind) -> str:
    world = call.world
    drive = drives.parse(value)
    name = call.get("storage") or drive["file"].partition(":")[0]
    storage = volumes.on_node(world, name, call.node)
    is_cloudinit = "cloudinit" in drive["file"]
    format_ = "qcow2" if drive["file"].endswith(".qcow2") else "raw"
    volume = volumes.allocate(
        world,
        storage=storage,
        node=call.node,
        vmid=call.vmid,
        size=drives.size_bytes(drive.get("size", "4M")),
        format_=format_,
        name="cloudinit" if is_cloudinit else "",
        content="images" if kind is Kind.QEMU else "rootdir",
    )
    task.say(volumes.format_line(storage, volume))
    if not is_cloudinit:
        volumes.take(world, volume, archive.used_bytes * 2)
        volume.os = archive.os if archive.os is not Os.NONE else volume.os
    drive["file"] = volume.volid
    return drives.show(drive)


def _finish(call: Call, guest: Guest, config: dict[str, str], archive: Volume) -> None:
    world = call.world
    del archive
    ours = {
        "vmid",
        "node",
        "archive",
        "force",
        "unique",
        "storage",
        "start",
        "live-restore",
        "bwlimit",
        "pool",
    }
    ours |= {"ostemplate", "restore", "password", "ssh-public-keys", "ignore-unpack-errors"}
    if call.flag("unique"):
        for key in list(config):
            if re.fullmatch(r"net\d+", key):
                config[key] = _new_mac(world, guest.kind, config[key])
        if guest.kind is Kind.QEMU:
            config["smbios1"] = f"uuid={qemu_options.new_uuid(world)}"
    if guest.kind is Kind.QEMU and "vmgenid" in config:
        config["vmgenid"] = qemu_options.new_uuid(world)
    config.pop("template", None)
    config.update({key: value for key, value in call.params.items() if key not in ours})
    guest.config = config
    write(world, guest)
    if pool := call.text("pool"):
        world.pools[pool].guests.add(guest.vmid)
        world.access.vm_pool[guest.vmid] = pool
    if call.flag("start"):
        power.autostart(world, guest, call.who.full)


def _new_mac(world: World, kind: Kind, value: str) -> str:
    if kind is Kind.QEMU:
        net = qemu_options.parse_net(value)
        net["macaddr"] = qemu_options.new_mac(world)
        return qemu_options.print_net(world, drives.show(net, "model"))
    parts = [part for part in value.split(",") if not part.startswith("hwaddr=")]
    return lxc_options.print_net(world, ",".join(parts))
