"""The cluster resource manager: decide where services run and what they do.

After ``pve-ha-manager``'s state machine. It looks every ``TICK_S`` seconds; the local
managers, each in its own rhythm, carry out what it has decided (``ha_lrm``).
"""

from collections.abc import Callable, Mapping

from qlop.sim import ha_lrm, ha_rules
from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.state import Guest, Kind

TICK_S = 10.0

_FIRST_LOOK_S = 2.0

_OFFLINE_S = 60.0
"""How long a node may be gone before its services count as lost."""

_FENCED_S = 120.0
"""When a lost node's watchdog has certainly struck, and its locks have expired."""

_STEPS_MAX = 5


def begin(world: World) -> None:
    """Start the manager's and the local managers' rounds."""
    world.ha.ticking = True
    world.ha.looked_at = world.now
    world.ha.heard_at = dict.fromkeys(world.nodes, world.now)
    world.ha.beginnings += 1
    world.ha.master = world.ha.master or next(iter(world.nodes))
    world.schedule(_FIRST_LOOK_S, lambda: _tick(world))
    ha_lrm.begin(world, _FIRST_LOOK_S)


def _tick(world: World) -> None:
    if not world.ha.services and not world.ha.leaving:
        world.ha.ticking = False
        return
    world.schedule(TICK_S, lambda: _tick(world))
    if not world.is_quorate():
        return
    world.ha.looked_at = world.now
    world.ha.leaving.clear()
    here = ha_rules.online(world)
    for name in world.nodes:
        if name in here:
            world.ha.offline_since.pop(name, None)
        else:
            world.ha.offline_since.setdefault(name, world.now)
    if world.ha.master not in here:
        world.ha.master = min(here, default=world.ha.master)
    for _, service in sorted(world.ha.services.items()):
        _settle(world, service)


def _settle(world: World, service: Service) -> None:
    """Step a service through states until it stays in one."""
    guest = world.guests.get(service.vmid)
    if guest is None:
        return
    if service.request == "ignored":
        service.state, service.is_running, service.command = "", False, None
        return
    for _ in range(_STEPS_MAX):
        before = service.state
        _step(world, service, guest)
        if service.state in {before, "started"}:
            return


def _step(world: World, service: Service, guest: Guest) -> None:
    wants = service.request == "started"
    if not service.state:
        service.node = guest.node
        service.enter("request_start" if wants else "request_stop")
    elif service.state == "request_start":
        service.enter("started")
    else:
        _STEPS[service.state](world, service, guest)


def _await_stop(world: World, service: Service, guest: Guest) -> None:
    del guest
    if service.node in world.ha.offline_since:
        _lose(world, service)
    elif service.result:
        service.enter("stopped" if service.result == "ok" else "error")


def _rest(world: World, service: Service, guest: Guest) -> None:
    service.node = guest.node
    if not _obey(world, service) and service.request == "started":
        service.enter("request_start")


def _await_fence(world: World, service: Service, guest: Guest) -> None:
    del guest
    if world.now - world.nodes[service.node].down_at >= _FENCED_S:
        service.enter("recovery")


def _await_repair(world: World, service: Service, guest: Guest) -> None:
    del world, guest
    if service.request == "disabled":
        service.enter("stopped")
        service.relocations = service.failed_starts = 0
        service.failed_nodes.clear()


def _obey(world: World, service: Service) -> bool:
    """Take up a filed migration; one that leads nowhere is dropped."""
    command, service.command = service.command, None
    if command is None or command[0] == "stop":
        return False
    what, target = command
    if target == service.node or target not in ha_rules.online(world):
        return False
    service.target = target
    service.enter(what)
    for sid in ha_rules.companions(world, service.sid, "positive"):
        other = world.ha.services.get(sid)
        if other is not None and other.state == "started" and other.node != target:
            other.target = target
            other.enter(what)
    return True


def _keep(world: World, service: Service, guest: Guest) -> None:
    if service.node in world.ha.offline_since:
        _lose(world, service)
        return
    service.node = guest.node
    _take_stop(world, service)
    if service.request in {"stopped", "disabled"}:
        service.enter("request_stop")
    elif not _obey(world, service):
        _place(world, service, guest)


def _take_stop(world: World, service: Service) -> None:
    """Take up a filed stop: only now the configuration asks for it."""
    if service.command is not None and service.command[0] == "stop":
        service.options["state"], service.stop_timeout = "stopped", service.command[1]
        service.command = None
        world.wrote_file("ha/resources.cfg")


def _place(world: World, service: Service, guest: Guest) -> None:
    """See that a service that shall run does, and runs where it should."""
    failed = service.result == "error"
    if failed:
        service.relocations += 1
        if service.node not in service.failed_nodes:
            service.failed_nodes.append(service.node)
        if service.relocations > int(service.options.get("max_relocate", "1")):
            service.enter("error")
            return
        service.enter("started")
    elif service.result == "ok":
        service.is_running = True
        service.relocations = 0
        service.failed_nodes.clear()
    node = ha_rules.choose(world, service, elsewhere=failed)
    if node and node != service.node:
        if service.node in world.ha.maintenance:
            service.left_for_maintenance = service.node
        elif node == service.left_for_maintenance:
            service.left_for_maintenance = ""
        service.target = node
        service.enter("migrate" if guest.kind is Kind.QEMU else "relocate")


def _await_move(world: World, service: Service, guest: Guest) -> None:
    del guest
    if service.node in world.ha.offline_since:
        _lose(world, service)
    elif service.result:
        if service.result == "ok":
            service.node = service.target
        service.target = ""
        service.enter("started" if service.request == "started" else "request_stop")


def _lose(world: World, service: Service) -> None:
    if world.now - world.ha.offline_since[service.node] >= _OFFLINE_S:
        service.busy = service.target = ""
        service.enter("fence")


def _recover(world: World, service: Service, guest: Guest) -> None:
    """Take a service over from a dead node: its configuration moves, with no task."""
    node = ha_rules.choose(world, service, elsewhere=True)
    if not node:
        return
    guest.node = service.node = node
    guest.config.pop("lock", None)
    world.wrote(guest)
    service.enter("started" if service.request == "started" else "request_stop")


_STEPS: Mapping[str, Callable[[World, Service, Guest], None]] = {
    "request_stop": _await_stop,
    "stopped": _rest,
    "started": _keep,
    "migrate": _await_move,
    "relocate": _await_move,
    "fence": _await_fence,
    "recovery": _recover,
    "error": _await_repair,
}
"""What the manager does about a service in each state."""
