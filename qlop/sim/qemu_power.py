"""Start, stop, shut down, reboot, reset, suspend and resume VMs through the API."""

from qlop.ports import Json
from qlop.sim import ha, power, qemu_snapshot, volumes
from qlop.sim.call import Call, Handlers, check_lock
from qlop.sim.engine import guest_lock
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters

_SHUTDOWN_TIMEOUT_S = 60


def start(call: Call) -> Json:
    """Answer ``POST …/status/start``."""
    _root_only(call, "skiplock", "stateuri", "migratedfrom", "migration_type", "targetstorage")
    call.world.need_quorum()
    if ha.is_managed(call.world, call.vmid):
        return ha.request(call, "hastart", f"Requesting HA start for VM {call.vmid}", "started")
    return call.fork("qmstart", call.vmid, lambda task: _start(call, task))


def _root_only(call: Call, *names: str) -> None:
    for name in names:
        if call.get(name) not in {None, "0"} and not call.who.is_root:
            raise bad_parameters({name: "Only root may use this option."})


def _start(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if guest.is_template:
        raise TaskError("you can't start a vm if it's a template")
    check_lock(guest, "suspended")
    if (machine := call.get("machine")) is not None:
        _check_machine(call, machine)
    yield from power.start_vm(world, task, guest)


def _check_machine(call: Call, machine: str) -> None:
    version = machine.rpartition("-")[2].partition("+")[0]
    try:
        major = int(version.partition(".")[0])
    except ValueError:
        return
    if major > 10:
        raise TaskError(
            f"Installed QEMU version '10.0.13' is too old to run machine type '{machine}+pve0', "
            f"please upgrade node '{call.node}'"
        )


def stop(call: Call) -> Json:
    """Answer ``POST …/status/stop``."""
    _root_only(call, "skiplock", "keepActive", "migratedfrom")
    if ha.is_managed(call.world, call.vmid):
        return ha.request(call, "hastop", f"Requesting HA stop for VM {call.vmid}", "stopped")
    if call.flag("overrule-shutdown"):
        ha.abort_shutdowns(call, "qmshutdown")
    return call.fork("qmstop", call.vmid, lambda task: _stop(call, task))


def _stop(call: Call, task: Task) -> Worker:
    world = call.world
    guest = _known(call)
    yield from world.hold(task, guest_lock(call.vmid))
    if guest.is_running:
        check_lock(guest)
        yield world.spec.timing.stop_s
        power.stopped(world, guest)


def _known(call: Call) -> Guest:
    guest = call.world.guests.get(call.vmid)
    if guest is None or guest.kind is not Kind.QEMU or guest.node != call.node:
        raise TaskError(
            f"unable to find configuration file for VM {call.vmid} on node '{call.node}'"
        )
    return guest


def shutdown(call: Call) -> Json:
    """Answer ``POST …/status/shutdown``."""
    _root_only(call, "skiplock", "keepActive")
    guest = call.world.guests.get(call.vmid)
    asks = True
    if guest is not None and guest.run is not None and guest.run.paused:
        if not call.flag("forceStop"):
            raise ApiError("VM is paused - cannot shutdown")
        asks = False
    if ha.is_managed(call.world, call.vmid):
        return ha.request(call, "hastop", f"Requesting HA stop for VM {call.vmid}", "stopped")
    return call.fork("qmshutdown", call.vmid, lambda task: _shutdown(call, task, asks=asks))


def _shutdown(call: Call, task: Task, *, asks: bool) -> Worker:
    world = call.world
    guest = _known(call)
    yield from world.hold(task, guest_lock(call.vmid))
    if not guest.is_running:
        return
    check_lock(guest)
    if not asks:
        yield world.spec.timing.stop_s
        power.stopped(world, guest)
        return
    timeout_s = call.number("timeout", _default_timeout(guest))
    yield from power.ask_down(world, task, guest, timeout_s, force=call.flag("forceStop"))


def _default_timeout(guest: Guest) -> int:
    for part in guest.config.get("startup", "").split(","):
        if part.startswith("down="):
            return int(part.removeprefix("down="))
    return _SHUTDOWN_TIMEOUT_S


def reboot(call: Call) -> Json:
    """Answer ``POST …/status/reboot``: shut down, apply what is pending, start again."""
    guest = _running(call)
    assert guest.run is not None
    if guest.run.paused:
        raise ApiError("VM is paused - cannot shutdown")
    return call.fork("qmreboot", call.vmid, lambda task: _reboot(call, task))


def _running(call: Call) -> Guest:
    guest = call.world.guests.get(call.vmid)
    if guest is None or guest.kind is not Kind.QEMU or guest.node != call.node:
        raise ApiError(
            f"unable to find configuration file for VM {call.vmid} on node '{call.node}'"
        )
    if not guest.is_running:
        raise ApiError(f"VM {call.vmid} not running")
    return guest


def _reboot(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if not guest.is_running:
        return
    check_lock(guest)
    timeout_s = call.number("timeout", _default_timeout(guest))
    yield from power.ask_down(world, task, guest, timeout_s, force=False)
    power.reboot_later(world, guest)


def reset(call: Call) -> Json:
    """Answer ``POST …/status/reset``: the system starts anew in the same process."""
    call.refuse_skiplock()
    _running(call)
    return call.fork("qmreset", call.vmid, lambda task: _reset(call, task))


def _reset(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    yield 0.1
    if guest.run is not None and guest.run.booted_at != float("inf"):
        guest.run.booted_at = world.now + world.spec.timing.boot_s
        guest.run.frozen = False


def suspend(call: Call) -> Json:
    """Answer ``POST …/status/suspend``: pause, or hibernate with ``todisk``."""
    call.refuse_skiplock()
    guest = _running(call)
    if not call.flag("todisk"):
        return call.fork("qmpause", call.vmid, lambda task: _pause(call, task))
    if ha.is_managed(call.world, call.vmid):
        raise ApiError("Cannot suspend HA managed VM to disk")
    call.demand(f"/vms/{call.vmid}", "VM.Config.Disk")
    storage = call.get("statestorage") or qemu_snapshot.state_storage(call.world, guest)
    call.demand(f"/storage/{storage}", "Datastore.AllocateSpace")
    return call.fork("qmsuspend", call.vmid, lambda task: _hibernate(call, task, storage))


def _pause(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest, "backup")
    yield 0.1
    if guest.run is not None:
        guest.run.paused = "paused"
        world.changed(guest)


def _hibernate(call: Call, task: Task, storage: str) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    check_lock(guest)
    place = volumes.on_node(world, storage, guest.node)
    day = qemu_snapshot.day(world)
    name = f"state-suspend-{day}"
    volid = volumes.volid_for(place, guest.vmid, name, "raw")
    if volumes.find(world, volid, guest.node) is not None:
        path = f"{place.options.get('path', '')}/images/{guest.vmid}/vm-{guest.vmid}-{name}.raw"
        raise TaskError(f"disk image '{path}' already exists")
    state = qemu_snapshot.save_state(world, task, guest, place, name)
    guest.config["lock"] = "suspending"
    world.wrote(guest)
    yield world.spec.timing.snapshot_s
    guest.config["lock"] = "suspended"
    guest.config["vmstate"] = state.volid
    guest.config.update(qemu_snapshot.running_facts(guest))
    power.kill(world, guest)
    world.wrote(guest)


def resume(call: Call) -> Json:
    """Answer ``POST …/status/resume``."""
    _root_only(call, "skiplock", "nocheck")
    guest = call.world.guests.get(call.vmid)
    if guest is None or guest.node != call.node or guest.kind is not Kind.QEMU:
        raise ApiError(
            f"unable to find configuration file for VM {call.vmid} on node '{call.node}'"
        )
    hibernated = guest.lock == "suspended"
    if not hibernated and not guest.is_running:
        raise ApiError(f"VM {call.vmid} not running")
    return call.fork("qmresume", call.vmid, lambda task: _resume(call, task))


def _resume(call: Call, task: Task) -> Worker:
    world = call.world
    yield from world.hold(task, guest_lock(call.vmid))
    guest = call.guest()
    if guest.lock == "suspended":
        yield from power.start_vm(world, task, guest)
        return
    check_lock(guest, "backup")
    yield 0.1
    if guest.run is not None:
        guest.run.paused = ""
        world.changed(guest)


def status_index(call: Call) -> Json:
    """Answer ``GET …/status``."""
    del call
    names = ("current", "start", "stop", "reset", "shutdown", "suspend", "reboot")
    return [{"subdir": name} for name in names]


HANDLERS: Handlers = {
    "GET /nodes/{node}/qemu/{vmid}/status": status_index,
    "POST /nodes/{node}/qemu/{vmid}/status/start": start,
    "POST /nodes/{node}/qemu/{vmid}/status/stop": stop,
    "POST /nodes/{node}/qemu/{vmid}/status/shutdown": shutdown,
    "POST /nodes/{node}/qemu/{vmid}/status/reboot": reboot,
    "POST /nodes/{node}/qemu/{vmid}/status/reset": reset,
    "POST /nodes/{node}/qemu/{vmid}/status/suspend": suspend,
    "POST /nodes/{node}/qemu/{vmid}/status/resume": resume,
}
