"""Bring files onto a storage: from the caller, or from an address.

Nothing is really downloaded: the file is just there. An address that can't be reached
refuses.
"""

import hashlib
import re
from urllib.parse import urlsplit

from qlop.ports import Json
from qlop.sim import volumes
from qlop.sim.call import Call, Handlers
from qlop.sim.state import Storage, Task, Volume, Worker
from qlop.sim.wire import ApiError, TaskError, bad_parameters

_FOLDERS = {"iso": "template/iso", "vztmpl": "template/cache", "import": "import"}

_EXTENSIONS = {
    "iso": r"\.(iso|img)$",
    "vztmpl": r"\.tar\.(gz|xz|zst)$",
    "import": r"\.(ova|ovf|qcow2|raw|vmdk)$",
}

_DOWNLOADED_BYTES = 600 * 1024**2


def upload(call: Call) -> Json:
    """Answer ``POST …/upload``: a form of several parts with the file last."""
    kind, name = call.params["content"], call.params["filename"]
    storage = volumes.config_of(call.world, call.params["storage"])
    name = re.sub(r"[^-a-zA-Z0-9_.]", "_", re.split(r"[/\\]", name)[-1])
    if not re.search(_EXTENSIONS[kind], name, re.IGNORECASE):
        raise bad_parameters({"filename": "wrong file extension"})
    if kind not in storage.content:
        raise ApiError(f"storage '{storage.name}' does not support '{kind}' content")
    return call.fork("imgcopy", "", lambda task: _import(call, task, storage, name))


def _import(call: Call, task: Task, storage: Storage, name: str) -> Worker:
    source = call.text("tmpfilename", "/var/tmp/pveupload-0")  # noqa: S108 - PVE's own folder
    task.say(f"starting file import from: {source}")
    if (expected := call.get("checksum")) is not None:
        task.say("calculating checksum...")
        found = hashlib.new(call.params["checksum-algorithm"], call.upload).hexdigest()
        if found != expected:
            raise TaskError(f"checksum mismatch: got '{found}' != expect '{expected}'")
    path = _path(storage, call.params["content"], name)
    task.say(f"target node: {call.node}")
    task.say(f"target file: {path}")
    task.say(f"file size is: {len(call.upload)}")
    task.say(f"command: cp -- {source} {path}")
    size = len(call.upload)
    yield call.world.spec.timing.copy_s_per_gib * size / 1024**3
    _put(call, storage, name, size)
    task.say("finished file import successfully")


def download(call: Call) -> Json:
    """Answer ``POST …/download-url``."""
    storage = volumes.on_node(call.world, call.params["storage"], call.node)
    name = call.params["filename"]
    return call.fork("download", name, lambda task: _download(call, task, storage, name))


def _download(call: Call, task: Task, storage: Storage, name: str) -> Worker:
    url = urlsplit(call.params["url"])
    task.say(f"downloading {call.params['url']} to {_path(storage, call.params['content'], name)}")
    if url.hostname in {"127.0.0.1", "localhost"}:
        port = url.port or 80
        raise TaskError(
            f"download failed: Connecting to {url.hostname}:{port}... failed: Connection refused."
        )
    yield call.world.spec.timing.copy_s_per_gib
    _put(call, storage, name, _DOWNLOADED_BYTES)
    task.say("finished file import successfully")


def _path(storage: Storage, kind: str, name: str) -> str:
    root = storage.options.get("path", f"/mnt/pve/{storage.name}")
    return f"{root}/{_FOLDERS[kind]}/{name}"


def _put(call: Call, storage: Storage, name: str, size: int) -> None:
    kind, place = call.params["content"], volumes.place(storage, call.node)
    volid = f"{storage.name}:{kind}/{name}"
    old = call.world.volumes.get((volid, place))
    if old is not None:
        volumes.drop(call.world, old)
    volumes.add(
        call.world,
        Volume(
            volid=volid,
            node=place,
            size_bytes=size,
            used_bytes=size,
            format=_format(kind, name),
            content=kind,
            ctime=call.world.stamp(),
        ),
    )


def _format(kind: str, name: str) -> str:
    if kind == "iso":
        return "iso"
    last = name.rpartition(".")[2]
    return {"gz": "tgz", "xz": "txz", "zst": "tzst"}.get(last, last)


_NODE = "/nodes/{node}/storage/{storage}"

HANDLERS: Handlers = {
    f"POST {_NODE}/upload": upload,
    f"POST {_NODE}/download-url": download,
}
