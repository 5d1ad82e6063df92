"""Decide what a volume's name says it is, and who may use it.

After ``parse_volname`` (pve-storage, ``PVE/Storage/Plugin.pm``) and ``check_volume_access``
(``PVE/Storage.pm``).
"""

import re
from dataclasses import dataclass

from qlop.sim import volumes
from qlop.sim.access import denied
from qlop.sim.call import Call
from qlop.sim.state import Storage
from qlop.sim.wire import ApiError

_VOLID = re.compile(r"([a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]):(\S+)", re.ASCII)
_IMAGE = re.compile(r"(?:\d+/\S+/)?(\d+)/(\S+)")
_IMAGE_NAME = re.compile(r"[^/\s]+\.(?:raw|qcow2|vmdk|subvol)")
_BLOCK_IMAGE = re.compile(r"(?:\S+/)?(?:vm|base|subvol|basevol)-(\d+)-\S+")
_BACKUP = r"backup/[^/]+\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2?))?)"
_FILES = (
    ("iso", re.compile(r"iso/[^/]+\.(?:iso|img)", re.IGNORECASE)),
    ("vztmpl", re.compile(r"vztmpl/[^/]+\.tar\.(?:gz|xz|zst|bz2)")),
    ("backup", re.compile(_BACKUP)),
    ("snippets", re.compile(r"snippets/[^/]+")),
    ("import", re.compile(r"import/[^/]+\.(?:ova(?:/.+)?|ovf|qcow2|raw|vmdk)")),
)
_FAMILIES = {"lvmthin": "lvm", "zfspool": "zfs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the name of a volume tells: its content, and the guest it is of."""

    content: str
    owner: int | None = None


def split(volid: str) -> tuple[str, str] | None:
    """Return storage and name of a volume id, or ``None`` if it is none (a path, say)."""
    found = _VOLID.fullmatch(volid)
    return None if found is None else (found[1], found[2])


def named(storage: Storage, name: str) -> Named:
    """Return what a volume's name tells on that kind of storage.

    Raises:
        ApiError: 500, no volume there is called so.
    """
    if not storage.has_files:
        found = _BLOCK_IMAGE.fullmatch(name)
        if found is None:
            kind = _FAMILIES.get(storage.type, storage.type)
            raise ApiError(f"unable to parse {kind} volume name '{name}'")
        return Named(content="images", owner=int(found[1]))
    if (found := _IMAGE.fullmatch(name)) is not None:
        check_file_name(found[2])
        return Named(content="images", owner=int(found[1]))
    for content, pattern in _FILES:
        if pattern.fullmatch(name):
            owner = re.match(r"backup/vzdump-(?:openvz|lxc|qemu)-(\d+)-.", name)
            return Named(content=content, owner=int(owner[1]) if owner else None)
    raise ApiError(f"unable to parse directory volume name '{name}'")


def check_file_name(name: str) -> None:
    """Refuse what is no name of an image's file (``parse_name_dir``)."""
    if _IMAGE_NAME.fullmatch(name) is None:
        raise ApiError(f"unable to parse volume filename '{name}'")


def check(call: Call, volid: str, vmid: int, content: str = "") -> None:
    """Refuse what is no volume, is no ``content`` if that is given, or not the caller's to use."""
    parts = split(volid)
    if parts is None:
        if not call.who.is_root:
            raise ApiError(
                "Only root can pass arbitrary filesystem paths. "
                "at /usr/share/perl5/PVE/Storage.pm line 651."
            )
        return
    told = named(volumes.config_of(call.world, parts[0]), parts[1])
    is_root_of_container = content == "rootdir" and told.content == "images"
    if content and told.content != content and not is_root_of_container:
        raise ApiError(f"unable to use volume {volid} - content type needs to be '{content}'")
    path = f"/storage/{parts[0]}"
    if not call.may(path, "Datastore.Allocate"):
        _demand(told, volid, vmid, path, call)


def _demand(told: Named, volid: str, vmid: int, path: str, call: Call) -> None:
    if told.content in {"iso", "vztmpl", "import"}:
        if not call.may(path, "Datastore.AllocateSpace") and not call.may(path, "Datastore.Audit"):
            raise denied(f"{path}, Datastore.AllocateSpace|Datastore.Audit")
    elif told.owner == vmid:
        return
    elif told.content == "backup" and told.owner is not None:
        call.demand(path, "Datastore.AllocateSpace")
        call.demand(f"/vms/{told.owner}", "VM.Backup")
    elif told.content == "images" and told.owner is not None:
        call.demand(path, "Datastore.Audit")
        call.demand(f"/vms/{told.owner}", "VM.Config.Disk")
    else:
        raise ApiError(f"missing privileges to access {volid}")
