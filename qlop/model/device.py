"""Write disks and NICs as PVE takes them."""

from qlop.model.guest import Disk, GuestKind, Properties
from qlop.model.option import render_properties
from qlop.model.units import GIB, KIB, MIB, TIB

CLOUD_INIT_VOLUME = "cloudinit"
"""A ``DesiredDisk.volume`` of this name is a cloud-init drive, made by PVE."""


def nic_text(kind: GuestKind, mac: str, properties: Properties) -> str:
    """Return a NIC's property string; an empty ``mac`` lets PVE make one."""
    rest = dict(properties)
    if kind is GuestKind.CONTAINER:
        if mac:
            rest["hwaddr"] = mac
        return render_properties(rest)
    model = rest.pop("model", "virtio")
    head = f"{model}={mac}" if mac else model
    tail = render_properties(rest)
    return f"{head},{tail}" if tail else head


def disk_text(volume: str, size_bytes: int | None, properties: Properties) -> str:
    """Return the property string of a disk that has a volume already."""
    rest = dict(properties)
    if size_bytes is not None:
        rest["size"] = pve_size(size_bytes)
    tail = render_properties(rest)
    return f"{volume},{tail}" if tail else volume


def new_disk_text(storage: str, size_bytes: int, properties: Properties) -> str:
    """Return the property string that allocates a volume.

    PVE takes the size in GiB, with a fraction if need be (``NEW_DISK_RE`` in
    qemu-server's ``PVE/QemuServer/Drive.pm``).
    """
    gib = size_bytes / GIB
    amount = str(int(gib)) if gib == int(gib) else f"{gib:.6f}".rstrip("0")
    tail = render_properties(properties)
    return f"{storage}:{amount},{tail}" if tail else f"{storage}:{amount}"


def pve_size(size_bytes: int) -> str:
    """Return a size as PVE writes it (``32G``): ``format_size`` of ``PVE::JSONSchema``."""
    for unit, factor in (("T", TIB), ("G", GIB), ("M", MIB), ("K", KIB)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return str(size_bytes)


def is_local_path(disk: Disk) -> bool:
    """Return whether the disk is a directory or device of the node, not a volume."""
    return disk.volume.startswith("/")
