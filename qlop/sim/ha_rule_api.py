"""Configure HA rules: where services may run, together with which, apart from which."""

import hashlib

from qlop.ports import Json
from qlop.sim import ha_rules
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import World
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row

_INTEGERS = {"strict", "disable"}

_FOREIGN = {
    "node-affinity": ("affinity",),
    "resource-affinity": ("nodes", "strict"),
}
"""Options that belong to the other type of rule."""


def _digest(world: World) -> str:
    text = str(sorted((name, sorted(rule.items())) for name, rule in world.ha.rules.items()))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _row(world: World, name: str) -> Row:
    rule = world.ha.rules[name]
    row: Row = {key: int(value) if key in _INTEGERS else value for key, value in rule.items()}
    row |= {
        "rule": name,
        "digest": _digest(world),
        "order": list(world.ha.rules).index(name) + 1,
    }
    return row


def rules(call: Call) -> Json:
    """Answer ``GET /cluster/ha/rules``; a rule that makes no sense any more says why."""
    world, kind, sid = call.world, call.get("type"), call.get("resource")
    rows: list[Json] = []
    for name, rule in world.ha.rules.items():
        if kind is not None and rule["type"] != kind:
            continue
        if sid is not None and sid not in split_list(rule["resources"]):
            continue
        row = _row(world, name)
        complaint = "" if rule.get("disable") == "1" else ha_rules.complaint(world, name, rule)
        if complaint:
            option, _, text = complaint.partition(": ")
            row["errors"] = {option: [text]}
        rows.append(row)
    return rows


def rule(call: Call) -> Json:
    """Answer ``GET /cluster/ha/rules/{rule}``."""
    name = call.params["rule"]
    if name not in call.world.ha.rules:
        raise ApiError(f"no such ha rule '{name}'")
    return _row(call.world, name)


def add_rule(call: Call) -> Json:
    """Answer ``POST /cluster/ha/rules``."""
    world = call.world
    name = call.params["rule"]
    given = {key: value for key, value in call.params.items() if key != "rule"}
    for option in _FOREIGN[given["type"]]:
        if option in given:
            raise ApiError(f"unexpected property '{option}'")
    for option in ("nodes",) if given["type"] == "node-affinity" else ("affinity",):
        if option not in given:
            raise ApiError(f"missing value for required option '{option}'")
    world.need_quorum("domain-ha")
    if name in world.ha.rules:
        raise ApiError(f"create ha rule failed: HA rule '{name}' already defined")
    _check_nodes(world, given, "create ha rule failed: ")
    if complaint := ha_rules.complaint(world, name, given):
        raise ApiError(f"create ha rule failed: 400 Rule '{name}' is invalid.\n{complaint}")
    world.ha.rules[name] = given
    world.wrote_file("ha/rules.cfg")
    return None


def _check_nodes(world: World, rule: dict[str, str], prefix: str) -> None:
    unknown = sorted(set(ha_rules.priorities(rule)) - set(world.nodes))
    if unknown:
        raise ApiError(f"{prefix}cannot use non-existant node(s) {', '.join(unknown)}.")


def update_rule(call: Call) -> Json:
    """Answer ``PUT /cluster/ha/rules/{rule}``; the type must be repeated."""
    world = call.world
    name = call.params["rule"]
    if name not in world.ha.rules:
        raise ApiError(f"update HA rules failed: no such ha rule '{name}'")
    world.need_quorum("domain-ha")
    stored = world.ha.rules[name]
    if call.params["type"] != stored["type"]:
        raise ApiError("update HA rules failed: unexpected property 'type'")
    ours = {"rule", "delete", "digest"}
    given = {key: value for key, value in call.params.items() if key not in ours}
    for option in _FOREIGN[stored["type"]]:
        if option in given:
            raise ApiError(f"update HA rules failed: unexpected property '{option}'")
    _check_nodes(world, given, "update HA rules failed: ")
    for key in split_list(call.text("delete")):
        stored.pop(key, None)
    stored.update(given)
    world.wrote_file("ha/rules.cfg")
    return None


def remove_rule(call: Call) -> Json:
    """Answer ``DELETE /cluster/ha/rules/{rule}``: one that is not there is no error."""
    call.world.need_quorum("domain-ha")
    if call.world.ha.rules.pop(call.params["rule"], None) is not None:
        call.world.wrote_file("ha/rules.cfg")
    return None


HANDLERS: Handlers = {
    "GET /cluster/ha/rules": rules,
    "POST /cluster/ha/rules": add_rule,
    "GET /cluster/ha/rules/{rule}": rule,
    "PUT /cluster/ha/rules/{rule}": update_rule,
    "DELETE /cluster/ha/rules/{rule}": remove_rule,
}
