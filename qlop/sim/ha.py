"""File requests with the HA manager, and tell what it believes of a guest.

The manager itself is in ``ha_crm``, the nodes' local managers in ``ha_lrm``. Their workers
start, stop and move guests as API calls do, and those ask here: so this module knows neither,
and wakes the manager by what the builder of the world has left in ``HaState.begin``.
"""

from qlop.sim import workers
from qlop.sim.call import Call
from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.state import Task, Worker
from qlop.sim.wire import TaskError

_FILING_S = 1.5
"""How long a task takes that only files a request."""

_FAILBACK_S = 92.0
"""From the end of a node's maintenance until the manager uses it again."""


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
    yield _FILING_S
    service = world.ha.of(call.vmid)
    if service is None:
        return
    timeout = str(call.number("timeout", 0))
    if service.state == "error":
        task.say(f"service '{service.sid}' in error state, must be disabled and fixed first")
        command = f"ha-manager set {service.sid} --state {state}"
        if state == "stopped":
            command = f"ha-manager crm-command stop {service.sid} {timeout}"
        raise TaskError(f"command '{command}' failed: exit code 255")
    if state == "stopped":
        service.command = ("stop", timeout)
    else:
        service.options["state"] = state
        world.wrote_file("ha/resources.cfg")
    ensure_ticking(world)


def request_move(call: Call, kind: str, text: str, target: str) -> str:
    """Start the task that only files a migration with the manager."""

    def work(task: Task) -> Worker:
        task.say(text)
        yield _FILING_S
        service = call.world.ha.of(call.vmid)
        if service is not None:
            service.command = ("migrate", target)
            ensure_ticking(call.world)

    return call.fork(kind, call.vmid, work)


def abort_shutdowns(call: Call, kind: str) -> None:
    """Interrupt the guest's running shutdown tasks."""
    for task in list(call.world.tasks.values()):
        if task.type == kind and task.id == str(call.vmid) and task.end_at is None:
            workers.kill(call.world, task, "received interrupt")


def ensure_ticking(world: World) -> None:
    """Let the manager look at its services from now on."""
    if world.ha.is_manager_up and not world.ha.ticking:
        world.ha.begin()


def set_maintenance(world: World, node: str, *, is_on: bool) -> None:
    """Put a node into maintenance mode, or end it: its guests leave, and come back."""
    world.ha.asked.add(node)
    if is_on:
        world.ha.maintenance.add(node)
    else:
        world.schedule(_FAILBACK_S, lambda: world.ha.maintenance.discard(node))


def state_of(service: Service) -> str | None:
    """Return the manager's state of a service; ``None`` before it has taken notice."""
    if not service.state and service.request == "ignored":
        return "ignored"
    return service.state or None


def listed_state(world: World, vmid: int) -> str | None:
    """Return the state that the resource list shows of a guest, if any."""
    ha = world.ha
    service = ha.of(vmid)
    if service is not None:
        return service.state or service.request
    gone = ha.leaving.get(f"vm:{vmid}") or ha.leaving.get(f"ct:{vmid}")
    return gone.state or None if gone is not None else None


def told_state(world: World, service: Service) -> str:
    """Return the state in words, as the manager's status tells it."""
    request, state = service.request, service.state
    if service.sid in world.ha.leaving:
        return "deleting"
    if request == "ignored":
        return "ignored"
    if not state:
        return "queued"
    if state == "started":
        if request in {"stopped", "disabled"}:
            return "stopping"
        return "started" if service.is_running else "starting"
    if state == "stopped" and request in {"started", "disabled"}:
        return "starting" if request == "started" else "disabled"
    if state == "error" and request == "disabled":
        return "clearing error flag"
    return state
