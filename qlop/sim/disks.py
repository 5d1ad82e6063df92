"""Grow and move the disks of existing guests."""

import re

from qlop.ports import Json
from qlop.sim import drives, qemu_disks, qemu_options, reassign, volumes
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import guest_lock
from qlop.sim.state import Guest, Kind, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters


def resize_vm(call: Call) -> Json:
    """Answer ``PUT …/qemu/{vmid}/resize``: most complaints come from the task."""
    call.refuse_skiplock()
    return call.fork("resize", call.vmid, lambda task: _resize_vm(call, task))


def _resize_vm(call: Call, task: Task) -> Worker:
    world = call.world
    disk, size = call.params["disk"], call.params["size"]
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if (digest := call.get("digest")) and digest != guest.digest():
        raise TaskError("checksum mismatch (file change by other user?)")
    check_lock(guest)
    if disk not in guest.config:
        raise TaskError(f"disk '{disk}' does not exist")
    drive = drives.parse(guest.config[disk])
    if not re.fullmatch(r"[^:]+:\S+", drive["file"]):
        raise TaskError(f"unable to parse volume ID '{drive['file']}'")
    if drives.is_cdrom(guest.config[disk]):
        raise TaskError("you can't resize a cdrom")
    _demand_space(call, drive["file"])
    volume = volumes.need(world, drive["file"], guest.node)
    wanted = _wanted(size, volume.size_bytes)
    if wanted < volume.size_bytes:
        raise TaskError("shrinking disks is not supported")
    if wanted == volume.size_bytes:
        return  # PVE leaves the configuration as it is, whatever size that says.
    line = f"update VM {call.vmid}: resize --disk {disk} --size {size}"
    world.note(call.node, call.who.full, line)
    yield world.spec.timing.config_s
    _check_space(call, guest, drive["file"], wanted - volume.size_bytes)
    volumes.resize(world, volume, wanted)
    if not guest.is_running:
        task.say(_resized_line(call, volume.storage))
    drive["size"] = drives.size_text(volume.size_bytes)
    guest.config[disk] = drives.show(drive)
    if guest.run is not None:
        guest.run.devices[disk] = guest.config[disk]
    write(world, guest)


def _demand_space(call: Call, volid: str) -> None:
    """Refuse to grow what the caller may not allocate; in a worker PVE writes the 403 out."""
    try:
        call.demand(f"/storage/{volid.partition(':')[0]}", "Datastore.AllocateSpace")
    except ApiError as error:
        raise TaskError(f"403 {error}") from error


def _wanted(size: str, now: int) -> int:
    if size.startswith("+"):
        return now + drives.size_bytes(size[1:])
    return drives.size_bytes(size)


def _check_space(call: Call, guest: Guest, volid: str, more: int) -> None:
    storage = call.world.storages[volid.partition(":")[0]]
    is_thick = storage.type == "lvm"
    if is_thick and volumes.free_bytes(storage, guest.node) < more:
        raise TaskError(f"error resizing volume '{volid}': insufficient free space")


def _resized_line(call: Call, storage: str) -> str:
    if call.world.storages[storage].has_files:
        return "Image resized."
    return "  Logical volume successfully resized."


def resize_ct(call: Call) -> Json:
    """Answer ``PUT …/lxc/{vmid}/resize``: what does not grow a volume is refused at once."""
    _grown_mount(call)
    return call.fork("resize", call.vmid, lambda task: _resize_ct(call, task))


def _grown_mount(call: Call) -> tuple[dict[str, str], Volume, int]:
    """Return the mount point, its volume and the size it is to have (``$load_and_check``)."""
    guest = call.guest()
    disk = call.params["disk"]
    if (digest := call.get("digest")) and digest != guest.digest():
        raise ApiError("detected modified configuration - file changed by other user? Try again.")
    check_lock(guest)
    if disk not in guest.config:
        raise ApiError(f"no such disk '{disk}'")
    mount = drives.parse(guest.config[disk])
    volume = volumes.need(call.world, mount["file"], guest.node)
    wanted = _wanted(call.params["size"], volume.size_bytes)
    if wanted < volume.size_bytes:
        raise ApiError("unable to shrink disk size")
    if wanted == volume.size_bytes:
        raise ApiError("disk is already at specified size")
    return mount, volume, wanted


def _resize_ct(call: Call, task: Task) -> Worker:
    world, disk = call.world, call.params["disk"]
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    mount, volume, wanted = _grown_mount(call)
    _check_space(call, guest, mount["file"], wanted - volume.size_bytes)
    volumes.resize(world, volume, wanted)
    task.say(_resized_line(call, volume.storage))
    mount["size"] = drives.size_text(volume.size_bytes)
    guest.config[disk] = drives.show(mount)
    write(world, guest)
    yield world.spec.timing.config_s if guest.is_running else world.spec.timing.lxc_resize_s


def move(call: Call) -> Json:
    """Answer ``POST …/move_disk`` and ``POST …/move_volume``: to a storage or a guest."""
    world = call.world
    key = call.text("disk") or call.text("volume")
    if (other := call.get("target-vmid")) is not None and call.get("storage") is not None:
        text = "either set 'storage' or 'target-vmid', but not both"
        raise bad_parameters({"target-vmid": text, "storage": text})
    if other is not None:
        return reassign.reassign(call, key, int(other))
    storage = call.get("storage")
    if storage is not None:
        call.demand(f"/storage/{storage}", "Datastore.AllocateSpace")
    guest = call.guest()
    if storage is None:
        text = "both 'storage' and 'target-vmid' missing, either needs to be set"
        raise bad_parameters({"target-vmid": text, "storage": text})
    check_lock(guest)
    if (digest := call.get("digest")) and digest != guest.digest():
        raise ApiError("detected modified configuration - file changed by other user? Try again.")
    if key not in guest.config:
        raise ApiError(f"disk '{key}' does not exist")
    old = drives.parse(guest.config[key])["file"]
    if drives.is_cdrom(guest.config[key]) and "cloudinit" not in old:
        raise ApiError("you can't move a cdrom")
    place = volumes.on_node(world, storage or old.partition(":")[0], call.node)
    volume = volumes.need(world, old, call.node)
    format_ = call.get("format") or volume.format
    is_vm = guest.kind is Kind.QEMU
    if (
        is_vm
        and place.name == volume.storage
        and (not place.has_files or format_ == volume.format)
    ):
        raise ApiError("you can't move to the same storage with same format")
    kind = "qmmove" if guest.kind is Kind.QEMU else "move_volume"
    return call.fork(kind, call.vmid, lambda task: _move(call, task, key, place.name))


def _move(call: Call, task: Task, key: str, storage_name: str) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    if key not in guest.config:
        raise TaskError(f"disk '{key}' does not exist")
    drive = drives.parse(guest.config[key])
    source = volumes.need(world, drive["file"], call.node)
    storage = volumes.on_node(world, storage_name, call.node)
    task.say(f"create full clone of drive {key} ({source.volid})")
    copy = volumes.allocate(
        world,
        storage=storage,
        node=call.node,
        vmid=call.vmid,
        size=source.size_bytes,
        format_=call.get("format") or (source.format if storage.has_files else "raw"),
        content=source.content,
        name="cloudinit" if "cloudinit" in source.volid else "",
    )
    task.say(volumes.format_line(storage, copy))
    total = f"{source.size_bytes / 1024**3:.1f} GiB"
    task.say(f"transferred 0.0 B of {total} (0.00%)")
    try:
        yield world.spec.timing.copy_s_per_gib * source.used_bytes / 1024**3
        volumes.fill_copy(world, source, copy)
    except TaskError as error:
        volumes.drop(world, copy)
        raise TaskError(f"storage migration failed: {error}") from error
    for _ in range(2):
        task.say(f"transferred {total} of {total} (100.00%)")
    drive["file"] = copy.volid
    if not key.startswith("unused"):
        drive["size"] = drives.size_text(copy.size_bytes)
    guest.config[key] = drives.show(drive)
    if guest.run is not None:
        guest.run.devices[key] = guest.config[key]
    if call.flag("delete"):
        volumes.drop(world, source)
    else:
        if qemu_disks.is_cloudinit(source.volid):
            task.say(f"found unused cloudinit disk '{source.volid}', removing it")
        qemu_disks.add_unused(call.world, guest, source.volid)
    write(world, guest)


def cloudinit(call: Call) -> Json:
    """Answer ``GET …/cloudinit``: the options the drive holds and what is pending for it."""
    guest = call.guest()
    rows: list[Json] = []
    for key in sorted({*guest.config, *guest.cloudinit}):
        if key not in qemu_options.CLOUDINIT:
            continue
        hide = key == "cipassword"
        new, old = guest.config.get(key), guest.cloudinit.get(key)
        shown = qemu_options.HIDDEN if hide else new
        if old is None:
            rows.append({"key": key, "value": shown})
        elif not old:
            rows.append({"key": key, "pending": shown})
        elif new is None:
            rows.append({"key": key, "value": qemu_options.HIDDEN if hide else old, "delete": 1})
        else:
            before = qemu_options.HIDDEN if hide else old
            rows.append({"key": key, "value": before, "pending": shown})
    return rows


def regenerate(call: Call) -> Json:
    """Answer ``PUT …/cloudinit``: write the drive anew."""
    call.enter()
    guest = call.guest()
    check_lock(guest)
    guest.cloudinit = {}
    write(call.world, guest)
    return None


HANDLERS: Handlers = {
    "PUT /nodes/{node}/qemu/{vmid}/resize": resize_vm,
    "PUT /nodes/{node}/lxc/{vmid}/resize": resize_ct,
    "POST /nodes/{node}/qemu/{vmid}/move_disk": move,
    "POST /nodes/{node}/lxc/{vmid}/move_volume": move,
    "GET /nodes/{node}/qemu/{vmid}/cloudinit": cloudinit,
    "PUT /nodes/{node}/qemu/{vmid}/cloudinit": regenerate,
}
