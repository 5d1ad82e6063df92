"""Say of a guest's disks and networks what a manifest can say of them."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from qlop.manifest.devices import CLOUD_INIT_SLOT
from qlop.manifest.drawing import (
    Drawing,
    Wanted,
    flag,
    flag_of,
    number,
    part_of,
    text,
    whole,
    wholes,
    words,
)
from qlop.manifest.marks import Yaml
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.guest import Disk, Nic
from qlop.model.observed import GuestConfig
from qlop.model.option import base_of
from qlop.model.units import format_size

_Device = TypeVar("_Device", Disk, Nic)

_DISK: Wanted = {
    "cache": ("cache", text),
    "discard": ("discard", flag_of("on", "ignore")),
    "ssd": ("ssd", flag),
    "iothread": ("iothread", flag),
    "backup": ("backup", flag),
    "ro": ("readOnly", flag),
    "replicate": ("replicate", flag),
    "aio": ("aio", text),
    "serial": ("serial", text),
}
_LIMITS: Wanted = {
    "mbps": ("mbps", number),
    "mbps_rd": ("mbpsRead", number),
    "mbps_wr": ("mbpsWrite", number),
    "iops": ("iops", whole),
    "iops_rd": ("iopsRead", whole),
    "iops_wr": ("iopsWrite", whole),
}
_EFI: Wanted = {"efitype": ("type", text), "pre-enrolled-keys": ("preEnrolledKeys", flag)}
_TPM: Wanted = {"version": ("version", text)}
_VOLUME: Wanted = {
    "acl": ("acl", flag),
    "quota": ("quota", flag),
    "ro": ("readOnly", flag),
    "replicate": ("replicate", flag),
    "mountoptions": ("mountOptions", words(";")),
}
_MOUNT: Wanted = {
    **_VOLUME,
    "mp": ("path", text),
    "backup": ("backup", flag),
    "shared": ("shared", flag),
}
_ADDRESSES: Wanted = {
    "ip": ("address", text),
    "gw": ("gateway", text),
    "ip6": ("address6", text),
    "gw6": ("gateway6", text),
}
_NIC: Wanted = {
    "bridge": ("bridge", text),
    "tag": ("vlan", whole),
    "trunks": ("trunks", wholes(";")),
    "firewall": ("firewall", flag),
    "rate": ("rate", number),
    "mtu": ("mtu", whole),
    "link_down": ("linkDown", flag),
}
_VM_NIC: Wanted = {"model": ("model", text), **_NIC, "queues": ("queues", whole)}
_CONTAINER_NIC: Wanted = {"name": ("name", text), **_NIC, **_ADDRESSES}

_UNSAID = frozenset({"format", "media", "type"})
"""Properties that say how something was made, or what it is anyway."""


def draw_vm_disks(drawing: Drawing, config: GuestConfig) -> None:
    """Say the disks of a VM; what holds a medium, or is a device of the node, is left out."""
    disks: list[Yaml] = []
    for slot, disk in _sorted(config.disks):
        found: dict[str, Yaml]
        match slot:
            case "efidisk0":
                found, rest = part_of(disk.properties, _EFI)
                drawing.say("efiDisk", _stored(disk) | found)
            case "tpmstate0":
                found, rest = part_of(disk.properties, _TPM)
                drawing.say("tpm", _stored(disk) | found)
            case _ if disk.is_cdrom or disk.storage is None:
                if not _is_cloud_init(disk):
                    drawing.rest.append(slot)
                continue
            case _:
                found, rest = part_of(disk.properties, _DISK)
                limits, rest_of_limits = part_of(disk.properties, _LIMITS)
                rest &= rest_of_limits
                size = _size(disk)
                disks.append(
                    {"slot": slot}
                    | _stored(disk)
                    | size
                    | found
                    | ({"limits": limits} if limits else {})
                )
        drawing.note(slot, rest - _UNSAID)
    drawing.say("disks", disks or None)


def cloud_init_drive(config: GuestConfig) -> dict[str, Yaml]:
    """Return what is said of a VM's cloud-init drive; empty if it has none."""
    for slot, disk in _sorted(config.disks):
        if _is_cloud_init(disk):
            place: dict[str, Yaml] = {} if slot == CLOUD_INIT_SLOT else {"slot": slot}
            return _stored(disk) | place
    return {}


def draw_container_volumes(drawing: Drawing, config: GuestConfig) -> None:
    """Say the root file system and the mount points of a container."""
    mounts: list[Yaml] = []
    for slot, disk in _sorted(config.disks):
        found, rest = part_of(disk.properties, _VOLUME if slot == "rootfs" else _MOUNT)
        drawing.note(slot, rest - _UNSAID)
        if slot == "rootfs":
            drawing.say("rootfs", _stored(disk) | _size(disk) | found or None)
        elif disk.storage is None:
            mounts.append({"slot": slot, "hostPath": disk.volume, **found})
        else:
            mounts.append({"slot": slot, **_stored(disk), **_size(disk), **found})
    drawing.say("mountPoints", mounts or None)


def draw_vm_networks(drawing: Drawing, config: GuestConfig, *, with_addresses: bool) -> None:
    """Say the networks of a VM, with the addresses that cloud-init tells it if so wished."""
    found: list[Yaml] = []
    for slot, nic in _sorted(config.nics):
        one, rest = _nic(slot, nic, _VM_NIC)
        drawing.note(slot, rest)
        if with_addresses:
            one |= drawing.take_part(slot.replace("net", "ipconfig"), _ADDRESSES)
        found.append(one)
    drawing.say("networks", found or None)


def draw_container_networks(drawing: Drawing, config: GuestConfig) -> None:
    """Say the networks of a container."""
    found: list[Yaml] = []
    for slot, nic in _sorted(config.nics):
        one, rest = _nic(slot, nic, _CONTAINER_NIC)
        drawing.note(slot, rest - _UNSAID)
        found.append(one)
    drawing.say("networks", found or None)


def _nic(slot: str, nic: Nic, wanted: Wanted) -> tuple[dict[str, Yaml], frozenset[str]]:
    said, rest = part_of(nic.properties, wanted)
    named: dict[str, Yaml] = {"slot": slot}
    if nic.mac:
        named["mac"] = nic.mac
    return named | said, rest


def _stored(disk: Disk) -> dict[str, Yaml]:
    return {"storage": disk.storage} if disk.storage is not None else {}


def _size(disk: Disk) -> dict[str, Yaml]:
    return {"size": format_size(disk.size_bytes)} if disk.size_bytes else {}


def _is_cloud_init(disk: Disk) -> bool:
    return disk.is_cdrom and CLOUD_INIT_VOLUME in disk.volume


def _sorted(devices: Mapping[str, _Device]) -> Iterable[tuple[str, _Device]]:
    """Return devices by bus and number: ``scsi2`` comes before ``scsi10``."""

    def place(slot: str) -> tuple[str, int]:
        return base_of(slot), int(slot[len(base_of(slot)) :] or 0)

    return [(slot, devices[slot]) for slot in sorted(devices, key=place)]
