"""Choose nodes for services as the HA rules ask, and check rules."""

from qlop.sim.engine import World
from qlop.sim.ha_state import Service
from qlop.sim.qemu_config import split_list


def online(world: World) -> set[str]:
    """Return the nodes that take part in the cluster."""
    return {name for name in world.nodes if world.is_online(name)}


def rules_for(world: World, sid: str, kind: str) -> list[dict[str, str]]:
    """Return the enabled rules of a kind that name a service."""
    return [
        rule
        for rule in world.ha.rules.values()
        if rule.get("type") == kind
        and rule.get("disable") != "1"
        and sid in split_list(rule.get("resources", ""))
    ]


def priorities(rule: dict[str, str]) -> dict[str, int]:
    """Return a node affinity's nodes with their priorities, 0 unless given."""
    pairs = (item.partition(":") for item in split_list(rule.get("nodes", "")))
    return {name: int(priority or 0) for name, _, priority in pairs}


def companions(world: World, sid: str, affinity: str) -> list[str]:
    """Return the other services that rules keep together with, or apart from, this one."""
    return sorted(
        {
            other
            for rule in rules_for(world, sid, "resource-affinity")
            if rule.get("affinity") == affinity
            for other in split_list(rule.get("resources", ""))
            if other != sid
        }
    )


def choose(world: World, service: Service, *, elsewhere: bool = False) -> str:
    """Return the node where a service should be: where it is, if that is as good as any.

    ``elsewhere`` rules its present node out. Empty: no node will do.
    """
    allowed = online(world) - world.ha.maintenance
    if elsewhere:
        allowed.discard(service.node)
    for rule in rules_for(world, service.sid, "node-affinity"):
        named = {name: value for name, value in priorities(rule).items() if name in allowed}
        if named:
            best = max(named.values())
            stays = service.node in named and service.options.get("failback", "1") == "0"
            allowed = {n for n, value in named.items() if value == best or (stays)}
        elif rule.get("strict") == "1":
            return ""
    allowed -= _nodes_of(world, companions(world, service.sid, "negative"))
    together = _nodes_of(world, companions(world, service.sid, "positive")) & allowed
    allowed = together or allowed
    if service.left_for_maintenance in allowed:
        return service.left_for_maintenance
    if service.node in allowed:
        return service.node
    return min(allowed, key=lambda name: (_load(world, name), name), default="")


def _nodes_of(world: World, sids: list[str]) -> set[str]:
    found = (world.ha.services.get(sid) for sid in sids)
    return {
        service.target or service.node
        for service in found
        if service is not None and service.request == "started" and service.state
    }


def _load(world: World, name: str) -> int:
    return sum(service.node == name for service in world.ha.services.values())


def complaint(world: World, name: str, rule: dict[str, str]) -> str:
    """Return what is wrong with a rule; empty if it may be."""
    for sid in split_list(rule.get("resources", "")):
        if sid not in world.ha.services:
            return f"resources: resource '{sid}' is not managed by HA"
    others = [other for key, other in world.ha.rules.items() if key != name]
    if rule.get("type") == "node-affinity":
        return _node_complaint(rule, others)
    return _resource_complaint(world, rule, others)


def _node_complaint(rule: dict[str, str], others: list[dict[str, str]]) -> str:
    taken = {
        sid
        for other in others
        if other.get("type") == "node-affinity"
        for sid in split_list(other.get("resources", ""))
    }
    for sid in split_list(rule.get("resources", "")):
        if sid in taken:
            return f"resources: resource '{sid}' is already used in another node affinity rule"
    return ""


def _resource_complaint(world: World, rule: dict[str, str], others: list[dict[str, str]]) -> str:
    sids = set(split_list(rule.get("resources", "")))
    if len(sids) < 2:
        return "resources: rule is ineffective as there are less than two resources"
    if rule.get("affinity") == "negative" and len(sids) > len(world.nodes):
        return "resources: rule defines more resources than available nodes"
    for other in others:
        is_graded = len(set(priorities(other).values())) > 1
        if is_graded and sids & set(split_list(other.get("resources", ""))):
            return "resources: resources are in node affinity rules with multiple priorities"
    return ""
