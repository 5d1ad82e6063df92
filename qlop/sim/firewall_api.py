"""Keep firewall options, rules, sets and aliases of the cluster, its nodes and its guests.

Nothing is filtered; rules as ``PVE/API2/Firewall/*.pm`` store and check them.
"""

import hashlib
import re

from qlop.ports import Json
from qlop.sim.call import Call, Handler, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row, bad_parameters

_ACTIONS = {"ACCEPT", "DROP", "REJECT"}
_ADDRESS = re.compile(r"[0-9a-fA-F.:/]+(-[0-9a-fA-F.:]+)?")
_INTEGERS = {
    "enable", "dhcp", "ipfilter", "macfilter", "ndp", "radv", "ebtables", "nosmurfs", "tcpflags",
}  # fmt: skip


def _scope(call: Call) -> str:
    if "vmid" in call.params:
        return f"guest/{call.vmid}"
    if call.route.template.startswith("/nodes/"):
        return f"node/{call.node}"
    if "group" in call.params:
        return f"group/{call.params['group']}"
    return "cluster"


def _rules(call: Call) -> list[dict[str, str]]:
    return call.world.rules.setdefault(_scope(call), [])


def _digest(call: Call) -> str:
    stored = call.world.firewall.get(_scope(call), {})
    rules = call.world.rules.get(_scope(call), [])
    text = "" if not stored and not rules else f"{sorted(stored.items())}{rules}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def options(call: Call) -> Json:
    """Answer ``GET …/firewall/options``."""
    stored = call.world.firewall.get(_scope(call), {})
    row: Row = {key: int(value) if key in _INTEGERS else value for key, value in stored.items()}
    if _scope(call) == "cluster":
        row.setdefault("enable", 0)
    row["digest"] = _digest(call)
    return row


def set_options(call: Call) -> Json:
    """Answer ``PUT …/firewall/options``."""
    stored = call.world.firewall.setdefault(_scope(call), {})
    for name in split_list(call.text("delete")):
        stored.pop(name, None)
    ours = {"node", "vmid", "delete", "digest"}
    stored.update({key: value for key, value in call.params.items() if key not in ours})
    return None


def rules(call: Call) -> Json:
    """Answer ``GET …/firewall/rules``."""
    return [_rule_row(call, index, rule) for index, rule in enumerate(_rules(call))]


def _rule_row(call: Call, index: int, rule: dict[str, str]) -> Row:
    row: Row = {**rule, "pos": index, "enable": int(rule.get("enable", "0"))}
    row["digest"] = _digest(call)
    if "source" in rule or "dest" in rule:
        address = rule.get("source", rule.get("dest", ""))
        row["ipversion"] = 6 if ":" in address else 4
    return row


def _position(call: Call) -> int:
    index = call.number("pos")
    if index >= len(_rules(call)):
        raise ApiError(f"no rule at position {index}")
    return index


def rule(call: Call) -> Json:
    """Answer ``GET …/firewall/rules/{pos}``."""
    index = _position(call)
    row = _rule_row(call, index, _rules(call)[index])
    row["pos"] = str(index)
    return row


def _checked(call: Call, given: dict[str, str]) -> dict[str, str]:
    errors: dict[str, str] = {}
    action = given.get("action", "")
    if given.get("type") == "group":
        pass
    elif action not in _ACTIONS and not re.fullmatch(r"[A-Z][A-Za-z0-9]+\(.*\)", action):
        errors["action"] = f"unknown action '{action}'"
    for name in ("dport", "sport"):
        if name in given and "proto" not in given and "macro" not in given:
            errors["proto"] = f"missing property - '{name}' requires this property"
    known = call.world.firewall
    for name in ("source", "dest"):
        value = given.get(name, "")
        if not value or value.startswith("+") or _ADDRESS.fullmatch(value):
            continue
        aliases = {**known.get("aliases", {}), **known.get(f"aliases/{_scope(call)}", {})}
        if value not in aliases:
            errors[name] = f"no such alias '{value}'"
    if errors:
        raise bad_parameters(errors)
    return given


def add_rule(call: Call) -> Json:
    """Answer ``POST …/firewall/rules``: a new rule comes first unless told otherwise."""
    ours = {"node", "vmid", "group", "pos", "digest"}
    given = {key: value for key, value in call.params.items() if key not in ours}
    _rules(call).insert(0, _checked(call, given))
    return None


def update_rule(call: Call) -> Json:
    """Answer ``PUT …/firewall/rules/{pos}``: change it, or move it with ``moveto``."""
    index = _position(call)
    stored = _rules(call)
    if "moveto" in call.params:
        moved = stored.pop(index)
        target = call.number("moveto")
        stored.insert(target - 1 if target > index else target, moved)
        return None
    ours = {"node", "vmid", "group", "pos", "digest", "delete"}
    given = {key: value for key, value in call.params.items() if key not in ours}
    changed = {**stored[index], **given}
    for name in split_list(call.text("delete")):
        changed.pop(name, None)
    stored[index] = _checked(call, changed)
    return None


def delete_rule(call: Call) -> Json:
    """Answer ``DELETE …/firewall/rules/{pos}``."""
    del _rules(call)[_position(call)]
    return None


def _named(kind: str) -> tuple[Handler, Handler, Handler]:
    """Return list, creation and removal of sets, aliases or groups."""

    def store(call: Call) -> dict[str, str]:
        return call.world.firewall.setdefault(f"{kind}/{_scope(call)}", {})

    def listing(call: Call) -> Json:
        field = "group" if kind == "groups" else "name"
        return [
            {field: name, "digest": _digest(call), **({"cidr": cidr} if cidr else {})}
            for name, cidr in store(call).items()
        ]

    def create(call: Call) -> Json:
        name = call.text("name") or call.text("group")
        store(call)[name] = call.text("cidr")
        return None

    def remove(call: Call) -> Json:
        name = call.text("name") or call.text("group")
        if store(call).pop(name, None) is None and kind != "ipset":
            raise ApiError(f"no such {kind.removesuffix('s')} '{name}'")
        return None

    return listing, create, remove


def set_members(call: Call) -> Json:
    """Answer ``GET …/firewall/ipset/{name}``."""
    stored = call.world.firewall.get(f"members/{_scope(call)}/{call.params['name']}", {})
    return [{"cidr": cidr, "digest": _digest(call)} for cidr in stored]


def add_member(call: Call) -> Json:
    """Answer ``POST …/firewall/ipset/{name}``."""
    key = f"members/{_scope(call)}/{call.params['name']}"
    call.world.firewall.setdefault(key, {})[call.params["cidr"]] = ""
    return None


def _routes(base: str) -> dict[str, Handler]:
    ipsets, add_ipset, remove_ipset = _named("ipset")
    aliases, add_alias, remove_alias = _named("aliases")
    found: dict[str, Handler] = {
        f"GET {base}/options": options,
        f"PUT {base}/options": set_options,
        f"GET {base}/rules": rules,
        f"POST {base}/rules": add_rule,
        f"GET {base}/rules/{{pos}}": rule,
        f"PUT {base}/rules/{{pos}}": update_rule,
        f"DELETE {base}/rules/{{pos}}": delete_rule,
    }
    if "/nodes/{node}/firewall" in base:
        return found
    return {
        **found,
        f"GET {base}/ipset": ipsets,
        f"POST {base}/ipset": add_ipset,
        f"DELETE {base}/ipset/{{name}}": remove_ipset,
        f"GET {base}/ipset/{{name}}": set_members,
        f"POST {base}/ipset/{{name}}": add_member,
        f"GET {base}/aliases": aliases,
        f"POST {base}/aliases": add_alias,
        f"DELETE {base}/aliases/{{name}}": remove_alias,
    }


_GROUPS = _named("groups")

HANDLERS: Handlers = {
    **_routes("/cluster/firewall"),
    **_routes("/nodes/{node}/firewall"),
    **_routes("/nodes/{node}/qemu/{vmid}/firewall"),
    **_routes("/nodes/{node}/lxc/{vmid}/firewall"),
    "GET /cluster/firewall/groups": _GROUPS[0],
    "POST /cluster/firewall/groups": _GROUPS[1],
    "DELETE /cluster/firewall/groups/{group}": _GROUPS[2],
    "GET /cluster/firewall/groups/{group}": rules,
    "POST /cluster/firewall/groups/{group}": add_rule,
    "DELETE /cluster/firewall/groups/{group}/{pos}": delete_rule,
}
