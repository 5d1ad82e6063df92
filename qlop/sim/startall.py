"""Start the guests of a node in their order, as its boot does.

``startall`` in ``PVE/API2/Nodes.pm``; ``pve-guests.service`` calls it at the end of a boot.
"""

from collections.abc import Collection

from qlop.sim import power, workers
from qlop.sim.engine import World
from qlop.sim.state import Guest, Kind, Task, Worker

_POLL_S = 1.0
_VM_DELAY_S = 3
"""What PVE waits after each VM that says nothing else, "to reduce load"."""
_WORKERS_MAX = 8
_BOOT_S = 1.0
_LAST = 2**63 - 1


def start_on_boot(world: World, node: str) -> None:
    """Have a node that has booted start its ``onboot`` guests."""
    delay_s = float(world.nodes[node].config.get("startall-onboot-delay", "0"))
    world.schedule(_BOOT_S + delay_s, lambda: _begin(world, node))


def _begin(world: World, node: str) -> None:
    if not world.nodes[node].up:
        return
    workers.fork(
        world,
        node=node,
        kind="startall",
        subject="",
        user="root@pam",
        work=lambda task: start_all(world, task, node, named=(), force=False),
    )


def start_all(
    world: World, task: Task, node: str, *, named: Collection[int], force: bool
) -> Worker:
    """Start guests in a worker: lower ``startup`` orders first, each order to its end."""
    if not world.is_quorate():
        task.say("waiting for quorum ...")
        while not world.is_quorate():
            yield _POLL_S
        task.say("got quorum")
    _remove_backup_locks(world, task, node)
    starting: list[str] = []
    places_max = max(1, min(world.nodes[node].cores - 1, _WORKERS_MAX))
    for _, guests in sorted(_chosen(world, node, named, force=force).items()):
        for guest in guests:
            if guest.is_running or guest.node != node:
                continue
            name = "VM" if guest.kind is Kind.QEMU else "CT"
            task.say(f"Starting {name} {guest.vmid}")
            starting.append(power.autostart(world, guest, task.user))
            delay_s = startup(guest, "up", _VM_DELAY_S if guest.kind is Kind.QEMU else 0)
            if delay_s:
                yield float(delay_s)
            while len(workers.alive(world, starting)) >= places_max:
                yield _POLL_S
        while workers.alive(world, starting):
            yield _POLL_S


def _chosen(
    world: World, node: str, named: Collection[int], *, force: bool
) -> dict[int, list[Guest]]:
    """Return the guests to start, by their order; those of the HA manager only if named."""
    found: dict[int, list[Guest]] = {}
    for vmid, guest in sorted(world.guests.items()):
        wanted = force or guest.config.get("onboot") == "1"
        if guest.node != node or guest.is_template or not wanted:
            continue
        if vmid in named or (not named and world.ha.of(vmid) is None):
            found.setdefault(startup(guest, "order", _LAST), []).append(guest)
    return found


def startup(guest: Guest, name: str, default: int) -> int:
    """Return a number of a guest's ``startup`` option: its ``order``, ``up`` or ``down``."""
    for part in guest.config.get("startup", "").split(","):
        key, _, value = part.strip().partition("=")
        if value and key == name:
            return int(value)
        if not value and key.isdecimal() and name == "order":
            return int(key)
    return default


def _remove_backup_locks(world: World, task: Task, node: str) -> None:
    for guest in world.guests.values():
        if guest.node == node and guest.lock == "backup":
            guest.config.pop("lock")
            world.changed(guest)
            task.say(f"removed left over backup lock from '{guest.vmid}'!")
