"""Keep firewall options, rules, sets and aliases of the cluster, its nodes and its guests.

Nothing is filtered; rules as ``PVE/API2/Firewall/*.pm`` store and check them.
"""

import hashlib
import re

from qlop.ports import Json
from qlop.sim.call import Call, Handler, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row, bad_parameters

_PLACE = {"node", "vmid", "delete", "digest"}
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
    for name in split_list(call.text("delete")):
        if name in _PLACE or call.route.spec(name) is None:
            raise bad_parameters({"delete": f"no such option '{name}'"})
    if (digest := call.get("digest")) and digest != _digest(call):
        raise ApiError("detected modified configuration - file changed by other user? Try again.")
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
    for name in ("source", "dest"):
        if text := _unknown(call, given.get(name, "")):
            errors[name] = text
    interface = given.get("iface", "")
    if interface and "vmid" in call.params and not re.fullmatch(r"net\d+", interface):
        errors["iface"] = "value does not match the regex pattern 'net\\d+'"
    if errors:
        raise bad_parameters(errors)
    return given


def _unknown(call: Call, value: str) -> str:
    """Return what is wrong with an address that names a set or an alias, if anything is."""
    if value.startswith("+"):
        return "" if _is_set(call, value[1:]) else f"no such ipset '{value[1:]}'"
    if not value or _ADDRESS.fullmatch(value):
        return ""
    known = call.world.firewall
    aliases = {**known.get("aliases/cluster", {}), **known.get(f"aliases/{_scope(call)}", {})}
    return "" if value.rpartition("/")[2] in aliases else f"no such alias '{value}'"


def _is_set(call: Call, name: str) -> bool:
    """Return whether a rule may name this set: its guest's, the cluster's, or PVE's own."""
    place, _, last = name.rpartition("/")
    known = call.world.firewall
    scopes = {"guest": [_scope(call)], "dc": ["cluster"]}.get(place, [_scope(call), "cluster"])
    is_known = any(last in known.get(f"ipset/{scope}", {}) for scope in scopes)
    return is_known or place == "sdn" or last == "management"


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
    titles = {"ipset": "IPSet", "aliases": "alias"}

    def store(call: Call) -> dict[str, str]:
        return call.world.firewall.setdefault(f"{kind}/{_scope(call)}", {})

    def listing(call: Call) -> Json:
        field = "group" if kind == "groups" else "name"
        return [
            {
                field: name,
                "digest": _digest(call),
                **({"cidr": cidr, "ipversion": 6 if ":" in cidr else 4} if cidr else {}),
            }
            for name, cidr in store(call).items()
        ]

    def create(call: Call) -> Json:
        name = call.text("name") or call.text("group")
        if name in store(call) and kind in titles and "rename" not in call.params:
            raise bad_parameters({"name": f"{titles[kind]} '{name}' already exists"})
        store(call)[name] = call.text("cidr")
        return None

    def remove(call: Call) -> Json:
        name = call.text("name") or call.text("group")
        if kind == "ipset":
            members = _members(call)
            if members and not call.flag("force"):
                raise ApiError(f"IPSet '{name}' is not empty")
            call.world.firewall.pop(f"members/{_scope(call)}/{name}", None)
        if store(call).pop(name, None) is None:
            raise ApiError(f"no such {kind.removesuffix('s')} '{name}'")
        return None

    return listing, create, remove


def _members(call: Call) -> dict[str, str]:
    """Return the addresses of a set.

    Raises:
        ApiError: 500, there is no such set here.
    """
    name, scope = call.params["name"], _scope(call)
    if name not in call.world.firewall.get(f"ipset/{scope}", {}):
        raise ApiError(f"no such IPSet '{name}'")
    return call.world.firewall.setdefault(f"members/{scope}/{name}", {})


def set_members(call: Call) -> Json:
    """Answer ``GET …/firewall/ipset/{name}``."""
    return [{"cidr": cidr, "digest": _digest(call)} for cidr in _members(call)]


def add_member(call: Call) -> Json:
    """Answer ``POST …/firewall/ipset/{name}``."""
    members, cidr = _members(call), call.params["cidr"]
    if cidr in members:
        raise bad_parameters({"cidr": f"address '{cidr}' already exists"})
    if text := _unknown(call, cidr):
        raise ApiError(text)
    members[cidr] = ""
    return None


def member(call: Call) -> Json:
    """Answer ``GET …/firewall/ipset/{name}/{cidr}``."""
    cidr = call.params["cidr"]
    if cidr not in _members(call):
        raise bad_parameters({"cidr": "no such IP/Network"})
    return {"cidr": cidr, "digest": _digest(call)}


def remove_member(call: Call) -> Json:
    """Answer ``DELETE …/firewall/ipset/{name}/{cidr}``: there or not."""
    _members(call).pop(call.params["cidr"], None)
    return None


def alias(call: Call) -> Json:
    """Answer ``GET …/firewall/aliases/{name}``."""
    name = call.params["name"]
    cidr = call.world.firewall.get(f"aliases/{_scope(call)}", {}).get(name)
    if cidr is None:
        raise bad_parameters({"name": "no such alias"})
    return {
        "name": name,
        "cidr": cidr,
        "ipversion": 6 if ":" in cidr else 4,
        "digest": _digest(call),
    }


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
        f"GET {base}/ipset/{{name}}/{{cidr}}": member,
        f"DELETE {base}/ipset/{{name}}/{{cidr}}": remove_member,
        f"GET {base}/aliases/{{name}}": alias,
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
