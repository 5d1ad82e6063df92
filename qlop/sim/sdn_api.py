"""Configure virtual networks: zones and vnets are only kept, and applied without effect."""

import hashlib

from qlop.ports import Json
from qlop.sim.call import Call, Handlers
from qlop.sim.state import Task, Worker
from qlop.sim.wire import ApiError, Row, bad_parameters

_ZONE_CHARACTERS_MAX = 8


def _digest(entries: dict[str, dict[str, str]]) -> str:
    return hashlib.sha1(str(sorted(entries.items())).encode(), usedforsecurity=False).hexdigest()


def _rows(call: Call, entries: dict[str, dict[str, str]]) -> Json:
    shows_pending = call.flag("pending")
    rows: list[Json] = []
    for entry in entries.values():
        row: Row = {**entry, "digest": None if shows_pending else _digest(entries)}
        if shows_pending:
            row |= {"pending": {}, "state": "new"}
        rows.append(row)
    return rows


def zones(call: Call) -> Json:
    """Answer ``GET /cluster/sdn/zones``."""
    return _rows(call, call.world.zones)


def add_zone(call: Call) -> Json:
    """Answer ``POST /cluster/sdn/zones``."""
    name = call.params["zone"]
    if len(name) > _ZONE_CHARACTERS_MAX:
        text = f"zone ID '{name}' can't be more length than {_ZONE_CHARACTERS_MAX} characters\n"
        raise bad_parameters({"zone": f"invalid format - {text}"})
    if name in call.world.zones:
        raise ApiError(
            f"create sdn zone object failed: sdn zone object ID '{name}' already defined"
        )
    call.world.zones[name] = dict(call.params)
    return None


def remove_zone(call: Call) -> Json:
    """Answer ``DELETE /cluster/sdn/zones/{zone}``."""
    name = call.params["zone"]
    if call.world.zones.pop(name, None) is None:
        raise ApiError(f"delete sdn zone object failed: sdn '{name}' does not exist")
    return None


def vnets(call: Call) -> Json:
    """Answer ``GET /cluster/sdn/vnets``."""
    return _rows(call, call.world.vnets)


def add_vnet(call: Call) -> Json:
    """Answer ``POST /cluster/sdn/vnets``."""
    name = call.params["vnet"]
    if name in call.world.vnets:
        raise ApiError(
            f"create sdn vnet object failed: sdn vnet object ID '{name}' already defined"
        )
    call.world.vnets[name] = {**call.params, "type": "vnet"}
    return None


def remove_vnet(call: Call) -> Json:
    """Answer ``DELETE /cluster/sdn/vnets/{vnet}``."""
    name = call.params["vnet"]
    if call.world.vnets.pop(name, None) is None:
        raise ApiError(f"delete sdn vnet object failed: sdn '{name}' does not exist")
    return None


def apply(call: Call) -> Json:
    """Answer ``PUT /cluster/sdn``: every node's network is reloaded by a task."""
    return call.fork("reloadnetworkall", "", lambda task: _reload(call, task))


def _reload(call: Call, task: Task) -> Worker:
    for name in call.world.nodes:
        task.say(f"{name}: reloading network config")
        yield 1.0


_SDN = "/cluster/sdn"

HANDLERS: Handlers = {
    f"PUT {_SDN}": apply,
    f"GET {_SDN}/zones": zones,
    f"POST {_SDN}/zones": add_zone,
    f"DELETE {_SDN}/zones/{{zone}}": remove_zone,
    f"GET {_SDN}/vnets": vnets,
    f"POST {_SDN}/vnets": add_vnet,
    f"DELETE {_SDN}/vnets/{{vnet}}": remove_vnet,
}
