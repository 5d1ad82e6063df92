"""Take apart and put together the property strings of disks and network cards.

Order as PVE prints them: the default key first, then the rest by name
(``PVE/JSONSchema.pm``, ``print_property_string``).
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

QEMU_DRIVES = (
    *(f"ide{index}" for index in range(4)),
    *(f"scsi{index}" for index in range(31)),
    *(f"virtio{index}" for index in range(16)),
    *(f"sata{index}" for index in range(6)),
    "efidisk0",
    "tpmstate0",
)
"""Every drive of a VM, in the order in which PVE goes through them."""

_BOOTABLE = QEMU_DRIVES[:-2]
_QEMU_DRIVE = re.compile(
    r"(ide[0-3]|sata[0-5]|scsi([12]?\d|30)|virtio(\d|1[0-5])|efidisk0|tpmstate0)"
)
_MOUNT = re.compile(r"rootfs|mp\d+")
_NEW_DISK = re.compile(r"([^/:\s]+):(\d+(?:\.\d+)?)")

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def is_drive(key: str) -> bool:
    """Return whether a VM option is a disk or CD-ROM."""
    return _QEMU_DRIVE.fullmatch(key) is not None


def is_mount(key: str) -> bool:
    """Return whether a container option is a root file system or mount point."""
    return _MOUNT.fullmatch(key) is not None


def parse(value: str, default: str = "file") -> dict[str, str]:
    """Return a property string's keys, the keyless part under ``default``."""
    found: dict[str, str] = {}
    for part in value.split(","):
        key, equals, item = part.strip().partition("=")
        if equals:
            found["file" if key == "volume" and default == "file" else key] = item
        elif key:
            found[default] = key
    return found


def show(props: Mapping[str, str], default: str = "file") -> str:
    """Return the property string, ``default`` first and without its key."""
    rest = [f"{key}={props[key]}" for key in sorted(props) if key != default]
    return ",".join([props[default], *rest] if default in props else rest)


def new_disk(file: str) -> tuple[str, Decimal] | None:
    """Return storage and GiB of a ``STORAGE:GIB`` request, or ``None`` if it is not one."""
    found = _NEW_DISK.fullmatch(file)
    return None if found is None else (found[1], Decimal(found[2]))


def size_bytes(text: str) -> int:
    """Return the bytes of ``32G``, ``1.5T`` or ``1024``."""
    unit = text[-1:] if text[-1:] in _UNITS else ""
    return int(Decimal(text.removesuffix(unit) or "0") * _UNITS[unit])


def size_text(size: int) -> str:
    """Return a size as PVE writes it: the largest unit that divides it; zero is ``0T``."""
    text, units = size, iter("KMGT")
    unit = ""
    while text % 1024 == 0:
        step = next(units, None)
        if step is None:
            break
        unit, text = step, text // 1024
    return f"{text}{unit}"


def is_cdrom(value: str) -> bool:
    """Return whether a drive's value says it is a CD-ROM."""
    return "media=cdrom" in value.split(",")


def boot_order(config: Mapping[str, str]) -> list[str]:
    """Return what PVE boots from by default: first disk, first CD-ROM, first card."""
    disks = [key for key in _BOOTABLE if key in config and not is_cdrom(config[key])]
    roms = [key for key in _BOOTABLE if key in config and is_cdrom(config[key])]
    cards = sorted((key for key in config if re.fullmatch(r"net\d+", key)), key=_number)
    return [*disks[:1], *roms[:1], *cards[:1]]


def boot_disk(config: Mapping[str, str]) -> str | None:
    """Return the drive a VM boots from."""
    boot = parse(config.get("boot", ""), "legacy").get("order", "")
    order = [key for key in boot.split(";") if key in config and is_drive(key)]
    disks = [key for key in order if not is_cdrom(config[key])]
    if disks:
        return disks[0]
    bootdisk = config.get("bootdisk")
    return bootdisk if bootdisk in config else None


def _number(key: str) -> int:
    return int(re.sub(r"\D", "", key) or 0)


def mounts(keys: Iterable[str]) -> list[str]:
    """Return the root file system and mount points among ``keys``, as PVE goes through them.

    ``valid_volume_keys`` in pve-container's ``PVE/LXC/Config.pm``: the root first.
    """
    wanted = list(keys)
    return [key for key in wanted if key == "rootfs"] + numbered(wanted, "mp")


def numbered(keys: Iterable[str], prefix: str) -> list[str]:
    """Return the keys ``prefix0``, ``prefix1``… among ``keys``, in numeric order."""
    wanted = [key for key in keys if re.fullmatch(rf"{prefix}\d+", key)]
    return sorted(wanted, key=_number)
