"""Suspend or move every guest of a node with one call.

After ``suspendall`` and ``migrateall`` in ``PVE/API2/Nodes.pm`` (pve-manager).
"""

from dataclasses import replace

from qlop.ports import Json
from qlop.sim import qemu_migrate, routes_within, startall, workers
from qlop.sim.access import denied
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import ApiError, TaskError

_POLL_S = 1.0
_WORKERS_MAX = 8
_LAST = 2**63 - 1


def check(call: Call, each: str, *others: str) -> None:
    """Demand a privilege on ``/`` (with ``others``), or on each guest that is named."""
    if call.may("/", each, *others):
        return
    named = split_list(call.text("vms"))
    if not named:
        raise denied(f"/, {' && '.join((each, *others))}")
    for vmid in named:
        call.demand(f"/vms/{vmid}", each)


def _chosen(call: Call) -> list[Guest]:
    named = {int(item) for item in split_list(call.text("vms"))}
    return [
        guest
        for _, guest in sorted(call.world.guests.items())
        if guest.node == call.node and (not named or guest.vmid in named)
    ]


def _ask(call: Call, guest: Guest, path: str, **params: str) -> str:
    """Carry out a method of a guest: the caller's rights to call it are not looked at."""
    route, handler = routes_within.found(guest, path)
    values = {"node": guest.node, "vmid": str(guest.vmid), **params}
    return str(handler(replace(call, route=route, params=values, extra={}, delay_s=0.0)))


def _wait(call: Call, upids: list[str], places: int) -> Worker:
    """Wait until fewer than ``places`` of the tasks run."""
    while len(workers.alive(call.world, upids)) >= places:
        yield _POLL_S


def suspend_all(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/suspendall``."""
    check(call, "VM.PowerMgmt", "VM.Config.Disk")
    return call.fork("suspendall", "", lambda task: _suspend_all(call, task))


def _suspend_all(call: Call, task: Task) -> Worker:
    world, is_named = call.world, bool(call.text("vms"))
    orders: dict[int, list[Guest]] = {}
    for guest in _chosen(call):
        if not guest.is_template and (is_named or world.ha.of(guest.vmid) is None):
            orders.setdefault(startall.startup(guest, "order", _LAST), []).append(guest)
    places = max(1, min(world.nodes[call.node].cores - 1, _WORKERS_MAX))
    places = call.number("max-workers") or int(world.options.get("max_workers", places))
    for _, guests in sorted(orders.items(), reverse=True):
        started: list[str] = []
        for guest in reversed(guests):
            if guest.kind is not Kind.QEMU:
                task.warn(f"skipping {guest.vmid}, only VMs can be suspended")
                continue
            if guest.run is None:
                task.say(f"VM {guest.vmid} not running, skipping suspension")
                continue
            task.say(f"Suspending VM {guest.vmid}")
            try:
                started.append(_ask(call, guest, "status/suspend", todisk="1"))
            except ApiError as error:
                task.say(error.text)
            yield from _wait(call, started, places)
        yield from _wait(call, started, 1)


def migrate_all(call: Call) -> Json:
    """Answer ``POST /nodes/{node}/migrateall``."""
    check(call, "VM.Migrate")
    world, target = call.world, call.target()
    places = call.number("max-workers") or call.number("maxworkers")
    places = places or int(world.options.get("max_workers", "0"))
    if not places:
        raise ApiError(
            "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!"
        )
    return call.fork("migrateall", "", lambda task: _migrate_all(call, task, target, places))


def _migrate_all(call: Call, task: Task, target: str, places: int) -> Worker:
    guests = _chosen(call)
    if not guests:
        task.say("no virtual guests matched, nothing to do..")
        return
    started: list[str] = []
    for guest in guests:
        try:
            started.append(_migrate(call, task, guest, target))
        except ApiError as error:
            task.say(error.text)
            continue
        yield from _wait(call, started, places)
    yield from _wait(call, started, 1)
    if not started:
        raise TaskError("no migrations worker started...")
    task.say(f"All jobs finished, used {len(started)} workers in total.")


def _migrate(call: Call, task: Task, guest: Guest, target: str) -> str:
    is_running = "1" if guest.is_running else "0"
    if guest.kind is Kind.LXC:
        task.say(f"Migrating CT {guest.vmid}")
        return _ask(call, guest, "migrate", target=target, restart=is_running)
    disks = call.get("with-local-disks")
    found = qemu_migrate.local_disks(call.world, guest)
    missing = qemu_migrate.missing_storages(call.world, guest, target)
    complaints: list[str] = []
    if guest.is_running and disks != "1" and found:
        complaints.append(f"  Has local disks: {', '.join(volume.volid for _, volume in found)}")
    if missing and not guest.is_running:
        complaints.append(f"  Has unavailable storages: {', '.join(missing)}")
    if complaints:
        task.say(f"Check VM {guest.vmid}: skip VM {guest.vmid} - precondition check failed:")
        raise ApiError("\n".join(complaints))
    task.say(f"Check VM {guest.vmid}: precondition check passed")
    task.say(f"Migrating VM {guest.vmid}")
    more = {} if disks is None else {"with-local-disks": disks}
    return _ask(call, guest, "migrate", target=target, online=is_running, **more)


HANDLERS: Handlers = {
    "POST /nodes/{node}/suspendall": suspend_all,
    "POST /nodes/{node}/migrateall": migrate_all,
}
