"""Take, list, describe, roll back and delete snapshots of VMs and containers.

After ``PVE/AbstractConfig.pm`` of ``pve-guest-common``.
"""

from dataclasses import dataclass

from qlop.ports import Json
from qlop.sim import drives, lxc_options, power, qemu_options, qemu_snapshot, volumes
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import World, guest_lock, migration_lock
from qlop.sim.state import Guest, Kind, Task, Volume, Worker
from qlop.sim.wire import ApiError, Row, TaskError

_META = {
    "snaptime",
    "snapstate",
    "vmstate",
    "runningmachine",
    "runningcpu",
    "running-nets-host-mtu",
    "parent",
}
_NOT_SAVED = {"lock", "parent", "snaptime", "digest"}


def listing(call: Call) -> Json:
    """Answer ``GET …/snapshot``: all snapshots, and the pseudo-entry ``current`` at the end."""
    guest = call.guest()
    rows: list[Json] = []
    for name, section in sorted(
        guest.snapshots.items(), key=lambda item: (int(item[1].get("snaptime", 0)), item[0])
    ):
        row: Row = {
            "name": name,
            "snaptime": int(section.get("snaptime", 0)),
            "description": _description(guest, section),
        }
        if guest.kind is Kind.QEMU:
            row["vmstate"] = 1 if section.get("vmstate") else 0
        for key in ("parent", "snapstate"):
            if key in section:
                row[key] = section[key]
        rows.append(row)
    current: Row = {
        "name": "current",
        "digest": guest.digest(),
        "running": 1 if guest.is_running else 0,
        "description": "You are here!",
    }
    if "parent" in guest.config:
        current["parent"] = guest.config["parent"]
    rows.append(current)
    return rows


def _description(guest: Guest, section: dict[str, str]) -> str:
    text = section.get("description", "").rstrip("\n")
    return text + "\n" if text and guest.kind is Kind.LXC else text


def index(call: Call) -> Json:
    """Answer ``GET …/snapshot/{snapname}``."""
    del call
    return [{"cmd": "rollback"}, {"cmd": "config"}]


def _section(call: Call, guest: Guest) -> dict[str, str]:
    name = call.params["snapname"]
    if name not in guest.snapshots:
        raise ApiError(f"snapshot '{name}' does not exist")
    return guest.snapshots[name]


def read_config(call: Call) -> Json:
    """Answer ``GET …/snapshot/{snapname}/config``."""
    guest = call.guest()
    section = _section(call, guest)
    if guest.kind is Kind.QEMU:
        return qemu_options.shown(section, qemu_options.integer_options())
    return lxc_options.shown(section)


def write_config(call: Call) -> Json:
    """Answer ``PUT …/snapshot/{snapname}/config``: only the description can change."""
    call.enter()
    guest = call.guest()
    check_lock(guest)
    section = _section(call, guest)
    if "description" in call.params:
        section["description"] = call.params["description"]
    write(call.world, guest)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The task types and lock names of a kind of guest."""

    take: str
    delete: str
    rollback: str


_QEMU = _Names(take="qmsnapshot", delete="qmdelsnapshot", rollback="qmrollback")
_LXC = _Names(take="vzsnapshot", delete="vzdelsnapshot", rollback="vzrollback")


def _names(call: Call) -> _Names:
    return _QEMU if call.kind is Kind.QEMU else _LXC


def take(call: Call) -> Json:
    """Answer ``POST …/snapshot``."""
    name = call.params["snapname"]
    is_vm = call.kind is Kind.QEMU
    if is_vm and name.lower() == "pending":
        raise ApiError("unable to use snapshot name 'pending' (reserved name)")
    if name == "current" or (name == "vzdump" and not is_vm):
        raise ApiError(f"unable to use snapshot name '{name}' (reserved name)")
    if is_vm:
        call.guest()
    return call.fork(_names(call).take, call.vmid, lambda task: _take(call, task, name))


def _take(call: Call, task: Task, name: str) -> Worker:
    world = call.world
    world.note(call.node, call.who.full, _log_line(call, f"snapshot VM {call.vmid}: {name}"))
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    if guest.is_template:
        raise TaskError("you can't take a snapshot if it's a template")
    if name in guest.snapshots:
        raise TaskError(f"snapshot name '{name}' already used")
    if not _has_feature(world, guest):
        raise TaskError("snapshot feature is not available")
    section = {key: value for key, value in guest.config.items() if key not in _NOT_SAVED}
    section = {key: value for key, value in section.items() if not key.startswith("unused")}
    if "parent" in guest.config:
        section["parent"] = guest.config["parent"]
    section["snaptime"] = str(world.stamp())
    section["description"] = call.text("description")
    guest.snapshots[name] = {**section, "snapstate": "prepare"}
    guest.config["lock"] = "snapshot"
    write(world, guest)
    world.let_go(task, guest_lock(call.vmid))
    try:
        yield from _freeze_and_copy(call, task, guest, name)
    except (ApiError, TaskError):
        guest.snapshots.pop(name, None)
        guest.config.pop("lock", None)
        world.wrote(guest)
        raise
    yield from world.hold(task, guest_lock(call.vmid))
    guest.snapshots[name].pop("snapstate", None)
    if not guest.snapshots[name].get("description"):
        guest.snapshots[name].pop("description", None)
    guest.config.pop("lock", None)
    guest.config["parent"] = name
    write(world, guest)


def _log_line(call: Call, text: str) -> str:
    return text if call.kind is Kind.QEMU else text.replace("VM", "container")


def _freeze_and_copy(call: Call, task: Task, guest: Guest, name: str) -> Worker:
    world = call.world
    is_running_vm = guest.is_running and guest.kind is Kind.QEMU
    asks_agent = is_running_vm and qemu_options.agent_is_on(guest.config)
    if asks_agent and not power.agent_answers(world, guest):
        yield 3.0
        task.say(
            f"QEMU Guest Agent is not running - VM {guest.vmid} qga command 'guest-ping' "
            f"failed - got timeout"
        )
    if is_running_vm and call.flag("vmstate"):
        storage = world.storages[qemu_snapshot.state_storage(world, guest)]
        state = qemu_snapshot.save_state(world, task, guest, storage, f"state-{name}")
        guest.snapshots[name]["vmstate"] = state.volid
        guest.snapshots[name].update(qemu_snapshot.running_facts(guest))
        task.say(f"saving VM state and RAM using storage '{storage.name}'")
        yield world.spec.timing.snapshot_s * 2
        task.say("completed saving the VM state in 2s, saved 251.00 MiB")
    for key, volume in _saved_volumes(world, guest, guest.config):
        if guest.kind is Kind.QEMU:
            task.say(f"snapshotting 'drive-{key}' ({volume.volid})")
            if is_running_vm and volume.format == "qcow2":
                task.say("internal qemu snapshot")
        elif not world.storages[volume.storage].has_files:
            task.say(f'  Logical volume "snap_{volume.name}_{name}" created.')
        volume.snapshots.add(name)
    yield world.spec.timing.snapshot_s


def _saved_volumes(
    world: World, guest: Guest, section: dict[str, str]
) -> list[tuple[str, Volume]]:
    found = []
    for key in sorted(section):
        if not (drives.is_drive(key) or drives.is_mount(key)) or drives.is_cdrom(section[key]):
            continue
        volume = volumes.find(world, drives.parse(section[key]).get("file", ""), guest.node)
        if volume is not None:
            found.append((key, volume))
    return found


def _has_feature(world: World, guest: Guest) -> bool:
    for key, value in guest.config.items():
        if not (drives.is_drive(key) or drives.is_mount(key)) or drives.is_cdrom(value):
            continue
        volume = volumes.find(world, drives.parse(value).get("file", ""), guest.node)
        if volume is None or not volumes.can_snapshot(world, volume):
            return False
    return True


def feature(call: Call) -> Json:
    """Answer ``GET …/feature``: whether the guest can be snapshotted, cloned or copied."""
    guest = call.world.guests.get(call.vmid)
    if call.kind is Kind.QEMU and (guest is None or guest.node != call.node):
        raise ApiError(  # Whether it runs is looked at first.
            f"unable to find configuration file for VM {call.vmid} on node '{call.node}'"
        )
    guest = call.guest()
    wanted = call.params["feature"]
    world = call.world
    section = guest.config
    if (name := call.get("snapname")) is not None:
        section = _section(call, guest) if name in guest.snapshots else {}
        if name not in guest.snapshots:
            raise ApiError(f"snapshot '{name}' does not exist")
    able = True
    for key, value in section.items():
        if not (drives.is_drive(key) or drives.is_mount(key)) or drives.is_cdrom(value):
            continue
        volume = volumes.find(world, drives.parse(value).get("file", ""), guest.node)
        if volume is None:
            able = False
        elif wanted == "snapshot":
            able = able and volumes.can_snapshot(world, volume)
        elif wanted == "clone":
            able = able and volumes.can_link(world, volume)
    row: Row = {"hasFeature": 1 if able else 0}
    if guest.kind is Kind.QEMU:
        row["nodes"] = [guest.node]
    return row


def rollback(call: Call) -> Json:
    """Answer ``POST …/snapshot/{snapname}/rollback``."""
    return call.fork(_names(call).rollback, call.vmid, lambda task: _rollback(call, task))


def _rollback(call: Call, task: Task) -> Worker:
    world = call.world
    name = call.params["snapname"]
    world.note(
        call.node, call.who.full, _log_line(call, f"rollback snapshot VM {call.vmid} {name}")
    )
    yield from world.hold(task, migration_lock(call.vmid, call.node))
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if guest.is_template:
        raise TaskError("you can't rollback if vm is a template")
    section = _section(call, guest)
    _need_latest(world, guest, name)
    if section.get("snapstate"):
        raise TaskError(
            f"unable to rollback to incomplete snapshot (snapstate = {section['snapstate']})"
        )
    check_lock(guest)
    if guest.is_running:
        yield world.spec.timing.stop_s
        power.kill(world, guest)
    before = guest.config
    guest.config["lock"] = "rollback"
    write(world, guest)
    yield world.spec.timing.snapshot_s
    _restore(world, guest, before, section, name)
    write(world, guest)
    if section.get("vmstate"):
        yield world.spec.timing.start_s
        power.launch(world, guest, boot_s=0.0)
    elif call.flag("start"):
        world.let_go(task, guest_lock(call.vmid))
        power.autostart(world, guest, call.who.full)
        yield world.spec.timing.start_s + 0.1


def _need_latest(world: World, guest: Guest, name: str) -> None:
    """Refuse what a thin pool of ZFS can't: rolling back behind a newer snapshot."""
    for _, volume in _saved_volumes(world, guest, guest.snapshots[name]):
        if world.storages[volume.storage].type != "zfspool":
            continue
        times = {key: int(item.get("snaptime", 0)) for key, item in guest.snapshots.items()}
        newer = [key for key in volume.snapshots if times.get(key, 0) > times[name]]
        if newer:
            raise TaskError(
                f"can't rollback, '{name}' is not most recent snapshot on '{volume.volid}'"
            )


def _restore(
    world: World, guest: Guest, before: dict[str, str], section: dict[str, str], name: str
) -> None:
    config = {key: value for key, value in section.items() if key not in _META}
    config.pop("description", None)
    if "description" in before:
        config["description"] = before["description"]
    kept = {drives.parse(value).get("file") for value in config.values()}
    config["parent"] = name
    guest.config = config
    guest.pending, guest.deletes = {}, {}
    numbers = {key for key in before if key.startswith("unused")}
    for key in sorted(before):
        is_volume = drives.is_drive(key) or drives.is_mount(key) or key in numbers
        volid = drives.parse(before[key]).get("file", "")
        if not is_volume or drives.is_cdrom(before[key]) or volid in kept:
            continue
        if volumes.find(world, volid, guest.node) is None:
            continue
        name = key if key in numbers else _free_unused(numbers)
        numbers.add(name)
        config[name] = volid
    if "vmgenid" in config:
        config["vmgenid"] = qemu_options.new_uuid(world)


def _free_unused(numbers: set[str]) -> str:
    number = 0
    while f"unused{number}" in numbers:
        number += 1
    return f"unused{number}"


def delete(call: Call) -> Json:
    """Answer ``DELETE …/snapshot/{snapname}``."""
    return call.fork(_names(call).delete, call.vmid, lambda task: _delete(call, task))


def _delete(call: Call, task: Task) -> Worker:
    world = call.world
    name = call.params["snapname"]
    world.note(
        call.node, call.who.full, _log_line(call, f"delete snapshot VM {call.vmid}: {name}")
    )
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if name not in guest.snapshots:
        if call.kind is Kind.QEMU:
            task.say("trying to acquire lock...\n OK")
        raise TaskError(f"snapshot '{name}' does not exist")
    check_lock(guest)
    section = guest.snapshots[name]
    section["snapstate"] = "delete"
    guest.config["lock"] = "snapshot-delete"
    write(world, guest)
    world.let_go(task, guest_lock(call.vmid))
    yield world.spec.timing.snapshot_s
    yield from world.hold(task, guest_lock(call.vmid))
    for _, volume in _saved_volumes(world, guest, section):
        volume.snapshots.discard(name)
    state = volumes.find(world, section.get("vmstate", ""), guest.node)
    if state is not None:
        volumes.drop(world, state)
    for other in (guest.config, *guest.snapshots.values()):
        if other.get("parent") == name:
            if "parent" in section:
                other["parent"] = section["parent"]
            else:
                other.pop("parent")
    del guest.snapshots[name]
    guest.config.pop("lock", None)
    write(world, guest)


def _routes(kind: str) -> Handlers:
    base = f"/nodes/{{node}}/{kind}/{{vmid}}"
    return {
        f"GET {base}/snapshot": listing,
        f"POST {base}/snapshot": take,
        f"GET {base}/snapshot/{{snapname}}": index,
        f"DELETE {base}/snapshot/{{snapname}}": delete,
        f"GET {base}/snapshot/{{snapname}}/config": read_config,
        f"PUT {base}/snapshot/{{snapname}}/config": write_config,
        f"POST {base}/snapshot/{{snapname}}/rollback": rollback,
        f"GET {base}/feature": feature,
    }


HANDLERS: Handlers = {**_routes("qemu"), **_routes("lxc")}
