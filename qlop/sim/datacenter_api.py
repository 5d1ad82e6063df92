"""Read and write the options of the datacenter (``datacenter.cfg``).

After ``get_options`` and ``set_options`` (pve-manager, ``PVE/API2/Cluster.pm``) and
``PVE/DataCenterConfig.pm`` (pve-cluster), which takes some options apart.
"""

from qlop.ports import Json
from qlop.sim import drives, tags
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row

OUI = "BC:24:11"
"""The prefix of network cards' addresses unless another is set."""

_FOR_ALL = ("console", "tag-style")
"""What is told to whoever lacks ``Sys.Audit`` on ``/``."""

_PARTED = {
    "crs", "ha", "migration", "next-id", "notify", "replication", "tag-style", "u2f",
    "user-tag-access", "webauthn",
}  # fmt: skip
_DEFAULT_KEYS = {"migration": "type", "replication": "type"}
_NEXT_ID = (100, 1_000_000)


def read(call: Call) -> Json:
    """Answer ``GET /cluster/options``."""
    stored = call.world.options
    whole: Row = {"mac_prefix": OUI, "description": ""}
    whole |= {name: _shown(name, value) for name, value in stored.items()}
    if not call.may("/", "Sys.Audit"):
        whole = {name: whole[name] for name in _FOR_ALL if name in whole}
    whole["allowed-tags"] = list[Json](sorted(tags.allowed(call).tags))
    return whole


def _shown(name: str, value: str) -> Json:
    if name == "description":
        return f"{value}\n" if value else ""
    if name == "registered-tags":
        return list[Json](sorted(tags.split(value)))
    if name not in _PARTED:
        return int(value) if name in {"max_workers", "migration_unsecure"} else value
    parts: Row = dict(drives.parse(value, _DEFAULT_KEYS.get(name, "")))
    if "user-allow-list" in parts:
        parts["user-allow-list"] = list[Json](sorted(tags.split(str(parts["user-allow-list"]))))
    return parts


def write(call: Call) -> Json:
    """Answer ``PUT /cluster/options``."""
    world = call.world
    world.need_quorum("file-datacenter_cfg")
    delete = split_list(call.text("delete"))
    given = {key: value for key, value in call.params.items() if key != "delete"}
    if "next-id" in given:
        given["next-id"] = _checked_range(given["next-id"])
    if given.get("mac_prefix", "").upper() == OUI:
        delete.append("mac_prefix")
    if given.get("crs") == "":
        delete.append("crs")
    world.options.update(given)
    for name in delete:
        world.options.pop(name, None)
    world.wrote_file("datacenter.cfg")
    return None


def _checked_range(value: str) -> str:
    parts = drives.parse(value, "")
    low, high = (
        int(parts.get(key, at)) for key, at in zip(("lower", "upper"), _NEXT_ID, strict=True)
    )
    if low > high:
        raise ApiError(f"lower ({low}) <= upper ({high}) boundary rule broken")
    return drives.show(parts, "")


HANDLERS: Handlers = {"GET /cluster/options": read, "PUT /cluster/options": write}
