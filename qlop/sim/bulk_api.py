"""Start, shut down, suspend or move many guests of the cluster with one call.

After ``PVE/API2/Cluster/BulkAction/Guest.pm`` (pve-manager): the task calls the API for each
guest as whoever asked, so many at a time, in the guests' ``startup`` order.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from qlop.ports import Json
from qlop.sim import guard, routes_within, startall
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import ApiError, TaskError

_POLL_S = 1.0
_LAST = 2**63 - 1
_SHUTDOWN_TIMEOUT_S = 180

Begin = Callable[[Task, Guest], str]
"""Calls the API for a guest; returns the UPID, or nothing where there is nothing to do."""


def index(call: Call) -> Json:
    """Answer ``GET /cluster/bulk-action/guest``."""
    del call
    return [{"name": name} for name in ("start", "shutdown", "migrate", "suspend")]


def _named(call: Call) -> list[int]:
    return [int(part) for item in call.items("vms") for part in split_list(item)]


def _check(call: Call, *privileges: str) -> None:
    for vmid in _named(call):
        call.demand(f"/vms/{vmid}", *privileges)
    if not _named(call):
        call.demand("/", *privileges)


def _in_order(call: Call, *, backwards: bool = False) -> list[Guest]:
    """Return the guests to start, or the other way round; those under HA only if named."""
    named, world = _named(call), call.world
    sign = -1 if backwards else 1
    return sorted(
        (
            guest
            for guest in world.guests.values()
            if not guest.is_template
            and (guest.vmid in named if named else world.ha.of(guest.vmid) is None)
        ),
        key=lambda guest: (sign * startall.startup(guest, "order", _LAST), guest.vmid),
    )


def _text(guest: Guest) -> str:
    return f"{'VM' if guest.kind is Kind.QEMU else 'CT'} {guest.vmid}"


def _ask(call: Call, guest: Guest, path: str, params: Mapping[str, str]) -> str:
    """Call ``POST /nodes/NODE/KIND/VMID/PATH`` as the caller, and return the UPID."""
    route, handler = routes_within.found(guest, path)
    values = {"node": guest.node, "vmid": str(guest.vmid), **params}
    guard.check(call.world, route, call.who, values)
    inner = replace(call, route=route, params=values, node=guest.node, extra={}, delay_s=0.0)
    return str(handler(inner))


def _each(
    call: Call,
    task: Task,
    guests: list[Guest],
    places: int,
    *,
    begin: Begin,
    words: tuple[str, str],
) -> Worker:
    """Do it to each guest, ``places`` at a time. ``words``: as the log and the end call it."""
    at_work: dict[str, Guest] = {}
    failed: list[int] = []
    places = int(call.text("max-workers") or call.text("maxworkers") or 0) or int(
        call.world.options.get("max_workers", places)
    )
    for guest in guests:
        while len(at_work) >= places:
            yield from _reap(call, task, at_work, failed, words[0])
        try:
            upid = begin(task, guest)
        except ApiError as error:
            task.warn(f"{error.status} {error.text}")
            failed.append(guest.vmid)
            continue
        if upid:
            at_work[upid] = guest
    while at_work:
        yield from _reap(call, task, at_work, failed, words[0])
    if failed:
        raise TaskError(f"Some guests failed to {words[1]} {', '.join(map(str, failed))}")


def _reap(
    call: Call, task: Task, at_work: dict[str, Guest], failed: list[int], word: str
) -> Worker:
    for upid in [one for one in at_work if call.world.tasks[one].end_at is not None]:
        guest, ended = at_work.pop(upid), call.world.tasks[upid].exit or ""
        if ended == "OK" or ended.startswith("WARNINGS"):
            delay_s = startall.startup(guest, "up", 0) if word == "Starting" else 0
            if delay_s:
                task.say(f"Waiting for {delay_s} seconds (startup delay)")
                yield float(delay_s)
        else:
            failed.append(guest.vmid)
            task.warn(f"{word} {_text(guest)} failed: {ended}")
    yield _POLL_S


def _announce(call: Call, task: Task, verb: str, where: str = "") -> None:
    named = ", ".join(map(str, _named(call)))
    task.say(f"{verb} guests{where}: {named}" if named else f"{verb} all guests{where}")


def start(call: Call) -> Json:
    """Answer ``POST /cluster/bulk-action/guest/start``."""
    _check(call, "VM.PowerMgmt")
    return call.fork("bulk-start", "", lambda task: _start(call, task))


def _start(call: Call, task: Task) -> Worker:
    def begin(task: Task, guest: Guest) -> str:
        path, params = "status/start", {}
        if guest.run is not None:
            # A container tells no qmpstatus: PVE goes on to resume it.
            if guest.kind is Kind.QEMU and not guest.run.paused:
                task.warn(f"Skipping {_text(guest)}, already running.")
                return ""
            path = "status/resume"
        elif guest.kind is Kind.QEMU and (timeout := call.get("timeout")):
            params = {"timeout": timeout}
        task.say(f"Starting {_text(guest)}")
        return _ask(call, guest, path, params)

    _announce(call, task, "Starting")
    yield from _each(call, task, _in_order(call), 4, begin=begin, words=("Starting", "start:"))


def shutdown(call: Call) -> Json:
    """Answer ``POST /cluster/bulk-action/guest/shutdown``."""
    _check(call, "VM.PowerMgmt")
    return call.fork("bulk-shutdown", "", lambda task: _shutdown(call, task))


def _shutdown(call: Call, task: Task) -> Worker:
    forces = call.text("force-stop", "1")

    def begin(task: Task, guest: Guest) -> str:
        if guest.run is None:
            task.warn(f"Skipping {_text(guest)}, not running.")
            return ""
        if guest.run.paused and forces != "1":
            task.warn(f"Skipping {_text(guest)}, resume paused VM before shutdown.")
            return ""
        timeout_s = startall.startup(guest, "down", call.number("timeout", _SHUTDOWN_TIMEOUT_S))
        task.say(f"Shutting down {_text(guest)} (Timeout = {timeout_s} seconds)")
        params = {"forceStop": forces, "timeout": str(timeout_s)}
        return _ask(call, guest, "status/shutdown", params)

    _announce(call, task, "Shutting down")
    guests = _in_order(call, backwards=True)
    yield from _each(call, task, guests, 4, begin=begin, words=("Stopping", "shutdown"))


def suspend(call: Call) -> Json:
    """Answer ``POST /cluster/bulk-action/guest/suspend``."""
    _check(call, "VM.PowerMgmt")
    if call.flag("to-disk"):
        _check(call, "VM.Config.Disk")
        if storage := call.get("statestorage"):
            call.demand(f"/storage/{storage}", "Datastore.AllocateSpace")
    return call.fork("bulk-suspend", "", lambda task: _suspend(call, task))


def _suspend(call: Call, task: Task) -> Worker:
    def begin(task: Task, guest: Guest) -> str:
        if guest.kind is not Kind.QEMU:
            task.warn(f"skipping {guest.vmid}, only VMs can be suspended")
            return ""
        if guest.run is None:
            task.warn(f"Skipping {_text(guest)}, not running.")
            return ""
        params = {"todisk": call.text("to-disk", "0")}
        if call.flag("to-disk") and (storage := call.get("statestorage")):
            params["statestorage"] = storage
        task.say(f"Suspending {_text(guest)}")
        return _ask(call, guest, "status/suspend", params)

    _announce(call, task, "Suspending")
    guests = _in_order(call, backwards=True)
    yield from _each(call, task, guests, 4, begin=begin, words=("Stopping", "suspend"))


def migrate(call: Call) -> Json:
    """Answer ``POST /cluster/bulk-action/guest/migrate``."""
    _check(call, "VM.Migrate")
    return call.fork("bulk-migrate", "", lambda task: _migrate(call, task))


def _migrate(call: Call, task: Task) -> Worker:
    target, named = call.params["target"], _named(call)

    def begin(task: Task, guest: Guest) -> str:
        if guest.node == target:
            task.warn(f"{_text(guest)} already on {target}, skipping.")
            return ""
        params = {"target": target}
        if (online := call.get("online")) is not None:
            params["restart" if guest.kind is Kind.LXC else "online"] = online
        if guest.kind is Kind.QEMU and (disks := call.get("with-local-disks")) is not None:
            params["with-local-disks"] = disks
        task.say(f"Migrating {_text(guest)}")
        return _ask(call, guest, "migrate", params)

    _announce(call, task, "Migrating", f" to {target}")
    guests = [one for vmid, one in sorted(call.world.guests.items()) if not named or vmid in named]
    yield from _each(call, task, guests, 1, begin=begin, words=("Migrating", "migrate"))


HANDLERS: Handlers = {
    "GET /cluster/bulk-action/guest": index,
    "POST /cluster/bulk-action/guest/start": start,
    "POST /cluster/bulk-action/guest/shutdown": shutdown,
    "POST /cluster/bulk-action/guest/suspend": suspend,
    "POST /cluster/bulk-action/guest/migrate": migrate,
}
