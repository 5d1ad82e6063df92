"""Configure HA resources and rules, and show what the manager believes."""

import hashlib
import re

from qlop.ports import Json
from qlop.sim import ha, ha_rules
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Kind
from qlop.sim.wire import ApiError, Row

_OPTIONS = {"comment", "failback", "group", "max_relocate", "max_restart", "state"}
_INTEGERS = {"max_restart", "max_relocate", "failback"}


def _digest(world: World) -> str:
    text = str([(sid, sorted(s.options.items())) for sid, s in world.ha.services.items()])
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _sid(call: Call) -> str:
    """Return the service's id; a bare VMID gets its guest's type."""
    given = call.params["sid"]
    kind, colon, vmid = given.partition(":")
    if not colon:
        guest = call.world.guests.get(int(given)) if given.isdigit() else None
        if guest is None:
            raise ApiError(f"unable to detect SID from VMID - VM/CT {given} does not exist")
        return f"{'vm' if guest.kind is Kind.QEMU else 'ct'}:{given}"
    if kind not in {"vm", "ct"}:
        raise ApiError(f"unknown section type '{kind}'")
    del vmid
    return given


def _service(call: Call, prefix: str = "") -> Service:
    sid = _sid(call)
    service = call.world.ha.services.get(sid)
    if service is None:
        raise ApiError(f"{prefix}no such resource '{sid}'")
    return service


def _row(call: Call, service: Service) -> Row:
    row: Row = {"sid": service.sid, "type": service.sid.partition(":")[0]}
    for key, value in service.options.items():
        row[key] = int(value) if key in _INTEGERS else value
    row["digest"] = _digest(call.world)
    return row


def index(call: Call) -> Json:
    """Answer ``GET /cluster/ha``."""
    del call
    return [{"id": name} for name in ("status", "resources", "groups", "rules")]


def status_index(call: Call) -> Json:
    """Answer ``GET /cluster/ha/status``."""
    del call
    return [{"name": "current"}, {"name": "manager_status"}]


def groups(call: Call) -> Json:
    """Answer ``GET /cluster/ha/groups``: gone since PVE 9."""
    del call
    raise ApiError("cannot index groups: ha groups have been migrated to rules")


def create_group(call: Call) -> Json:
    """Answer ``POST /cluster/ha/groups``: gone since PVE 9."""
    del call
    raise ApiError("cannot create group: ha groups have been migrated to rules")


def resources(call: Call) -> Json:
    """Answer ``GET /cluster/ha/resources``."""
    wanted = call.get("type")
    return [
        _row(call, service)
        for service in call.world.ha.services.values()
        if wanted is None or service.sid.startswith(f"{wanted}:")
    ]


def resource(call: Call) -> Json:
    """Answer ``GET /cluster/ha/resources/{sid}``."""
    return _row(call, _service(call))


def add(call: Call) -> Json:
    """Answer ``POST /cluster/ha/resources``."""
    world = call.world
    sid = _sid(call)
    kind, _, vmid = sid.partition(":")
    if call.get("type") not in {None, kind}:
        raise ApiError("types does not match")
    if re.fullmatch(r"[1-9]\d{1,8}", vmid) is None:
        raise ApiError("invalid VMID")
    guest = world.guests.get(int(vmid))
    if guest is None:
        raise ApiError(f"resource '{sid}' does not exist in cluster")
    if (guest.kind is Kind.QEMU) != (kind == "vm"):
        name = "a VM" if kind == "vm" else "a container"
        raise ApiError(f"resource '{sid}' - guest with ID {vmid} is not {name}")
    if guest.is_template:
        raise ApiError(f"unable to add template '{sid}' to HA")
    if "group" in call.params:
        raise ApiError("cannot create ha resource: ha groups have been migrated to rules")
    if sid in world.ha.services:
        raise ApiError(f"create resource failed: resource ID '{sid}' already defined")
    world.need_quorum("domain-ha")
    options = {key: value for key, value in call.params.items() if key not in {"sid", "type"}}
    _rename_enabled(options)
    world.ha.services[sid] = Service(sid=sid, node=guest.node, options=options)
    world.wrote_file("ha/resources.cfg")
    world.changed(guest)
    ha.ensure_ticking(world)
    return None


def _rename_enabled(options: dict[str, str]) -> None:
    if options.get("state") == "enabled":
        options["state"] = "started"


def update(call: Call) -> Json:
    """Answer ``PUT /cluster/ha/resources/{sid}``."""
    world = call.world
    service = _service(call, "update resources config failed: ")
    if (digest := call.get("digest")) and digest != _digest(world):
        raise ApiError(
            "update resources config failed: detected modified configuration - file changed by "
            "other user? Try again."
        )
    world.need_quorum_prefixed("update resources config failed: ", "domain-ha")
    for name in split_list(call.text("delete")):
        if name not in _OPTIONS:
            raise ApiError(f"update resources config failed: no such option '{name}'")
        service.options.pop(name, None)
    ours = {"sid", "delete", "digest"}
    given = {key: value for key, value in call.params.items() if key not in ours}
    _rename_enabled(given)
    service.options.update(given)
    world.wrote_file("ha/resources.cfg")
    ha.ensure_ticking(world)
    return None


def remove(call: Call) -> Json:
    """Answer ``DELETE /cluster/ha/resources/{sid}``."""
    world = call.world
    sid = _sid(call)
    if sid not in world.ha.services:
        raise ApiError(f"cannot delete service '{sid}', not HA managed!")
    world.need_quorum("domain-ha")
    world.ha.remove(sid)
    world.wrote_file("ha/resources.cfg")
    if call.text("purge", "1") == "1":
        _purge_rules(world, sid)
    ha.ensure_ticking(world)
    guest = world.guests.get(int(sid.partition(":")[2]))
    if guest is not None:
        world.changed(guest)
    return None


def _purge_rules(world: World, sid: str) -> None:
    for name, rule in list(world.ha.rules.items()):
        left = [item for item in split_list(rule["resources"]) if item != sid]
        if left:
            rule["resources"] = ",".join(left)
        else:
            del world.ha.rules[name]


def migrate(call: Call) -> Json:
    """Answer ``POST …/{sid}/migrate``: any target is accepted."""
    return _move(call, "migrate")


def relocate(call: Call) -> Json:
    """Answer ``POST …/{sid}/relocate``: any target is accepted."""
    return _move(call, "relocate")


def _move(call: Call, what: str) -> Json:
    sid = _sid(call)
    service = call.world.ha.services.get(sid)
    if service is None:
        raise ApiError(f"resource '{sid}' is not HA managed")
    call.world.need_quorum("domain-ha")
    node = call.params["node"]
    service.command = (what, node)
    ha.ensure_ticking(call.world)
    row: Row = {"sid": sid, "requested-node": node}
    if together := ha_rules.companions(call.world, sid, "positive"):
        row["comigrated-resources"] = list[Json](together)
    return row


_RESOURCE = "/cluster/ha/resources/{sid}"

HANDLERS: Handlers = {
    "GET /cluster/ha": index,
    "GET /cluster/ha/groups": groups,
    "POST /cluster/ha/groups": create_group,
    "GET /cluster/ha/status": status_index,
    "GET /cluster/ha/resources": resources,
    "POST /cluster/ha/resources": add,
    f"GET {_RESOURCE}": resource,
    f"PUT {_RESOURCE}": update,
    f"DELETE {_RESOURCE}": remove,
    f"POST {_RESOURCE}/migrate": migrate,
    f"POST {_RESOURCE}/relocate": relocate,
}
