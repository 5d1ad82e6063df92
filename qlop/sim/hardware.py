"""Let hosts, quorum and disks fail and recover."""

from qlop.sim import power, startall, workers
from qlop.sim.engine import World


def power_off(world: World, name: str) -> None:
    """Cut a node's power: its guests, its workers and its daemons are gone at once."""
    node = world.nodes[name]
    if not node.up:
        return
    node.up = False
    node.down_at = world.now
    workers.lose(world, name)
    for guest in world.guests.values():
        if guest.node == name and guest.run is not None:
            power.kill(world, guest)


def power_on(world: World, name: str) -> None:
    """Bring a node back: it has booted, and starts its ``onboot`` guests."""
    node = world.nodes[name]
    if node.up:
        return
    node.up = True
    node.boot_at = world.now
    node.proxy_up = node.daemon_up = True
    for guest in world.guests.values():
        if guest.node == name:
            world.changed(guest)
    startall.start_on_boot(world, name)


def restore_quorum(world: World) -> None:
    """Let the vote be counted again."""
    world.forced_quorum = None


def freeze_list(world: World, seconds: float) -> None:
    """Keep the resource list as its next readers see it, for ``seconds``."""
    world.frozen_list = {}
    world.schedule(seconds, lambda: _thaw(world))


def _thaw(world: World) -> None:
    world.frozen_list = None


def fill(world: World, storage: str, node: str, share: float) -> None:
    """Let strangers use space until ``share`` (0 to 1) of a storage is taken."""
    entry = world.storages[storage]
    at = "" if entry.shared else node
    own = sum(
        volume.used_bytes
        for (_, where), volume in world.volumes.items()
        if volume.storage == storage and where == at
    )
    entry.fill_bytes[at] = max(0, int(entry.total_bytes * share) - own)


def fill_for(world: World, storage: str, seconds: float) -> None:
    """Fill a storage on every node, and empty it of strangers' data after ``seconds``."""
    entry = world.storages[storage]
    places = [""] if entry.shared else list(world.nodes)
    for node in places:
        fill(world, storage, node, 1.0)
    world.schedule(seconds, entry.fill_bytes.clear)
