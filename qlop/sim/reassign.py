"""Give a disk or volume of one guest to another one on the same node.

After ``move_vm_disk`` in ``PVE/API2/Qemu.pm`` and ``move_volume`` in ``PVE/API2/LXC.pm``:
what speaks against it is said at once, and once more by the task, under both locks.
"""

import re
from dataclasses import dataclass

from qlop.ports import Json
from qlop.sim import drives, qemu_disks, volumes
from qlop.sim.call import Call, check_lock, write
from qlop.sim.engine import World, guest_lock
from qlop.sim.state import Guest, Kind, Storage, Task, Volume, Worker
from qlop.sim.wire import ApiError, bad_parameters

RENAMING = frozenset({"lvm", "lvmthin", "zfspool", "rbd", "btrfs"})
"""Storages without files that can rename a volume; those of files can, but for a subvol."""

_MODIFIED = "detected modified configuration - file changed by other user? Try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How PVE speaks of the guests of one kind."""

    guest: str
    both: str
    template: str
    missing: str
    taken: str
    snapshot: str
    running: str


_QEMU = _Words(
    guest="VM",
    both="Both VMs need to be on the same node",
    template="Can't move disks from or to template VMs",
    missing="Disk '{key}' for VM '{vmid}' does not exist",
    taken="Target disk key '{place}' is already in use for VM '{other}'",
    snapshot="Can't move disk used by a snapshot to another VM",
    running="Cannot move disk to another VM while the source VM is running - detach first",
)
_LXC = _Words(
    guest="CT",
    both="Both containers need to be on the same node",
    template="Can't move volumes from or to template CT",
    missing="volume '{key}' for container '{vmid}' does not exist",
    taken="Target volume key '{place}' is already in use for container '{other}'",
    snapshot="Cannot move volume used by a snapshot to another container",
    running="Cannot move in-use volume while the source CT is running - detach or shutdown first",
)


def reassign(call: Call, key: str, other: int) -> Json:
    """Answer a move that names a ``target-vmid``."""
    place = call.text("target-disk") or call.text("target-volume") or key
    call.demand(f"/vms/{other}", "VM.Config.Disk")
    is_vm = call.kind is Kind.QEMU
    if is_vm and other == call.vmid:
        text = "must be different than source VMID to reassign disk"
        raise bad_parameters({"target-vmid": text})
    volume = _check(call, key, other, place)
    call.demand(f"/storage/{volume.storage}", "Datastore.AllocateSpace")
    kind = "qmmove" if is_vm else "move_volume"
    subject = f"{call.vmid}-{key}>{other}-{place}"
    return call.fork(kind, subject, lambda task: _give(call, task, key, other, place))


def _check(call: Call, key: str, other: int, place: str) -> Volume:
    """Return the volume that is to be given away.

    Raises:
        ApiError: 500 with what speaks against it.
    """
    words = _QEMU if call.kind is Kind.QEMU else _LXC
    if call.kind is Kind.LXC and "rootfs" in {key, place}:
        raise ApiError("Cannot move to/from 'rootfs'")
    guest, target = _both(call, other, words)
    for one, name in ((guest, "digest"), (target, "target-digest")):
        if (digest := call.get(name)) and digest != one.digest():
            which = "VM" if call.kind is Kind.QEMU else "Container"
            raise ApiError(f"{which} {one.vmid}: {_MODIFIED}")
    if key not in guest.config:
        raise ApiError(words.missing.format(key=key, vmid=guest.vmid))
    if place in target.config:
        raise ApiError(words.taken.format(place=place, other=other))
    return _movable(call, guest, key, words)


def _both(call: Call, other: int, words: _Words) -> tuple[Guest, Guest]:
    world = call.world
    guest, target = world.guests.get(call.vmid), world.guests.get(other)
    if guest is None:
        raise ApiError(f"could not find {words.guest} {call.vmid}")
    if target is None:
        which = "target VM" if call.kind is Kind.QEMU else "CT"
        raise ApiError(f"could not find {which} {other}")
    if guest.node != target.node:
        raise ApiError(f"{words.both} ({guest.node} != {target.node})")
    guest = call.guest()
    check_lock(guest)
    if target.kind is not guest.kind:
        folder = "qemu-server" if guest.kind is Kind.QEMU else "lxc"
        raise ApiError(
            f"Configuration file 'nodes/{call.node}/{folder}/{other}.conf' does not exist"
        )
    check_lock(target)
    if guest.is_template or target.is_template:
        raise ApiError(words.template)
    return guest, target


def _movable(call: Call, guest: Guest, key: str, words: _Words) -> Volume:
    value = guest.config[key]
    file = drives.parse(value).get("file", "")
    if call.kind is Kind.QEMU and drives.is_cdrom(value) and "cloudinit" not in file:
        raise ApiError("CD drive contents can't be moved to another VM")
    if ":" not in file:
        if call.kind is Kind.QEMU:
            raise ApiError(f"Volume '{file}' not managed by PVE")
        raise ApiError("Cannot move a bindmount or device mount to another container")
    if qemu_disks.is_in_snapshot(guest, file) or _is_in_snapshot(guest, file):
        raise ApiError(words.snapshot)
    volume = volumes.need(call.world, file, call.node)
    if not _can_rename(call.world.storages[volume.storage], volume):
        which = "VM" if call.kind is Kind.QEMU else "container"
        raise ApiError(f"Storage does not support moving of this disk to another {which}")
    if guest.is_running and not re.fullmatch(r"unused\d+", key):
        raise ApiError(words.running)
    return volume


def _is_in_snapshot(guest: Guest, volid: str) -> bool:
    return any(
        drives.parse(value).get("file") == volid
        for section in guest.snapshots.values()
        for key, value in section.items()
        if drives.is_mount(key)
    )


def _can_rename(storage: Storage, volume: Volume) -> bool:
    return storage.type in RENAMING or (storage.has_files and volume.format != "subvol")


def _give(call: Call, task: Task, key: str, other: int, place: str) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    yield from world.hold(task, guest_lock(other))
    volume = _check(call, key, other, place)
    guest, target = call.guest(), world.guests[other]
    is_vm = call.kind is Kind.QEMU
    if is_vm:
        task.say(f"moving disk '{key}' from VM '{call.vmid}' to '{other}'")
    else:
        task.say(f"moving volume '{key}' from container '{call.vmid}' to '{other}'")
    yield world.spec.timing.config_s
    mount = drives.parse(guest.config[key])
    mount["file"] = _renamed(world, volume, call.node, other)
    if is_vm:
        _leave_boot_order(guest, key, task)
    del guest.config[key]
    kind = "disk" if is_vm else "volume"
    whose = "VM" if is_vm else "container"
    task.say(f"removing {kind} '{key}' from {whose} '{call.vmid}' config")
    write(world, guest)
    yield world.spec.timing.config_s
    value = mount["file"] if place.startswith("unused") else drives.show(mount)
    target.config[place] = value
    if target.run is not None:
        target.run.devices[place] = value
    if is_vm:
        line = f"update VM {other}: -{place} {value}"
        task.say(line)
        world.note(call.node, call.who.full, line)
    else:
        task.say(f"target container '{other}' updated with '{place}'")
    write(world, target)


def _renamed(world: World, volume: Volume, node: str, owner: int) -> str:
    storage = world.storages[volume.storage]
    name = volumes.free_name(world, storage, node, owner)
    volid = volumes.volid_for(storage, owner, name, volume.format)
    volumes.rename(world, volume, volid, owner)
    return volid


def _leave_boot_order(guest: Guest, key: str, task: Task) -> None:
    said = drives.parse(guest.config.get("boot", ""), "legacy").get("order")
    order = drives.boot_order(guest.config) if said is None else said.split(";")
    if key not in order:
        return
    task.say(f"removing disk '{key}' from boot order config")
    guest.config["boot"] = f"order={';'.join(one for one in order if one != key)}"
