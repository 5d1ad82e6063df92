"""Move VMs to another node: offline or live, with local disks or on shared storage."""

import datetime as dt

from qlop.ports import Json
from qlop.sim import drives, ha, ha_rules, power, qemu_options, replication, volumes
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import World, guest_lock, migration_lock
from qlop.sim.state import Guest, Run, Task, Volume, Worker
from qlop.sim.wire import ApiError, Row, TaskError, bad_parameters

_POSTMIGRATE_S = 6.0
"""How long the source keeps the stopped process (``postmigrate``) after a live migration
with local disks, while the storage connection is taken down."""


def preconditions(call: Call) -> Json:
    """Answer ``GET …/migrate``."""
    world = call.world
    world.need_quorum()
    guest = call.guest()
    check_lock(guest)
    target = call.get("target")
    others = [name for name in world.nodes if name != call.node]
    allowed, refused = [], {}
    for name in others:
        missing = missing_storages(world, guest, name)
        if missing and not guest.is_running:
            refused[name] = {"unavailable_storages": list[Json](missing)}
        else:
            allowed.append(name)
            refused[name] = {}
    row: Row = {
        "running": 1 if guest.is_running else 0,
        "local_disks": [
            _disk_row(key, volume, guest) for key, volume in local_disks(world, guest)
        ],
        "local_resources": [],
        "mapped-resources": [],
        "mapped-resource-info": {},
        "has-dbus-vmstate": 1,
        "allowed_nodes": list[Json](allowed),
        "not_allowed_nodes": {
            name: dict[str, Json](reason)
            for name, reason in refused.items()
            if target is not None or reason
        },
    }
    if ha.is_managed(world, call.vmid):
        together = ha_rules.companions(world, f"vm:{call.vmid}", "positive")
        row["dependent-ha-resources"] = list[Json](together)
    return row


def missing_storages(world: World, guest: Guest, node: str) -> list[str]:
    """Return the storages of a VM's volumes that ``node`` does not have."""
    return sorted(
        {
            volume.storage
            for _, volume in attached(world, guest)
            if not volumes.is_on_node(world.storages[volume.storage], node)
        }
    )


def _disk_row(key: str, volume: Volume, guest: Guest) -> Row:
    is_unused = key.startswith("unused")
    row: Row = {
        "volid": volume.volid,
        "is_attached": 0 if is_unused else 1,
        "is_unused": 1 if is_unused else 0,
        "is_cloudinit": 1 if "cloudinit" in volume.name else 0,
        "is_tpmstate": 1 if key == "tpmstate0" else 0,
        "is_vmstate": 0,
        "cdrom": 1 if drives.is_cdrom(guest.config[key]) else 0,
        "replicate": 1,
        "shared": 0,
    }
    if not is_unused:
        row["drivename"] = key
        if "cloudinit" not in volume.name:
            row["size"] = volume.size_bytes
    return row


def attached(world: World, guest: Guest) -> list[tuple[str, Volume]]:
    """Return every volume the configuration names, unused ones included."""
    found = []
    for key in sorted(guest.config):
        if not (drives.is_drive(key) or drives.is_mount(key) or key.startswith("unused")):
            continue
        volume = volumes.find(world, drives.parse(guest.config[key]).get("file", ""), guest.node)
        if volume is not None:
            found.append((key, volume))
    return found


def local_disks(world: World, guest: Guest) -> list[tuple[str, Volume]]:
    """Return the volumes that exist on the guest's node alone; ISOs don't count."""
    return [
        (key, volume)
        for key, volume in attached(world, guest)
        if volume.node and volume.content != "iso"
    ]


def migrate(call: Call) -> Json:
    """Answer ``POST …/migrate``."""
    world, target = call.world, call.target()
    for name in ("force", "migration_type", "migration_network"):
        if call.get(name) not in {None, "0"} and not call.who.is_root:
            raise bad_parameters({name: "Only root may use this option."})
    guest = call.guest()
    check_lock(guest)
    if guest.is_running and not call.flag("online"):
        raise ApiError("can't migrate running VM without --online")
    replication.check_migration(world, guest, target, force=call.flag("force"))
    if (storage := call.get("targetstorage")) and storage != "1":
        for pair in storage.split(","):
            volumes.on_node(world, pair.rpartition(":")[2], target)
    if ha.is_managed(world, call.vmid):
        text = f"Requesting HA migration for VM {call.vmid} to node {target}"
        return ha.request_move(call, "hamigrate", text, target)
    return call.fork("qmigrate", call.vmid, lambda task: work(call.world, task, call.vmid, call))


class _Log:
    """The migration's own log, with a time before each line."""

    def __init__(self, world: World, task: Task) -> None:
        self.world, self.task, self.began = world, task, world.now

    def say(self, text: str) -> None:
        at = dt.datetime.fromtimestamp(self.world.stamp(), tz=dt.UTC)
        self.task.say(f"{at:%Y-%m-%d %H:%M:%S} {text}")

    def duration(self) -> str:
        seconds = int(self.world.now - self.began)
        return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


def work(world: World, task: Task, vmid: int, call: Call) -> Worker:
    """Migrate; the HA manager uses it too.

    Raises:
        TaskError: ``migration aborted`` or ``migration problems``.
    """
    target = call.params["target"]
    source = world.guests[vmid].node
    yield from world.hold(task, migration_lock(vmid, source))
    yield from world.hold(task, guest_lock(vmid))
    guest = world.guests.get(vmid)
    if guest is None or guest.node != source:
        raise TaskError(f"unable to find configuration file for VM {vmid} on node '{source}'")
    check_lock(guest)
    log = _Log(world, task)
    run = guest.run
    if run is not None:
        log.say(
            "conntrack state migration not supported or disabled, active connections might get "
            "dropped"
        )
    log.say(f"starting migration of VM {vmid} to node '{target}' ({world.nodes[target].ip})")
    guest.config["lock"] = "migrate"
    write(world, guest)
    moves: list[tuple[str, Volume, Volume]] = []
    try:
        power.check_target(world, target)
        _scan(world, guest, call, log)
        yield 1.0
        yield from _copy_disks(world, task, guest, call, log=log, moves=moves)
        if run is not None:
            yield from _copy_memory(world, guest, run, target, log)
        else:
            yield world.spec.timing.migrate_s
        power.check_target(world, target)
    except (ApiError, TaskError) as error:
        _abort(world, guest, moves, log, str(error))
        raise TaskError("migration aborted") from error
    _arrive(world, guest, target, moves)
    if run is not None and moves:
        yield _POSTMIGRATE_S
    guest.config.pop("lock", None)
    world.wrote(guest)
    log.say(f"migration finished successfully (duration {log.duration()})")


def _scan(world: World, guest: Guest, call: Call, log: _Log) -> None:
    problems = False
    target = call.params["target"]
    for key, volume in attached(world, guest):
        if not volume.node:
            if not volumes.is_on_node(world.storages[volume.storage], target):
                raise TaskError(f"storage '{volume.storage}' is not available on node '{target}'")
            continue
        if volume.content == "iso":
            if volumes.find(world, volume.volid, target) is None:
                log.say(f"can't migrate local cdrom '{volume.volid}'")
                problems = True
            continue
        where = "attached" if not key.startswith("unused") else "unused"
        log.say(f"found local disk '{volume.volid}' ({where})")
        storage = _storage_for(volume, call)
        volumes.on_node(world, storage, target)
        is_image = "cloudinit" not in volume.name
        if guest.is_running and is_image and not call.flag("with-local-disks"):
            log.say(
                f"can't migrate local disk '{volume.volid}': can't live migrate attached local "
                f"disks without with-local-disks option"
            )
            problems = True
        if volume.parent and "base-" in volume.name:
            log.say(
                f"can't migrate local disk '{volume.volid}': can't migrate '{volume.volid}' as "
                f"it's a clone of '{volume.parent.partition(':')[2]}'"
            )
            problems = True
    if problems:
        text = "Problem found while scanning volumes - can't migrate VM - check log"
        log.say(f"ERROR: {text}")
        raise TaskError(text)


def _storage_for(volume: Volume, call: Call) -> str:
    mapping = call.text("targetstorage", "1")
    chosen = volume.storage
    for pair in mapping.split(","):
        before, colon, after = pair.rpartition(":")
        if not colon and after != "1":
            chosen = after
        elif colon and before == volume.storage:
            return after
    return chosen


def _copy_disks(
    world: World,
    task: Task,
    guest: Guest,
    call: Call,
    *,
    log: _Log,
    moves: list[tuple[str, Volume, Volume]],
) -> Worker:
    target = call.params["target"]
    disks = local_disks(world, guest)
    if disks:
        log.say(
            "copying local disk images" if not guest.is_running else "starting storage migration"
        )
    for key, volume in disks:
        if replication.has_copy(world, volume, target):
            log.say(f"volume '{volume.volid}' is replicated")
            yield 1.0
            replication.refresh(world, volume, target)
            continue
        storage = volumes.on_node(world, _storage_for(volume, call), target)
        copy = volumes.allocate(
            world,
            storage=storage,
            node=target,
            vmid=guest.vmid,
            size=volume.size_bytes,
            format_=volume.format,
            name="cloudinit" if "cloudinit" in volume.name else "",
        )
        copy.snapshots = set(volume.snapshots)
        moves.append((key, volume, copy))
        task.say(volumes.format_line(storage, copy))
        yield world.spec.timing.migrate_s_per_gib_disk * volume.used_bytes / 1024**3
        volumes.fill_copy(world, volume, copy)
        log.say(f"volume '{volume.volid}' is '{copy.volid}' on the target")


def _copy_memory(world: World, guest: Guest, run: Run, target: str, log: _Log) -> Worker:
    log.say(f"starting VM {guest.vmid} on remote node '{target}'")
    if qemu_options.cpus(guest.config) > world.nodes[target].cores:
        raise TaskError(f"MAX {world.nodes[target].cores} vcpus allowed per VM on this node")
    yield world.spec.timing.migrate_s
    log.say("start remote tunnel")
    log.say(f"starting online/live migration on unix:/run/qemu-server/{guest.vmid}.migrate")
    gib = qemu_options.memory_mib(guest.config) / 1024
    yield world.spec.timing.migrate_s_per_gib_memory * gib
    if guest.run is not run:
        raise TaskError("online migrate failure - VM quit/powerdown during migration")
    log.say("migration status: completed")


def _abort(
    world: World,
    guest: Guest,
    moves: list[tuple[str, Volume, Volume]],
    log: _Log,
    text: str,
) -> None:
    for _, _, copy in moves:
        volumes.drop(world, copy)
    log.say("aborting phase 1 - cleanup resources")
    log.say(f"ERROR: migration aborted (duration {log.duration()}): {text}")
    if guest.config.get("lock") == "migrate":
        guest.config.pop("lock")
        world.wrote(guest)


def _arrive(
    world: World, guest: Guest, target: str, moves: list[tuple[str, Volume, Volume]]
) -> None:
    for key, volume, copy in moves:
        drive = drives.parse(guest.config[key])
        drive["file"] = copy.volid
        value = drives.show(drive) if not key.startswith("unused") else copy.volid
        guest.config[key] = value
        for section in guest.snapshots.values():
            if drives.parse(section.get(key, "")).get("file") == volume.volid:
                section[key] = value
        if guest.run is not None:
            guest.run.devices[key] = value
        volumes.drop(world, volume)
    world.changed(guest)
    replication.moved(world, guest.vmid, guest.node, target)
    guest.node = target
    if guest.run is not None:
        guest.run.pid = world.new_pid(target)
    world.wrote(guest)


HANDLERS: Handlers = {
    "GET /nodes/{node}/qemu/{vmid}/migrate": preconditions,
    "POST /nodes/{node}/qemu/{vmid}/migrate": migrate,
}
