"""Keep guests as the HA configuration asks: the manager, its local workers, its API.

After ``pve-ha-manager``: the manager looks every ``TICK_S`` seconds; what it decides, the
node's local manager does some seconds later in tasks of ``root@pam``.
"""

from collections.abc import Callable

from qlop.sim import power, workers
from qlop.sim.call import Call
from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.state import Guest, Kind, Task, Worker
from qlop.sim.wire import TaskError

TICK_S = 10.0
"""The manager's and the local managers' rhythm."""

_RECOVERY_S = 60.0
"""From a node's loss to its fencing: then its services are recovered elsewhere."""

_RESTART_MAX = 1
"""How often a failed start is tried again on the same node, unless configured."""


def is_managed(world: World, vmid: int) -> bool:
    """Return whether power and placement of a guest belong to the HA manager."""
    service = world.ha.of(vmid)
    return service is not None and service.request != "ignored"


def request(call: Call, kind: str, text: str, state: str) -> str:
    """Start the task that only files a request with the manager."""
    return call.fork(kind, call.vmid, lambda task: _file(call, task, text, state))


def _file(call: Call, task: Task, text: str, state: str) -> Worker:
    world = call.world
    task.say(text)
    yield 1.0
    service = world.ha.of(call.vmid)
    if service is None:
        return
    if service.state == "error":
        task.say(f"service '{service.sid}' in error state, must be disabled and fixed first")
        command = f"ha-manager set {service.sid} --state {state}"
        if state == "stopped":
            timeout_s = call.number("timeout", 0)
            command = f"ha-manager crm-command stop {service.sid} {timeout_s}"
        raise TaskError(f"command '{command}' failed: exit code 255")
    service.options["state"] = state
    world.wrote_file("ha/resources.cfg")
    ensure_ticking(world)


def request_move(call: Call, kind: str, text: str, target: str) -> str:
    """Start the task that only files a migration with the manager."""

    def work(task: Task) -> Worker:
        task.say(text)
        yield 1.0
        service = call.world.ha.of(call.vmid)
        if service is not None:
            service.target = target
            ensure_ticking(call.world)

    return call.fork(kind, call.vmid, work)


def abort_shutdowns(call: Call, kind: str) -> None:
    """Interrupt the guest's running shutdown tasks."""
    for task in list(call.world.tasks.values()):
        if task.type == kind and task.id == str(call.vmid) and task.end_at is None:
            workers.kill(call.world, task, "received interrupt")


def ensure_ticking(world: World) -> None:
    """Let the manager look at its services from now on."""
    if not world.ha.is_manager_up:
        return
    if not world.ha.master:
        world.ha.master = next(iter(world.nodes))
    if not world.ha.ticking:
        world.ha.ticking = True
        world.schedule(TICK_S / 4, lambda: _tick(world))


def state_of(world: World, service: Service) -> str | None:
    """Return the manager's state of a service as guests and lists show it.

    ``None`` while no manager has taken notice of it.
    """
    if service.state == "queued" and not world.ha.is_manager_up:
        return None
    shown = {"starting": "started", "stopping": "request_stop", "queued": "started"}
    return shown.get(service.state, service.state)


def _tick(world: World) -> None:
    if not world.ha.services:
        world.ha.ticking = False
        return
    if world.is_quorate():
        for service in list(world.ha.services.values()):
            _look(world, service)
    world.schedule(TICK_S, lambda: _tick(world))


def _look(world: World, service: Service) -> None:
    guest = world.guests.get(service.vmid)
    if guest is None or service.busy:
        return
    service.node = guest.node
    world.ha.active_nodes.add(guest.node)
    node = world.nodes[guest.node]
    if not node.up:
        _fence(world, service, guest)
        return
    wanted = service.request
    if wanted == "ignored":
        _enter(world, service, "ignored")
        return
    if service.state == "error" and wanted != "disabled":
        return
    if guest.node in world.ha.maintenance and wanted == "started" and not service.target:
        service.target = _other_node(world, service, guest)
    if service.target:
        _move(world, service, guest)
    elif wanted in {"started", "enabled"}:
        _keep_running(world, service, guest)
    elif guest.is_running:
        _enter(world, service, "request_stop")
        _run(world, service, guest, "shutdown")
    else:
        _enter(world, service, "stopped")


def _enter(world: World, service: Service, state: str) -> None:
    if service.state != state:
        service.state = state
        service.since = world.now


def _keep_running(world: World, service: Service, guest: Guest) -> None:
    if guest.is_running:
        service.restarts = 0
        _enter(world, service, "started")
        return
    if guest.restarting:
        return
    limit = int(service.options.get("max_restart", str(_RESTART_MAX)))
    if service.restarts > limit:
        _enter(world, service, "error")
        return
    _enter(world, service, "starting")
    _run(world, service, guest, "start")


def _run(world: World, service: Service, guest: Guest, what: str) -> None:
    names = {
        (Kind.QEMU, "start"): "qmstart",
        (Kind.QEMU, "shutdown"): "qmshutdown",
        (Kind.LXC, "start"): "vzstart",
        (Kind.LXC, "shutdown"): "vzshutdown",
    }
    work: Callable[[Task], Worker]
    if what == "start":

        def work(task: Task) -> Worker:
            return _start(world, task, service, guest)
    else:

        def work(task: Task) -> Worker:
            return _shutdown(world, task, service, guest)

    service.busy = workers.fork(
        world,
        node=guest.node,
        kind=names[(guest.kind, what)],
        subject=str(guest.vmid),
        user="root@pam",
        work=work,
    )
    world.tasks[service.busy].on_end.append(service.sid)


def _check_startable(guest: Guest) -> None:
    if guest.lock not in {None, "suspended"}:
        raise TaskError(f"VM is locked ({guest.lock})")


def _start(world: World, task: Task, service: Service, guest: Guest) -> Worker:
    try:
        if guest.kind is Kind.LXC:
            yield from power.start_ct(world, task, guest)
        else:
            _check_startable(guest)
            yield from power.start_vm(world, task, guest)
        _enter(world, service, "started")
    except TaskError:
        service.restarts += 1
        raise
    finally:
        service.busy = ""


def _shutdown(world: World, task: Task, service: Service, guest: Guest) -> Worker:
    try:
        if guest.kind is Kind.QEMU and guest.run is not None:
            yield from power.ask_down(world, task, guest, 60, force=True)
        elif guest.run is not None:
            yield world.spec.timing.lxc_shutdown_s
            power.kill(world, guest)
    finally:
        service.busy = ""


def _other_node(world: World, service: Service, guest: Guest) -> str:
    """Choose the node with the fewest services, among those the rules allow."""
    allowed: set[str] = set(world.nodes)
    for rule in world.ha.rules.values():
        sids = rule.get("resources", "").split(",")
        if rule.get("type") == "node-affinity" and service.sid in sids:
            named = {item.partition(":")[0] for item in rule.get("nodes", "").split(",")}
            if rule.get("strict") == "1" or named & _online(world) - {guest.node}:
                allowed &= named
    candidates = sorted(allowed & _online(world) - {guest.node} - world.ha.maintenance)
    if not candidates:
        return ""
    load = dict.fromkeys(candidates, 0)
    for other in world.ha.services.values():
        if other.node in load:
            load[other.node] += 1
    return min(candidates, key=lambda name: (load[name], name))


def _online(world: World) -> set[str]:
    return {name for name, node in world.nodes.items() if node.up}


def _move(world: World, service: Service, guest: Guest) -> None:
    target, service.target = service.target, ""
    if target == guest.node or target not in world.nodes:
        return
    _enter(world, service, "migrate" if guest.kind is Kind.QEMU else "relocate")
    call = _own_call(world, guest, target)
    kind = "qmigrate" if guest.kind is Kind.QEMU else "vzmigrate"

    def work(task: Task) -> Worker:
        from qlop.sim import lxc_power, qemu_migrate  # noqa: PLC0415 - they ask HA in turn

        module = qemu_migrate if guest.kind is Kind.QEMU else lxc_power
        task.say("task started by HA resource agent")
        try:
            yield from module.work(world, task, guest.vmid, call)
        finally:
            service.busy = ""
            service.node = guest.node

    service.busy = workers.fork(
        world, node=guest.node, kind=kind, subject=str(guest.vmid), user="root@pam", work=work
    )


def _own_call(world: World, guest: Guest, target: str) -> Call:
    from qlop.sim import schema  # noqa: PLC0415 - only the manager's own calls need it
    from qlop.sim.access import Identity  # noqa: PLC0415

    path = f"/nodes/{guest.node}/{guest.kind.value}/{guest.vmid}/migrate"
    found = schema.table().find("POST", path)
    assert found is not None
    params = {"node": guest.node, "vmid": str(guest.vmid), "target": target, "online": "1"}
    params |= {"with-local-disks": "1"} if guest.kind is Kind.QEMU else {"restart": "1"}
    return Call(
        world=world,
        route=found[0],
        params=params,
        who=Identity(user="root@pam"),
        node=guest.node,
        contacted=guest.node,
    )


def _fence(world: World, service: Service, guest: Guest) -> None:
    """Recover a service whose node is gone: its configuration moves, with no task."""
    node = world.nodes[guest.node]
    if service.request not in {"started", "enabled"}:
        return
    if world.now - node.down_at < _RECOVERY_S:
        _enter(world, service, "fence")
        return
    target = _other_node(world, service, guest)
    if not target:
        _enter(world, service, "recovery")
        return
    guest.node = target
    guest.config.pop("lock", None)
    world.wrote(guest)
    service.node = target
    _enter(world, service, "started")
