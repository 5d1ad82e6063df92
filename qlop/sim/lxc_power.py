"""Start, stop, shut down, reboot and move containers through the API."""

import datetime as dt

from qlop.ports import Json
from qlop.sim import drives, ha, power, qemu_migrate, replication, volumes
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import World, guest_lock, migration_lock
from qlop.sim.state import Guest, Kind, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError

_SHUTDOWN_TIMEOUT_S = 60


def _is_running(call: Call) -> bool:
    guest = call.world.guests.get(call.vmid)
    return (
        guest is not None
        and guest.kind is Kind.LXC
        and guest.node == call.node
        and guest.is_running
    )


def _need_running(call: Call, name: str = "CT") -> None:
    if not _is_running(call):
        raise ApiError(f"{name} {call.vmid} not running")


def start(call: Call) -> Json:
    """Answer ``POST …/status/start``."""
    call.refuse_skiplock()
    if _is_running(call):
        raise ApiError(f"CT {call.vmid} already running")
    call.world.need_quorum()
    if ha.is_managed(call.world, call.vmid):
        return ha.request(call, "hastart", f"Requesting HA start for CT {call.vmid}", "started")
    return call.fork("vzstart", call.vmid, lambda task: _start(call, task))


def _start(call: Call, task: Task) -> Worker:
    yield from power.start_ct(call.world, task, call.guest())


def stop(call: Call) -> Json:
    """Answer ``POST …/status/stop``."""
    call.refuse_skiplock()
    _need_running(call)
    if ha.is_managed(call.world, call.vmid):
        return ha.request(call, "hastop", f"Requesting HA stop for CT {call.vmid}", "stopped")
    if call.flag("overrule-shutdown"):
        ha.abort_shutdowns(call, "vzshutdown")
    return call.fork("vzstop", call.vmid, lambda task: _stop(call, task))


def _stop(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    yield world.spec.timing.stop_s
    power.kill(world, guest)


def shutdown(call: Call) -> Json:
    """Answer ``POST …/status/shutdown``."""
    _need_running(call)
    if ha.is_managed(call.world, call.vmid):
        return ha.request(call, "hastop", f"Requesting HA stop for CT {call.vmid}", "stopped")
    return call.fork("vzshutdown", call.vmid, lambda task: _shutdown(call, task))


def _shutdown(call: Call, task: Task) -> Worker:
    yield from call.world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    timeout_s = call.number("timeout", _SHUTDOWN_TIMEOUT_S)
    yield from power.ask_ct_down(call.world, task, guest, timeout_s, force=call.flag("forceStop"))


def reboot(call: Call) -> Json:
    """Answer ``POST …/status/reboot``: what is pending is applied."""
    _need_running(call, "VM")
    return call.fork("vzreboot", call.vmid, lambda task: _reboot(call, task))


def _reboot(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    yield from power.ask_ct_down(
        world, task, guest, call.number("timeout", _SHUTDOWN_TIMEOUT_S), force=False
    )
    if guest.pending or guest.deletes:
        power.apply_pending(world, guest)
    yield world.spec.timing.lxc_start_s
    power.launch(world, guest)


def suspend(call: Call) -> Json:
    """Answer ``POST …/status/suspend``: needs CRIU, which the nodes don't have."""
    _need_running(call)
    return call.fork("vzsuspend", call.vmid, lambda task: _no_criu(call, task, "-s"))


def resume(call: Call) -> Json:
    """Answer ``POST …/status/resume``."""
    if _is_running(call):
        raise ApiError(f"CT {call.vmid} already running")
    return call.fork("vzresume", call.vmid, lambda task: _no_criu(call, task, "-r --foreground"))


def _no_criu(call: Call, task: Task, flags: str) -> Worker:
    yield 0.1
    task.say(
        f"lxc-checkpoint: {call.vmid}: ../src/lxc/tools/lxc_checkpoint.c: main: 298 "
        f"{call.vmid} is not defined"
    )
    raise TaskError(
        f"command 'lxc-checkpoint -n {call.vmid} {flags} -D /var/lib/vz/dump' failed: exit code 1"
    )


def migrate(call: Call) -> Json:
    """Answer ``POST …/migrate``: offline, or by a restart on the target."""
    world, target = call.world, call.target()
    guest = call.guest()
    if guest.is_running and not call.flag("online") and not call.flag("restart"):
        raise ApiError("can't migrate running container without --online or --restart")
    if ha.is_managed(world, call.vmid):
        text = f"Requesting HA migration for CT {call.vmid} to node {target}"
        return ha.request_move(call, "hamigrate", text, target)
    return call.fork("vzmigrate", call.vmid, lambda task: work(world, task, call.vmid, call))


def preconditions(call: Call) -> Json:
    """Answer ``GET …/migrate``."""
    world = call.world
    guest = call.guest()
    target = call.get("target")
    others = [name for name in world.nodes if name != call.node]
    return {
        "running": 1 if guest.is_running else 0,
        "allowed-nodes": list[Json](others if target is None else [target]),
        "not-allowed-nodes": {},
    }


def _say(world: World, task: Task, text: str) -> None:
    at = dt.datetime.fromtimestamp(world.stamp(), tz=dt.UTC)
    task.say(f"{at:%Y-%m-%d %H:%M:%S} {text}")


_ABORTED = "ERROR: migration aborted (duration 00:00:00)"


def work(world: World, task: Task, vmid: int, call: Call) -> Worker:
    """Migrate a container; the HA manager uses it too.

    Raises:
        TaskError: ``migration aborted``.
    """
    target = call.params["target"]
    yield from world.hold(task, migration_lock(vmid, world.guests[vmid].node))
    yield from world.hold(task, guest_lock(vmid))
    guest = world.guests[vmid]
    check_lock(guest)
    began, was_running = world.now, guest.is_running
    if was_running and not call.flag("restart"):
        _say(world, task, f"{_ABORTED}: lxc live migration is currently not implemented")
        raise TaskError("migration aborted")
    guest.config["lock"] = "migrate"
    write(world, guest)
    moves: list[tuple[str, Volume, Volume]] = []
    try:
        if was_running:
            _say(world, task, f"shutdown CT {vmid}")
            timeout_s = call.number("timeout", 180)
            yield from power.ask_ct_down(world, task, guest, timeout_s, force=True)
        ip = world.nodes[target].ip
        _say(world, task, f"starting migration of CT {vmid} to node '{target}' ({ip})")
        power.check_target(world, target)
        yield from _copy_volumes(world, task, guest, call, moves)
        _say(world, task, "start final cleanup")
        yield world.spec.timing.migrate_s
    except (ApiError, TaskError) as error:
        for _, _, copy in moves:
            volumes.drop(world, copy)
        guest.config.pop("lock", None)
        world.wrote(guest)
        _say(world, task, f"{_ABORTED}: {error}")
        raise TaskError("migration aborted") from error
    _arrive(world, guest, target, moves)
    if was_running:
        _say(world, task, "start container on target node")
        yield world.spec.timing.lxc_start_s
        power.launch(world, guest)
    seconds = int(world.now - began)
    duration = f"00:{seconds // 60:02d}:{seconds % 60:02d}"
    _say(world, task, f"migration finished successfully (duration {duration})")


def _copy_volumes(
    world: World,
    task: Task,
    guest: Guest,
    call: Call,
    moves: list[tuple[str, Volume, Volume]],
) -> Worker:
    target = call.params["target"]
    for key, volume in qemu_migrate.attached(world, guest):
        if not volume.node:
            if not volumes.is_on_node(world.storages[volume.storage], target):
                raise TaskError(f"storage '{volume.storage}' is not available on node '{target}'")
            _say(world, task, f"volume '{volume.volid}' is on shared storage '{volume.storage}'")
            continue
        _say(world, task, f"found local volume '{volume.volid}' (in current VM config)")
        if replication.has_copy(world, volume, target):
            yield 1.0
            replication.refresh(world, volume, target)
            continue
        name = call.text("target-storage") or volume.storage
        storage = volumes.on_node(world, name, target)
        copy = volumes.allocate(
            world,
            storage=storage,
            node=target,
            vmid=guest.vmid,
            size=volume.size_bytes,
            format_=volume.format,
            content="rootdir",
        )
        copy.snapshots = set(volume.snapshots)
        moves.append((key, volume, copy))
        yield world.spec.timing.migrate_s_per_gib_disk * volume.used_bytes / 1024**3
        volumes.fill_copy(world, volume, copy)
        _say(world, task, f"volume '{volume.volid}' is '{copy.volid}' on the target")


def _arrive(
    world: World, guest: Guest, target: str, moves: list[tuple[str, Volume, Volume]]
) -> None:
    for key, volume, copy in moves:
        mount = drives.parse(guest.config[key])
        mount["file"] = copy.volid
        guest.config[key] = drives.show(mount)
        volumes.drop(world, volume)
    guest.config.pop("lock", None)
    world.changed(guest)
    replication.moved(world, guest.vmid, guest.node, target)
    guest.node = target
    world.wrote(guest)


def status_index(call: Call) -> Json:
    """Answer ``GET …/status``."""
    del call
    names = ("current", "start", "stop", "shutdown", "migrate")
    return [{"subdir": name} for name in names]


HANDLERS: Handlers = {
    "GET /nodes/{node}/lxc/{vmid}/status": status_index,
    "POST /nodes/{node}/lxc/{vmid}/status/start": start,
    "POST /nodes/{node}/lxc/{vmid}/status/stop": stop,
    "POST /nodes/{node}/lxc/{vmid}/status/shutdown": shutdown,
    "POST /nodes/{node}/lxc/{vmid}/status/reboot": reboot,
    "POST /nodes/{node}/lxc/{vmid}/status/suspend": suspend,
    "POST /nodes/{node}/lxc/{vmid}/status/resume": resume,
    "GET /nodes/{node}/lxc/{vmid}/migrate": preconditions,
    "POST /nodes/{node}/lxc/{vmid}/migrate": migrate,
}
