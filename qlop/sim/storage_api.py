"""Configure storages, and list, create, describe and remove what is on them."""

import hashlib
import re

from qlop.ports import Json
from qlop.sim import drives, volume_access, volumes
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import World
from qlop.sim.qemu_config import split_list
from qlop.sim.state import Storage, Task, Volume, Worker
from qlop.sim.wire import ApiError, Row, TaskError, bad_parameters

_DEFAULT_CONTENT = {
    "dir": "images,rootdir",
    "nfs": "images",
    "cifs": "images",
    "lvm": "images,rootdir",
    "lvmthin": "images,rootdir",
    "zfspool": "images,rootdir",
}
_SHARED_TYPES = {"nfs", "cifs", "rbd", "cephfs", "iscsi", "pbs", "glusterfs"}
_REQUIRED = {"dir": "path", "lvmthin": "thinpool", "lvm": "vgname", "nfs": "server"}
_ALIEN = {"dir": {"vgname", "thinpool", "server", "export"}}


def _digest(world: World) -> str:
    text = str([_config_row(world, storage) for storage in world.storages.values()])
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _config_row(world: World, storage: Storage) -> Row:
    del world
    row: Row = {
        "storage": storage.name,
        "type": storage.type,
        "content": ",".join(storage.content),
        **storage.options,
    }
    if storage.nodes:
        row["nodes"] = ",".join(storage.nodes)
    if storage.disabled:
        row["disable"] = 1
    if storage.shared and storage.type not in _SHARED_TYPES:
        row["shared"] = 1
    return row


def config_list(call: Call) -> Json:
    """Answer ``GET /storage``."""
    wanted = call.get("type")
    digest = _digest(call.world)
    return [
        {**_config_row(call.world, storage), "digest": digest}
        for storage in call.world.storages.values()
        if (wanted is None or storage.type == wanted)
        and (
            call.may(f"/storage/{storage.name}", "Datastore.Audit")
            or call.may(f"/storage/{storage.name}", "Datastore.AllocateSpace")
        )
    ]


def config_read(call: Call) -> Json:
    """Answer ``GET /storage/{storage}``."""
    storage = volumes.config_of(call.world, call.params["storage"])
    return {**_config_row(call.world, storage), "digest": _digest(call.world)}


def create(call: Call) -> Json:
    """Answer ``POST /storage``."""
    world, name, kind = call.world, call.params["storage"], call.params["type"]
    world.need_quorum_prefixed("create storage failed: ", "file-storage_cfg")
    if not call.text("path", "/").startswith("/"):
        text = "invalid format - value does not look like a valid absolute path\n"
        raise bad_parameters({"path": text})
    needed = _REQUIRED.get(kind)
    if needed and needed not in call.params:
        raise ApiError(f"missing value for required option '{needed}'")
    for alien in sorted(_ALIEN.get(kind, set()) & set(call.params)):
        raise ApiError(f"unexpected property '{alien}'")
    if name in world.storages:
        raise ApiError(f"create storage failed: storage ID '{name}' already defined")
    ours = {"storage", "type", "content", "nodes", "disable", "shared"}
    world.storages[name] = Storage(
        name=name,
        type=kind,
        content=split_list(call.text("content", _DEFAULT_CONTENT.get(kind, "images"))),
        total_bytes=1024**4,
        shared=kind in _SHARED_TYPES or call.flag("shared"),
        nodes=split_list(call.text("nodes")),
        disabled=call.flag("disable"),
        options={key: value for key, value in call.params.items() if key not in ours},
    )
    world.wrote_file("storage.cfg")
    return {"storage": name, "type": kind}


def update(call: Call) -> Json:
    """Answer ``PUT /storage/{storage}``."""
    world, name = call.world, call.params["storage"]
    prefix = "update storage failed: "
    if name not in world.storages:
        raise ApiError(f"{prefix}storage '{name}' does not exist")
    if (digest := call.get("digest")) and digest != _digest(world):
        raise ApiError(
            f"{prefix}detected modified configuration - file changed by other user? Try again."
        )
    world.need_quorum_prefixed(prefix, "file-storage_cfg")
    storage = world.storages[name]
    for key in split_list(call.text("delete")):
        storage.options.pop(key, None)
        if key == "nodes":
            storage.nodes = []
        if key == "disable":
            storage.disabled = False
    if "content" in call.params:
        storage.content = split_list(call.params["content"])
    if "nodes" in call.params:
        storage.nodes = split_list(call.params["nodes"])
    if "disable" in call.params:
        storage.disabled = call.flag("disable")
    ours = {"storage", "content", "nodes", "disable", "delete", "digest", "shared"}
    storage.options.update({key: value for key, value in call.params.items() if key not in ours})
    world.wrote_file("storage.cfg")
    return {"storage": name, "type": storage.type}


def delete(call: Call) -> Json:
    """Answer ``DELETE /storage/{storage}``."""
    world, name = call.world, call.params["storage"]
    if name not in world.storages:
        raise ApiError(f"delete storage failed: storage '{name}' does not exist")
    world.need_quorum_prefixed("delete storage failed: ", "file-storage_cfg")
    for volume in [volume for volume in world.volumes.values() if volume.storage == name]:
        volumes.drop(world, volume)
    del world.storages[name]
    world.wrote_file("storage.cfg")
    return None


def node_list(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/storage``."""
    if call.text("storage") not in {"", *call.world.storages}:
        raise bad_parameters({"storage": "No such storage."})
    wanted = split_list(call.text("content"))
    rows: list[Json] = []
    for name, storage in call.world.storages.items():
        if (only := call.get("storage")) is not None and name != only:
            continue
        if call.flag("enabled") and storage.disabled:
            continue
        if wanted and not set(wanted) & set(storage.content):
            continue
        path = f"/storage/{name}"
        if not call.may(path, "Datastore.Audit") and not call.may(path, "Datastore.AllocateSpace"):
            continue
        row = _status_row(call, storage)
        if row["active"]:
            used, total = volumes.used_bytes(storage, call.node), storage.total_bytes
            row["used_fraction"] = used / total if total else 0
        rows.append({"storage": name, **row})
    return rows


def _status_row(call: Call, storage: Storage) -> Row:
    usable = not storage.disabled and volumes.is_on_node(storage, call.node)
    row: Row = {
        "type": storage.type,
        "content": ",".join(storage.content),
        "shared": 1 if storage.shared else 0,
        "enabled": 1 if usable else 0,
        "active": 1 if usable else 0,
        "total": storage.total_bytes if usable else 0,
        "used": volumes.used_bytes(storage, call.node) if usable else 0,
        "avail": volumes.free_bytes(storage, call.node) if usable else 0,
    }
    return row


def storage_status(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/storage/{storage}/status``."""
    name = call.params["storage"]
    if name not in call.world.storages:
        raise bad_parameters({"storage": "No such storage."})
    return _status_row(call, call.world.storages[name])


def content(call: Call) -> Json:
    """Answer ``GET /nodes/{node}/storage/{storage}/content``."""
    name = call.params["storage"]
    storage = volumes.on_node(call.world, name, call.node)
    wanted = split_list(call.text("content"))
    vmid = call.get("vmid")
    place = volumes.place(storage, call.node)
    rows: list[Row] = []
    for volume in call.world.volumes.values():
        if volume.storage != name or volume.node != place:
            continue
        if wanted and volume.content not in wanted:
            continue
        if vmid is not None and volume.vmid != int(vmid):
            continue
        rows.append(_content_row(storage, volume))
    rows.sort(key=lambda row: str(row["volid"]))
    return list[Json](rows)


def _content_row(storage: Storage, volume: Volume) -> Row:
    row: Row = {
        "volid": volume.volid,
        "content": volume.content,
        "format": volume.format,
        "size": volume.size_bytes,
        "ctime": volume.ctime,
    }
    if volume.content in {"images", "rootdir"}:
        row["vmid"] = volume.vmid
        row["parent"] = volume.parent if volume.parent is None else _parent(storage, volume)
        if storage.has_files:
            row["used"] = volume.used_bytes
    if volume.content == "backup":
        row["vmid"] = volume.vmid
        row["subtype"] = "qemu" if "-qemu-" in volume.name else "lxc"
        if volume.notes:
            row["notes"] = volume.notes
        if volume.protected:
            row["protected"] = 1
    return row


def _parent(storage: Storage, volume: Volume) -> str:
    name = (volume.parent or "").partition(":")[2]
    return f"../{name}" if storage.has_files else name


def allocate(call: Call) -> Json:
    """Answer ``POST …/content``: allocate an empty image."""
    name = call.params["filename"]
    extension = re.search(r"\.(raw|qcow2|vmdk)$", name)
    wanted = call.get("format")
    if extension is not None and wanted not in {None, extension[1]}:
        text = f"different storage formats ({wanted} != {extension[1]})"
        raise bad_parameters({"format": text})
    storage = volumes.on_node(call.world, call.params["storage"], call.node)
    vmid = int(call.params["vmid"])
    if storage.has_files:
        volume_access.check_file_name(name)
        volid = f"{storage.name}:{vmid}/{name}"
        if volumes.find(call.world, volid, call.node) is not None:
            path = f"{storage.options.get('path', '')}/images/{vmid}/{name}"
            raise ApiError(f"disk image '{path}' already exists")
    found = re.fullmatch(rf"(?:vm|base|subvol)-{vmid}-(\S+?)(?:\.(\w+))?", name)
    if found is None and storage.has_files:
        return _allocate_any(call, storage, vmid)
    if found is None:
        raise ApiError(f"illegal name '{name}' - should be 'vm-{vmid}-*'")
    try:
        volume = volumes.allocate(
            call.world,
            storage=storage,
            node=call.node,
            vmid=vmid,
            size=_kibibytes(call.params["size"]),
            format_=call.text("format") or found[2] or "",
            name=found[1],
        )
    except TaskError as error:
        raise ApiError(str(error)) from error
    return volume.volid


def _allocate_any(call: Call, storage: Storage, vmid: int) -> str:
    """Allocate an image whose name belongs to no guest: a storage of files takes any."""
    name, size = call.params["filename"], _kibibytes(call.params["size"])
    volume = Volume(
        volid=f"{storage.name}:{vmid}/{name}",
        node=volumes.place(storage, call.node),
        size_bytes=size,
        used_bytes=0,
        format=name.rpartition(".")[2],
        content="images",
        ctime=call.world.stamp(),
        vmid=vmid,
    )
    return volumes.add(call.world, volume).volid


def _kibibytes(size: str) -> int:
    return int(size) * 1024 if size.isdigit() else drives.size_bytes(size)


def _volid(call: Call) -> str:
    """Return the whole id of a volume that the path may name without its storage."""
    name, storage = call.params["volume"], call.params["storage"]
    given, colon, _ = name.partition(":")
    if colon and given != storage:
        raise bad_parameters({"volume": f"storage ID mismatch ({given} != {storage})\n"})
    return name if colon else f"{storage}:{name}"


def _volume(call: Call) -> Volume:
    volid = _volid(call)
    volume = volumes.find(call.world, volid, call.node)
    if volume is None:
        raise ApiError(f"volume_size_info on '{volid}' failed - no format")
    return volume


def volume_read(call: Call) -> Json:
    """Answer ``GET …/content/{volume}``."""
    volume_access.check(call, _volid(call), 0)
    volume = _volume(call)
    storage = call.world.storages[volume.storage]
    row: Row = {
        "path": f"{storage.options.get('path', '/dev/pve')}/{volume.name}",
        "size": volume.size_bytes,
        "used": volume.used_bytes,
        "format": "raw" if volume.content == "backup" else volume.format,
    }
    if volume.content == "backup":
        row["protected"] = 1 if volume.protected else 0
        if volume.notes:
            row["notes"] = volume.notes
    return row


def volume_update(call: Call) -> Json:
    """Answer ``PUT …/content/{volume}``: notes and protection of a backup."""
    volume = _volume(call)
    if volume.content != "backup":
        if "notes" in call.params:
            raise ApiError("only backups can have notes")
        if "protected" in call.params:
            raise ApiError("only backups support attribute 'protected'")
    if "notes" in call.params:
        volume.notes = call.params["notes"]
    if "protected" in call.params:
        volume.protected = call.flag("protected")
    return None


def volume_delete(call: Call) -> Json:
    """Answer ``DELETE …/content/{volume}``: in use or not, there or not."""
    volid = _volid(call)
    storage, _, name = volid.partition(":")
    told = volume_access.named(volumes.config_of(call.world, storage), name)
    owner = told.owner
    if told.content == "backup" and owner is not None:
        call.demand(f"/storage/{storage}", "Datastore.AllocateSpace")
        call.demand(f"/vms/{owner}", "VM.Backup")
    else:
        call.demand(f"/storage/{storage}", "Datastore.Allocate")
    volumes.on_node(call.world, storage, call.node)
    subject = f"{owner}@{storage}" if owner is not None else storage
    upid = call.fork("imgdel", subject, lambda task: _delete(call, task, volid))
    takes_s = call.world.spec.timing.allocate_s + 0.2
    if call.number("delay") < takes_s:
        return upid
    call.delay_s = takes_s
    return None


def _delete(call: Call, task: Task, volid: str) -> Worker:
    volume = volumes.find(call.world, volid, call.node)
    if volume is not None and volume.protected:
        raise TaskError(f"cannot remove protected volume '{volume.name}' on '{volume.storage}'")
    yield call.world.spec.timing.allocate_s
    if volume is not None:
        if volumes.children(call.world, volume):
            raise TaskError(f"base volume '{volid}' is still in use by linked clones")
        volumes.drop(call.world, volume)
    task.say(f"Removed volume '{volid}'")


_NODE = "/nodes/{node}/storage/{storage}"

HANDLERS: Handlers = {
    "GET /storage": config_list,
    "POST /storage": create,
    "GET /storage/{storage}": config_read,
    "PUT /storage/{storage}": update,
    "DELETE /storage/{storage}": delete,
    "GET /nodes/{node}/storage": node_list,
    f"GET {_NODE}/status": storage_status,
    f"GET {_NODE}/content": content,
    f"POST {_NODE}/content": allocate,
    f"GET {_NODE}/content/{{volume}}": volume_read,
    f"PUT {_NODE}/content/{{volume}}": volume_update,
    f"DELETE {_NODE}/content/{{volume}}": volume_delete,
}
