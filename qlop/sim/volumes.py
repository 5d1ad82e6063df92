"""Allocate, name, copy, resize and free volumes, within what each storage can do.

Names and abilities as in ``PVE/Storage/*Plugin.pm``.
"""

from collections.abc import Iterator

from qlop.sim.engine import World
from qlop.sim.state import Os, Storage, Volume
from qlop.sim.wire import ApiError, TaskError

_FILE_FORMATS = ("raw", "qcow2", "vmdk", "subvol")
_THIN = {"lvmthin", "zfspool", "rbd", "btrfs"}
_SNAPSHOTS = {"lvmthin", "zfspool", "rbd", "btrfs", "cephfs"}
_LINKED = {"lvmthin", "zfspool", "rbd", "btrfs"}

WRITTEN_BYTES_PER_S = 1024
"""What a running guest writes to its disks, as its ``diskwrite`` tells."""


def config_of(world: World, name: str) -> Storage:
    """Return a storage.

    Raises:
        ApiError: 500, there is none of that name.
    """
    storage = world.storages.get(name)
    if storage is None:
        raise ApiError(f"storage '{name}' does not exist")
    return storage


def on_node(world: World, name: str, node: str) -> Storage:
    """Return a storage that is enabled and available on ``node``.

    Raises:
        ApiError: 500 with the reason it is not.
    """
    storage = config_of(world, name)
    if storage.disabled:
        raise ApiError(f"storage '{name}' is disabled")
    if storage.nodes and node not in storage.nodes:
        raise ApiError(f"storage '{name}' is not available on node '{node}'")
    return storage


def is_on_node(storage: Storage, node: str) -> bool:
    """Return whether ``node`` uses the storage at all."""
    return not storage.nodes or node in storage.nodes


def place(storage: Storage, node: str) -> str:
    """Return the node part of the keys of the storage's volumes."""
    return "" if storage.shared else node


def find(world: World, volid: str, node: str) -> Volume | None:
    """Return a volume as ``node`` sees it."""
    return world.volumes.get((volid, node)) or world.volumes.get((volid, ""))


def need(world: World, volid: str, node: str) -> Volume:
    """Return a volume as ``node`` sees it.

    Raises:
        ApiError: 500, there is none, or not even the storage.
    """
    on_node(world, volid.partition(":")[0], node)
    volume = find(world, volid, node)
    if volume is None:
        raise ApiError(f"volume '{volid}' does not exist")
    return volume


def of_guest(world: World, vmid: int) -> Iterator[Volume]:
    """Yield every image that belongs to a guest, attached or not."""
    return (
        volume
        for volume in world.volumes.values()
        if volume.vmid == vmid and volume.content in {"images", "rootdir"}
    )


def used_bytes(storage: Storage, node: str) -> int:
    """Return what is taken of the storage, by our volumes and by strangers."""
    at = place(storage, node)
    return storage.own_bytes.get(at, 0) + storage.fill_bytes.get(at, 0)


def free_bytes(storage: Storage, node: str) -> int:
    """Return what is left of the storage."""
    return max(0, storage.total_bytes - used_bytes(storage, node))


def add(world: World, volume: Volume) -> Volume:
    """Put a volume on its storage."""
    storage = world.storages[volume.storage]
    world.volumes[(volume.volid, volume.node)] = volume
    storage.own_bytes[volume.node] = storage.own_bytes.get(volume.node, 0) + volume.used_bytes
    stem = _stem(volume.name)
    if stem:
        world.stems.add((volume.storage, volume.node, stem))
    return volume


def drop(world: World, volume: Volume) -> None:
    """Take a volume off its storage."""
    if world.volumes.pop((volume.volid, volume.node), None) is None:
        return
    storage = world.storages[volume.storage]
    storage.own_bytes[volume.node] = storage.own_bytes.get(volume.node, 0) - volume.used_bytes
    world.stems.discard((volume.storage, volume.node, _stem(volume.name)))


def rename(world: World, volume: Volume, volid: str, vmid: int | None = None) -> None:
    """Give a volume another name, and another owner if ``vmid`` is given."""
    drop(world, volume)
    volume.volid = volid
    volume.vmid = volume.vmid if vmid is None else vmid
    add(world, volume)


def resize(world: World, volume: Volume, size: int) -> None:
    """Change a volume's size; a thick one takes the space at once."""
    grown = 0 if _is_thin(world.storages[volume.storage], volume) else size - volume.size_bytes
    volume.size_bytes = size
    take(world, volume, grown)


def take(world: World, volume: Volume, more: int) -> None:
    """Let a volume use ``more`` bytes of its storage."""
    volume.used_bytes += more
    storage = world.storages[volume.storage]
    storage.own_bytes[volume.node] = storage.own_bytes.get(volume.node, 0) + more


def _stem(name: str) -> str:
    last = name.rpartition("/")[2].partition(".")[0]
    kind, _, rest = last.partition("-")
    return rest if kind in {"vm", "base", "subvol", "basevol"} else ""


def _is_thin(storage: Storage, volume: Volume) -> bool:
    return storage.type in _THIN or storage.has_files or volume.format == "qcow2"


def free_name(world: World, storage: Storage, node: str, vmid: int) -> str:
    """Return the next free ``disk-N`` of a guest on a storage."""
    number = 0
    while (storage.name, place(storage, node), f"{vmid}-disk-{number}") in world.stems:
        number += 1
    return f"disk-{number}"


def volid_for(storage: Storage, vmid: int, name: str, format_: str, prefix: str = "vm") -> str:
    """Return the volume id of an image called ``name``."""
    if storage.has_files:
        if format_ == "subvol":
            prefix = "subvol" if prefix == "vm" else prefix
        return f"{storage.name}:{vmid}/{prefix}-{vmid}-{name}.{format_}"
    if format_ == "subvol" and storage.type == "zfspool" and prefix == "vm":
        prefix = "subvol"
    return f"{storage.name}:{prefix}-{vmid}-{name}"


def image_format(storage: Storage, wanted: str, kind: str) -> str:
    """Return the format an image gets: only directories have a choice."""
    if storage.has_files:
        return wanted or "raw"
    if storage.type == "zfspool" and kind == "rootdir":
        return "subvol"
    return "raw"


def allocate(
    world: World,
    *,
    storage: Storage,
    node: str,
    vmid: int,
    size: int,
    format_: str = "",
    name: str = "",
    content: str = "images",
    parent: str | None = None,
) -> Volume:
    """Create an empty image.

    Raises:
        TaskError: the storage has no space left.
    """
    format_ = image_format(storage, format_, content)
    name = name or free_name(world, storage, node, vmid)
    volid = volid_for(storage, vmid, name, format_)
    if free_bytes(storage, node) <= 0:
        raise TaskError(no_space(storage, volid))
    thick = storage.type in {"lvm", "iscsidirect"}
    used = size if thick else int(min(size, 200 * 1024))
    if thick and free_bytes(storage, node) < size:
        raise TaskError(no_space(storage, volid))
    return add(
        world,
        Volume(
            volid=volid,
            node=place(storage, node),
            size_bytes=size,
            used_bytes=used,
            format=format_,
            content=content,
            ctime=world.stamp(),
            vmid=vmid,
            parent=parent,
        ),
    )


def no_space(storage: Storage, volid: str) -> str:
    """Return how the storage's tool complains that it is full."""
    name = volid.partition(":")[2]
    if storage.type == "lvmthin":
        group = storage.options.get("vgname", "pve")
        pool = storage.options.get("thinpool", "data")
        return (
            f"lvcreate '{group}/{name}' error:   Cannot create new thin volume, free space in "
            f"thin pool {group}/{pool} reached threshold."
        )
    return f"unable to create image: '{name}' - No space left on device"


def format_line(storage: Storage, volume: Volume, backing: str = "") -> str:
    """Return the line ``qemu-img`` or ``lvcreate`` writes into the task log."""
    if not storage.has_files:
        return f'  Logical volume "{volume.name}" created.'
    path = f"{storage.options.get('path', '/mnt/pve/' + storage.name)}/images/"
    path += f"{volume.vmid}/{volume.name.rpartition('/')[2]}"
    if volume.format != "qcow2":
        return (
            f"Formatting '{path}', fmt={volume.format} size={volume.size_bytes} preallocation=off"
        )
    cluster, extended = (131072, "on") if backing else (65536, "off")
    base = f" backing_file={backing} backing_fmt=qcow2" if backing else ""
    return (
        f"Formatting '{path}', fmt=qcow2 cluster_size={cluster} extended_l2={extended} "
        f"preallocation=metadata compression_type=zlib size={volume.size_bytes}{base} "
        f"lazy_refcounts=off refcount_bits=16"
    )


def can_snapshot(world: World, volume: Volume) -> bool:
    """Return whether a snapshot of the volume is possible."""
    storage = world.storages[volume.storage]
    if storage.has_files and storage.type != "btrfs":
        return volume.format == "qcow2"
    return storage.type in _SNAPSHOTS


def can_link(world: World, volume: Volume) -> bool:
    """Return whether a linked clone of the (base) volume is possible."""
    storage = world.storages[volume.storage]
    if not _is_base(volume):
        return False
    return storage.has_files or storage.type in _LINKED


def _is_base(volume: Volume) -> bool:
    return volume.name.rpartition("/")[2].startswith(("base-", "basevol-"))


def make_base(world: World, volume: Volume) -> None:
    """Turn an image into a template's base image."""
    if _is_base(volume):
        return
    head, slash, last = volume.name.rpartition("/")
    prefix, _, rest = last.partition("-")
    renamed = f"{'basevol' if prefix == 'subvol' and head else 'base'}-{rest}"
    rename(world, volume, f"{volume.storage}:{head}{slash}{renamed}")


def children(world: World, volume: Volume) -> list[Volume]:
    """Return the linked clones of a base image."""
    return [other for other in world.volumes.values() if other.parent == volume.volid]


def link(world: World, base: Volume, node: str, vmid: int) -> Volume:
    """Create a linked clone of a base image."""
    storage = world.storages[base.storage]
    name = free_name(world, storage, node, vmid)
    format_ = "qcow2" if storage.has_files else base.format
    plain = volid_for(storage, vmid, name, format_)
    volid = plain
    if storage.has_files or storage.type == "zfspool":
        volid = f"{base.volid}/{plain.partition(':')[2]}"
    if free_bytes(storage, node) <= 0:
        raise TaskError(no_space(storage, plain))
    return add(
        world,
        Volume(
            volid=volid,
            node=place(storage, node),
            size_bytes=base.size_bytes,
            used_bytes=200 * 1024,
            format=format_,
            content=base.content,
            ctime=world.stamp(),
            vmid=vmid,
            parent=base.volid,
            os=base.os,
        ),
    )


def fill_copy(world: World, source: Volume, copy: Volume) -> None:
    """Let a copy hold what its source holds.

    Raises:
        TaskError: the target ran full.
    """
    storage = world.storages[copy.storage]
    more = max(0, source.used_bytes - copy.used_bytes)
    node = copy.node or next(iter(world.nodes))
    if free_bytes(storage, node) < more:
        raise TaskError(f"copy failed: {no_space(storage, copy.volid)}")
    take(world, copy, more)
    copy.os = source.os


def has_os(volume: Volume | None) -> Os:
    """Return what is installed on a volume that may not exist."""
    return Os.NONE if volume is None else volume.os
