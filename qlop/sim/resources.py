"""List everything in the cluster in one call, as late as the status daemons are.

``vmid``, ``node``, ``type``, ``pool``, ``lock``, ``tags`` and ``hastate`` are live; name,
status and usage are what the node last pushed, and ``unknown`` when that is too old
(``PVE/API2Tools.pm``, ``PVE/API2/Cluster.pm``). Encoded rows are kept while they are right.
"""

import hashlib
from collections.abc import Iterator
from operator import attrgetter

import orjson

from qlop.ports import Json
from qlop.sim import ha, injection, status, volumes
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import World
from qlop.sim.state import Guest
from qlop.sim.wire import Row, SimResponse

STALE_S = 300.0
"""After this a node's pushes are forgotten."""


def resources(call: Call) -> SimResponse:
    """Answer ``GET /cluster/resources``."""
    world = call.world
    wanted = call.get("type")
    view = f"{call.who.full} {wanted}"
    if world.frozen_list and view in world.frozen_list:
        return SimResponse(encoded=world.frozen_list[view])
    parts: list[bytes] = []
    if wanted in {None, "vm"}:
        parts.extend(_guests(call))
    if wanted is None:
        parts.extend(orjson.dumps(row) for row in _pools(call))
    if wanted in {None, "node"}:
        parts.extend(orjson.dumps(row) for row in node_rows(call))
    if wanted in {None, "storage"}:
        parts.extend(orjson.dumps(row) for row in _storages(call))
    if wanted in {None, "sdn"}:
        parts.extend(orjson.dumps(row) for row in _zones(call))
    encoded = b"[" + b",".join(parts) + b"]"
    if world.frozen_list is not None:
        world.frozen_list[view] = encoded
    return SimResponse(encoded=encoded)


def _guests(call: Call) -> Iterator[bytes]:
    world = call.world
    sees_all = not world.access.acl and call.may("/", "VM.Audit")
    hides = any(fault.effect.value == "unknown-status" for fault in world.faults)
    # `sort keys %$idlist` in PVE/API2/Cluster.pm.
    for guest in sorted(world.guests.values(), key=attrgetter("vmid")):
        if not sees_all and not call.may(f"/vms/{guest.vmid}", "VM.Audit"):
            continue
        if hides and injection.hides_status(world, guest.vmid):
            yield orjson.dumps(guest_row(world, guest, hidden=True))
            continue
        node = world.nodes[guest.node]
        key = (
            node.pushed_at if guest.run is not None else 0.0,
            world.now - node.pushed_at > STALE_S,
            world.access.vm_pool.get(guest.vmid),
            _ha(world, guest),
        )
        if guest.row is None or guest.row_key != key:
            guest.row = orjson.dumps(guest_row(world, guest))
            guest.row_key = key
        yield guest.row


def _ha(world: World, guest: Guest) -> str | None:
    if not world.ha.services and not world.ha.leaving:
        return None
    return ha.listed_state(world, guest.vmid)


def guest_row(world: World, guest: Guest, *, hidden: bool = False) -> Row:
    """Return a guest's entry."""
    node = world.nodes[guest.node]
    row: Row = {
        "id": f"{guest.kind.value}/{guest.vmid}",
        "type": guest.kind.value,
        "vmid": guest.vmid,
        "node": guest.node,
        "status": "unknown",
    }
    if (pool := world.access.vm_pool.get(guest.vmid)) is not None:
        row["pool"] = pool
    if (state := _ha(world, guest)) is not None:
        row["hastate"] = state
    for key in ("lock", "tags"):
        if key in guest.config:
            row[key] = guest.config[key]
    seen = guest.seen
    if seen is None or hidden or world.now - node.pushed_at > STALE_S:
        return row
    memory = seen.maxmem
    is_on = seen.status != "stopped"
    uptime = max(0, int(node.pushed_at - seen.started_at)) if is_on else 0
    cpu, share = status.load_of(guest, node.pushed_at) if is_on else (0.0, 0.0)
    row.update(
        status=seen.status,
        name=seen.name,
        template=1 if seen.template else 0,
        maxcpu=seen.cpus,
        cpu=round(cpu, 6) if is_on else 0,
        maxmem=memory,
        mem=int(memory * share),
        memhost=int(memory * share) if guest.kind.value == "qemu" else 0,
        maxdisk=seen.maxdisk,
        disk=0,
        uptime=uptime,
        netin=uptime * 120,
        netout=uptime * 80,
        diskread=uptime * 4096,
        diskwrite=uptime * volumes.WRITTEN_BYTES_PER_S,
    )
    return row


def node_rows(call: Call) -> Iterator[Row]:
    """Yield the nodes' entries, as much of them as the caller may see."""
    world = call.world
    for name in sorted(world.nodes):
        row = node_row(world, name, full=call.may(f"/nodes/{name}", "Sys.Audit"))
        row["cgroup-mode"] = 2
        if world.ha.services:
            row["hastate"] = _ha_mode(world, name)
        row.pop("ssl_fingerprint", None)
        yield row


def _ha_mode(world: World, name: str) -> str:
    if name in world.ha.maintenance:
        return "maintenance"
    return "unknown" if name in world.ha.offline_since else "online"


def node_row(world: World, name: str, *, full: bool) -> Row:
    """Return a node's entry in the list of nodes."""
    node = world.nodes[name]
    online = world.is_online(name)
    row: Row = {
        "id": f"node/{name}",
        "node": name,
        "type": "node",
        "status": "online" if online else "offline",
        "level": "",
        "ssl_fingerprint": fingerprint(name),
    }
    if not online and world.now - node.pushed_at > STALE_S:
        del row["level"]
        return row
    if not full:
        return row
    row["maxcpu"] = node.cores
    row["maxmem"] = node.memory_bytes
    row["maxdisk"] = node.rootfs_bytes
    if online:
        cpu, mem = node_load(world, name)
        row["cpu"] = cpu
        row["mem"] = mem
        row["disk"] = node.rootfs_bytes // 20
        row["uptime"] = max(0, int(node.pushed_at - node.boot_at))
    return row


def node_load(world: World, name: str) -> tuple[float, int]:
    """Return a node's processor share and memory in use: its running guests', and its own."""
    node = world.nodes[name]
    cores, memory = 0.0, 1_500_000_000
    if len(world.guests) <= 2_000:
        for guest in world.guests.values():
            if guest.node == name and guest.run is not None:
                cpu, share = status.load_of(guest, node.pushed_at)
                cores += cpu * status.cpu_count(world, guest)
                memory += int(status.maxmem(guest) * share)
    return round(min(1.0, 0.01 + cores / node.cores), 6), min(memory, node.memory_bytes)


def fingerprint(name: str) -> str:
    """Return a stable certificate fingerprint for a node that serves no HTTPS."""
    digest = hashlib.sha256(name.encode()).hexdigest().upper()
    return ":".join(digest[index : index + 2] for index in range(0, 64, 2))


def _pools(call: Call) -> Iterator[Row]:
    for poolid in sorted(call.world.pools):
        if call.may(f"/pool/{poolid}", "Pool.Audit"):
            yield {"id": f"/pool/{poolid}", "type": "pool", "pool": poolid}


def _storages(call: Call) -> Iterator[Row]:
    world = call.world
    for node in sorted(world.nodes):
        for name, storage in sorted(world.storages.items()):
            if storage.disabled or not volumes.is_on_node(storage, node):
                continue
            if not call.may(f"/storage/{name}", "Datastore.Audit"):
                continue
            row: Row = {
                "id": f"storage/{node}/{name}",
                "storage": name,
                "node": node,
                "type": "storage",
                "plugintype": storage.type,
                "content": ",".join(storage.content),
                "shared": 1 if storage.shared else 0,
                "status": "unknown",
            }
            if world.now - world.nodes[node].pushed_at <= STALE_S:
                row["status"] = "available"
                row["disk"] = volumes.used_bytes(storage, node)
                row["maxdisk"] = storage.total_bytes
            yield row


def _zones(call: Call) -> Iterator[Row]:
    world = call.world
    for node in sorted(world.nodes):
        if call.may("/sdn/zones/localnetwork", "SDN.Audit"):
            yield {
                "id": f"network/{node}/zone/localnetwork",
                "type": "network",
                "network": "localnetwork",
                "network-type": "zone",
                "node": node,
                "status": "ok",
            }


HANDLERS: Handlers = {"GET /cluster/resources": resources}


def pool_member(world: World, guest: Guest) -> Json:
    """Return a guest's entry in its pool."""
    row = guest_row(world, guest)
    row.pop("pool", None)
    return row
