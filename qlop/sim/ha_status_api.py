"""Show what the HA manager and the local managers say of themselves and of services."""

import datetime as dt

from qlop.ports import Json
from qlop.sim import ha
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.wire import Row

_OLD_S = 25.0
"""After this a manager that has not been heard of is taken for dead."""


def _date(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(int(at), tz=dt.UTC):%a %b %e %H:%M:%S %Y}"


def _told(world: World, name: str, mode: str, at: float) -> Row:
    """Return who says what, and since when nothing was heard of it."""
    if world.ha.ticking and world.now - at > _OLD_S:
        mode = "old timestamp - dead?"
    at = at if world.ha.ticking else world.now
    return {
        "node": name,
        "timestamp": int(at + world.clock_offset_s),
        "status": f"{name} ({mode}, {_date(at + world.clock_offset_s)})",
    }


def _lrm_mode(world: World, name: str) -> str:
    if name in world.ha.maintenance:
        return "maintenance mode"
    return "active" if name in world.ha.active_nodes else "idle"


def current(call: Call) -> Json:
    """Answer ``GET /cluster/ha/status/current``."""
    world = call.world
    quorate = world.is_quorate()
    rows: list[Json] = [
        {
            "id": "quorum",
            "type": "quorum",
            "node": call.contacted,
            "quorate": 1 if quorate else 0,
            "status": "OK" if quorate else f"No quorum on node '{call.contacted}'!",
        }
    ]
    if world.ha.beginnings:
        master = _told(world, world.ha.master, "active", world.ha.looked_at)
        rows.append({"id": "master", "type": "master", **master})
        for name in sorted(world.nodes):
            at = world.ha.heard_at.get(name, world.now)
            told = _told(world, name, _lrm_mode(world, name), at)
            rows.append({"id": f"lrm:{name}", "type": "lrm", **told})
    services = (*world.ha.services.values(), *world.ha.leaving.values())
    return rows + [_service_row(world, service) for service in services]


def _service_row(world: World, service: Service) -> Row:
    options, told = service.options, ha.told_state(world, service)
    row: Row = {
        "id": f"service:{service.sid}",
        "type": "service",
        "sid": service.sid,
        "node": service.node,
        "state": told,
        "request_state": service.request,
        "max_restart": int(options.get("max_restart", "1")),
        "max_relocate": int(options.get("max_relocate", "1")),
        "failback": int(options.get("failback", "1")),
        "status": f"{service.sid} ({service.node}, {told})",
    }
    if service.state:
        row["crm_state"] = service.state
    if "comment" in options:
        row["comment"] = options["comment"]
    return row


def _believed(service: Service) -> Row:
    row: Row = {"node": service.node, "state": service.state, "uid": f"{service.uid}"}
    if service.is_running:
        row["running"] = 1
    if service.target:
        row["target"] = service.target
    if service.left_for_maintenance:
        row["maintenance_node"] = service.left_for_maintenance
    if service.failed_nodes:
        row["failed_nodes"] = list[Json](service.failed_nodes)
    if service.state == "request_stop" and service.stop_timeout:
        row["timeout"] = service.stop_timeout
    return row


def manager(call: Call) -> Json:
    """Answer ``GET /cluster/ha/status/manager_status``."""
    world = call.world
    row: Row = {
        "quorum": {"node": call.contacted, "quorate": "1" if world.is_quorate() else ""},
        "manager_status": {"node_status": {}},
    }
    if not world.ha.beginnings:
        return row
    believed: Row = {
        "master_node": world.ha.master,
        "timestamp": int(world.ha.looked_at + world.clock_offset_s),
        "node_status": {name: _node_state(world, name) for name in world.nodes},
        "service_status": {
            service.sid: _believed(service)
            for service in world.ha.services.values()
            if service.state
        },
    }
    if world.ha.asked:
        believed["node_request"] = {
            name: {"maintenance": 1} if name in world.ha.maintenance else {}
            for name in sorted(world.ha.asked)
        }
    row["manager_status"] = believed
    row["lrm_status"] = {name: _lrm(world, name) for name in world.nodes}
    return row


def _node_state(world: World, name: str) -> str:
    if name in world.ha.maintenance:
        return "maintenance"
    return "unknown" if name in world.ha.offline_since else "online"


def _lrm(world: World, name: str) -> Row:
    is_maintained = name in world.ha.maintenance
    state = "active" if name in world.ha.active_nodes else "wait_for_agent_lock"
    at = world.ha.heard_at.get(name, world.now)
    return {
        "mode": "maintenance" if is_maintained else "active",
        "state": "maintenance" if is_maintained else state,
        "timestamp": int(at + world.clock_offset_s),
        "results": {},
    }


HANDLERS: Handlers = {
    "GET /cluster/ha/status/current": current,
    "GET /cluster/ha/status/manager_status": manager,
}
