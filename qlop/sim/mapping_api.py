"""Map devices and directories of hosts to names that guests can be given.

After ``PVE/API2/Cluster/Mapping/{PCI,USB,Dir}.pm`` (pve-manager) and ``PVE/Mapping`` (pve-guest-
common). A simulated host has no devices to pass on, and of directories just the root: checks
against a node say so.
"""

import functools
import hashlib

from qlop.ports import Json
from qlop.sim import drives
from qlop.sim.call import Call, Handler, Handlers
from qlop.sim.params import ARRAY_SEPARATOR
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row

_NAMES = {"pci": "hardware", "usb": "hardware", "dir": "directory"}
"""What the errors call a mapping of each kind."""
_NUMBERS = {"mdev", "live-migration-capable"}
_FIXED = {"map"}
"""Options that every mapping has."""
_OPTIONAL = {"pci": {"description", *_NUMBERS}, "usb": {"description"}, "dir": {"description"}}
_SEEN_BY = ("Mapping.Modify", "Mapping.Use", "Mapping.Audit")


def index(call: Call) -> Json:
    """Answer ``GET /cluster/mapping``."""
    del call
    return [{"name": name} for name in ("dir", "pci", "usb")]


def _stored(call: Call, kind: str) -> dict[str, dict[str, str]]:
    return call.world.mappings.setdefault(kind, {})


def _digest(call: Call, kind: str) -> str:
    text = str(sorted((name, sorted(one.items())) for name, one in _stored(call, kind).items()))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _row(call: Call, kind: str, name: str) -> Row:
    row: Row = {"digest": _digest(call, kind), "type": kind}
    for key, value in _stored(call, kind)[name].items():
        row[key] = int(value) if key in _NUMBERS else value
    row["map"] = list[Json](_stored(call, kind)[name]["map"].split(ARRAY_SEPARATOR))
    return row


def listing(kind: str, call: Call) -> Json:
    """Answer ``GET /cluster/mapping/KIND``: those the caller may see."""
    asked = call.get("check-node")
    node = call.contacted if asked == "localhost" else asked
    rows: list[Json] = []
    for name in _stored(call, kind):
        if not any(call.may(f"/mapping/{kind}/{name}", right) for right in _SEEN_BY):
            continue
        row = {**_row(call, kind, name), "id": name}
        if node is not None:
            row["errors" if kind == "usb" else "checks"] = _checks(call, kind, name, node)
        rows.append(row)
    return rows


def _checks(call: Call, kind: str, name: str, node: str) -> list[Json]:
    entries = _stored(call, kind)[name]["map"].split(ARRAY_SEPARATOR)
    here = [one for one in map(_entry, entries) if one["node"] == node]
    if not here:
        return [{"severity": "warning", "message": f"No mapping for node {node}."}]
    complaints = [_complaint(kind, entry) for entry in here]
    return [
        {"severity": "error", "message": f"Invalid configuration: {text}\n"}
        for text in complaints
        if text
    ]


def _entry(text: str) -> dict[str, str]:
    return drives.parse(text, "")


def _complaint(kind: str, entry: dict[str, str]) -> str:
    """Return what is wrong with an entry on its own host (``assert_valid``)."""
    path = entry.get("path", "")
    if kind == "dir":
        return "" if path == "/" else f"Path {path} does not exist"
    if kind == "usb":
        return f"usb device '{path or entry.get('id', '')}' not found"
    first = path.split(";")[0]
    return f"pci device '{first if '.' in first else first + '.0'}' not found"


def read(kind: str, call: Call) -> Json:
    """Answer ``GET /cluster/mapping/KIND/{id}``."""
    name = call.params["id"]
    if name not in _stored(call, kind):
        raise ApiError(f"mapping '{name}' not found")
    return _row(call, kind, name)


def create(kind: str, call: Call) -> Json:
    """Answer ``POST /cluster/mapping/KIND``."""
    name = call.params["id"]
    _check_map(call, kind)
    prefix = f"create {_NAMES[kind]} mapping failed: "
    call.world.need_quorum_prefixed(prefix, f"file-mapping_{kind}_cfg")
    if name in _stored(call, kind):
        raise ApiError(f"{prefix}{kind} ID '{name}' already defined")
    _stored(call, kind)[name] = _given(call)
    call.world.wrote_file(f"mapping/{kind}.cfg")
    return None


def _given(call: Call) -> dict[str, str]:
    ours = {"id", "digest", "delete"}
    return {key: value for key, value in call.params.items() if key not in ours}


def _check_map(call: Call, kind: str) -> None:
    """Refuse directories that this host lacks, and hosts named twice (``assert_valid_map_list``)."""
    entries = [_entry(text) for text in call.items("map")]
    if kind != "dir" or not entries:
        return
    for entry in entries:
        if entry["node"] == call.contacted and (complaint := _complaint(kind, entry)):
            raise ApiError(complaint)
    nodes = [entry["node"] for entry in entries]
    for node in nodes:
        if (times := nodes.count(node)) > 1:
            raise ApiError(f"Node '{node}' is specified {times} times.")


def update(kind: str, call: Call) -> Json:
    """Answer ``PUT /cluster/mapping/KIND/{id}``."""
    name, delete = call.params["id"], split_list(call.text("delete"))
    prefix = f"update {_NAMES[kind]} mapping failed: "
    call.world.need_quorum_prefixed(prefix, f"file-mapping_{kind}_cfg")
    if (digest := call.get("digest")) and digest != _digest(call, kind):
        raise ApiError(
            f"{prefix}detected modified configuration - file changed by other user? Try again."
        )
    if name not in _stored(call, kind):
        raise ApiError(f"{prefix}{kind} ID '{name}' does not exist")
    _check_map(call, kind)
    given = _given(call)
    for option in delete:
        if option in _FIXED:
            raise ApiError(f"{prefix}unable to delete required option '{option}'")
        if option not in _OPTIONAL[kind]:
            raise ApiError(f"{prefix}no such option '{option}'")
        if option in given:
            raise ApiError(
                f"{prefix}unable to set and delete property '{option}' at the same time!"
            )
    stored = _stored(call, kind)[name]
    stored |= given
    for option in delete:
        stored.pop(option, None)
    call.world.wrote_file(f"mapping/{kind}.cfg")
    return None


def delete(kind: str, call: Call) -> Json:
    """Answer ``DELETE /cluster/mapping/KIND/{id}``; what is not there is gone already."""
    call.world.need_quorum_prefixed(f"delete {kind} mapping failed: ", f"file-mapping_{kind}_cfg")
    _stored(call, kind).pop(call.params["id"], None)
    call.world.wrote_file(f"mapping/{kind}.cfg")
    return None


def _handlers() -> dict[str, Handler]:
    found: dict[str, Handler] = {"GET /cluster/mapping": index}
    for kind in ("pci", "usb", "dir"):
        base = f"/cluster/mapping/{kind}"
        found |= {
            f"GET {base}": functools.partial(listing, kind),
            f"POST {base}": functools.partial(create, kind),
            f"GET {base}/{{id}}": functools.partial(read, kind),
            f"PUT {base}/{{id}}": functools.partial(update, kind),
            f"DELETE {base}/{{id}}": functools.partial(delete, kind),
        }
    return found


HANDLERS: Handlers = _handlers()
