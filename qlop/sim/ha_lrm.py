"""The local resource managers: carry out, in tasks of root@pam, what the manager decided."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from qlop.sim import hardware, lxc_power, power, qemu_migrate, schema, workers
from qlop.sim.access import Identity
from qlop.sim.call import Call
from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import TaskError

_TICK_S = 10.0

_PHASES_S = (2.0, 8.0, 5.0)
"""How long after the manager's look the nodes have theirs: each has its own rhythm."""

_SHUTDOWN_S = 60.0

WATCHDOG_S = 60.0
"""How long a node with services may be without quorum before its watchdog resets it."""

_RESET_S = 90.0
"""How long a host takes to be back after a reset."""

_NAMES = {
    (Kind.QEMU, "start"): "qmstart",
    (Kind.QEMU, "stop"): "qmstop",
    (Kind.QEMU, "shutdown"): "qmshutdown",
    (Kind.QEMU, "migrate"): "qmigrate",
    (Kind.LXC, "start"): "vzstart",
    (Kind.LXC, "stop"): "vzstop",
    (Kind.LXC, "shutdown"): "vzshutdown",
    (Kind.LXC, "migrate"): "vzmigrate",
}


def begin(world: World, first_s: float) -> None:
    """Start every node's rounds, ``first_s`` after which the manager has its first look."""
    for index, name in enumerate(world.nodes):
        phase = first_s + _PHASES_S[index % len(_PHASES_S)]
        world.schedule(phase, functools.partial(_tick, world, name, world.ha.beginnings))


def _tick(world: World, name: str, beginning: int) -> None:
    if not world.ha.ticking or world.ha.beginnings != beginning:
        return
    world.schedule(_TICK_S, lambda: _tick(world, name, beginning))
    if not world.is_online(name):
        return
    if not world.is_quorate():
        _mind_watchdog(world, name)
        return
    world.ha.heard_at[name] = world.now
    for _, service in sorted(world.ha.services.items()):
        guest = world.guests.get(service.vmid)
        if service.node == name and service.state and guest is not None:
            world.ha.active_nodes.add(name)
            if not _is_busy(world, service) and guest.node == name:
                _work(_Job(world=world, service=service, guest=guest))


def _is_busy(world: World, service: Service) -> bool:
    """Return whether a worker is at it; one that died with its node is not."""
    task = world.tasks.get(service.busy)
    return task is not None and task.end_at is None


def _mind_watchdog(world: World, name: str) -> None:
    """Let a node reset itself that has services and no quorum: nobody feeds its watchdog.

    After ``lost_agent_lock`` in ``PVE/HA/LRM.pm`` and ``watchdog-mux.c``: whoever else takes
    the services over may rely on it.
    """
    has_services = any(
        one.node == name and one.state and one.request != "ignored"
        for one in world.ha.services.values()
    )
    if not has_services or name not in world.ha.active_nodes or not world.ha.has_watchdog:
        return
    if world.now - world.ha.heard_at.get(name, world.now) >= WATCHDOG_S:
        world.ha.active_nodes.discard(name)
        hardware.power_off(world, name)
        world.schedule(_RESET_S, lambda: hardware.power_on(world, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A service to work on, and its guest."""

    world: World
    service: Service
    guest: Guest


def _work(job: _Job) -> None:
    service, guest = job.service, job.guest
    match service.state:
        case "started":
            if guest.is_running:
                service.result, service.failed_starts = "ok", 0
            elif not guest.restarting and service.result != "error":
                service.result = ""
                _fork(job, "start", _starting(job))
        case "request_stop" if not service.result:
            if not guest.is_running:
                service.result, service.stop_timeout = "ok", ""
            elif service.stop_timeout == "0":
                _fork(job, "stop", _stopping(job))
            else:
                _fork(job, "shutdown", _asking(job))
        case "migrate" | "relocate" if not service.result:
            _move(job)
        case _:
            return


def _move(job: _Job) -> None:
    goes_down = job.guest.kind is Kind.LXC or job.service.state == "relocate"
    moving = _moving(job)
    if not goes_down or not job.guest.is_running:
        _fork(job, "migrate", moving)
        return
    _fork(job, "shutdown", _asking(job), then=lambda: _fork(job, "migrate", moving))


_Work = Callable[[Task], Worker]


def _fork(job: _Job, what: str, work: _Work, then: Callable[[], None] | None = None) -> None:
    service, uid = job.service, job.service.uid

    def watched(task: Task) -> Worker:
        result = "error"
        try:
            yield from work(task)
            result = "ok"
        finally:
            service.busy = ""
            if service.uid == uid:
                _report(service, what, result, then)

    service.busy = workers.fork(
        job.world,
        node=job.guest.node,
        kind=_NAMES[job.guest.kind, what],
        subject=str(job.guest.vmid),
        user="root@pam",
        work=watched,
    )


def _report(service: Service, what: str, result: str, then: Callable[[], None] | None) -> None:
    if what == "start" and result == "error":
        service.failed_starts += 1
        if service.failed_starts <= int(service.options.get("max_restart", "1")):
            return
        service.failed_starts = 0
    if result == "ok" and then is not None:
        then()
        return
    service.result = result


def _starting(job: _Job) -> _Work:
    world, guest = job.world, job.guest

    def work(task: Task) -> Worker:
        if guest.kind is Kind.LXC:
            yield from power.start_ct(world, task, guest)
            return
        if guest.is_template:
            raise TaskError("you can't start a vm if it's a template")
        if guest.lock not in {None, "suspended"}:
            raise TaskError(f"VM is locked ({guest.lock})")
        yield from power.start_vm(world, task, guest)

    return work


def _stopping(job: _Job) -> _Work:
    world, guest = job.world, job.guest

    def work(task: Task) -> Worker:
        del task
        yield world.spec.timing.stop_s
        if guest.kind is Kind.LXC:
            power.kill(world, guest)
        else:
            power.stopped(world, guest)

    return work


def _asking(job: _Job) -> _Work:
    world, guest = job.world, job.guest
    is_stop = job.service.state == "request_stop"
    given = job.service.stop_timeout if is_stop else ""
    timeout_s = float(given) if given.isdigit() else _SHUTDOWN_S

    def work(task: Task) -> Worker:
        if guest.run is None:
            return
        if guest.kind is Kind.QEMU:
            yield from power.ask_down(world, task, guest, timeout_s, force=True)
        else:
            yield from power.ask_ct_down(world, task, guest, timeout_s, force=True)

    return work


def _moving(job: _Job) -> _Work:
    world, guest = job.world, job.guest
    target = job.service.target

    def work(task: Task) -> Worker:
        task.say("task started by HA resource agent")
        module = qemu_migrate if guest.kind is Kind.QEMU else lxc_power
        yield from module.work(world, task, guest.vmid, _own_call(world, guest, target))

    return work


def _own_call(world: World, guest: Guest, target: str) -> Call:
    path = f"/nodes/{guest.node}/{guest.kind.value}/{guest.vmid}/migrate"
    found = schema.table().find("POST", path)
    assert found is not None
    params = {"node": guest.node, "vmid": str(guest.vmid), "target": target}
    if guest.kind is Kind.QEMU:
        params |= {"online": "1", "with-local-disks": "1"}
    else:
        params |= {"restart": "1"}
    return Call(
        world=world,
        route=found[0],
        params=params,
        who=Identity(user="root@pam"),
        node=guest.node,
        contacted=guest.node,
    )
