"""Lower disks and networks to slots and canonical properties."""

from collections.abc import Mapping
from dataclasses import replace

from qlop.manifest.parts import Disk, DiskLimits, MountPoint, Network, RootFs
from qlop.manifest.placeholder import fill
from qlop.manifest.schema import ServiceSpec
from qlop.model.desired import DesiredDisk, DesiredNic
from qlop.model.device import CLOUD_INIT_VOLUME
from qlop.model.ids import StorageId
from qlop.model.option import canonical_bool, canonical_number

CLOUD_INIT_SLOT = "ide2"
"""Where PVE's own documentation puts the cloud-init drive, and where an ISO goes."""


def slot_of(disk: Disk) -> str:
    """Return the slot of a disk, empty if it names none."""
    if disk.slot is not None:
        return disk.slot
    return f"{disk.bus}{disk.index}" if disk.bus is not None and disk.index is not None else ""


def mount_slot(mount: MountPoint, position: int) -> str:
    """Return the slot of a mount point."""
    return mount.slot or f"mp{position}"


def nic_slot(network: Network, position: int) -> str:
    """Return the slot of a network interface."""
    return network.slot or f"net{position}"


def cloud_init_slot(spec: ServiceSpec) -> str:
    """Return the slot of the cloud-init drive."""
    return (spec.cloud_init.slot if spec.cloud_init else None) or CLOUD_INIT_SLOT


def main_storage(spec: ServiceSpec) -> str | None:
    """Return the storage of the first disk, where small companions of it go too."""
    return spec.disks[0].storage if spec.disks else None


def comes_with_disks(spec: ServiceSpec) -> bool:
    """Return whether a guest has disks before any is made for it: a clone, an existing one."""
    source = spec.source
    return source is not None and (source.clone is not None or source.existing is not None)


def vm_disks(spec: ServiceSpec) -> tuple[DesiredDisk, ...]:
    """Return a VM's disks with what PVE treats as disks: EFI, TPM and cloud-init."""
    found = [_disk(disk) for disk in spec.disks or ()]
    companion = None if comes_with_disks(spec) else main_storage(spec)
    if spec.efi_disk is not None:
        keys = spec.efi_disk.pre_enrolled_keys
        found.append(
            _companion(
                "efidisk0",
                spec.efi_disk.storage or companion,
                _said({"efitype": spec.efi_disk.type, "pre-enrolled-keys": keys}),
            )
        )
    if spec.tpm is not None:
        storage = spec.tpm.storage or companion
        found.append(_companion("tpmstate0", storage, _said({"version": spec.tpm.version})))
    if spec.cloud_init is not None:
        storage = spec.cloud_init.storage or companion
        if storage is not None:
            found.append(
                DesiredDisk(
                    slot=cloud_init_slot(spec),
                    size_bytes=None,
                    storage=StorageId(storage),
                    volume=CLOUD_INIT_VOLUME,
                )
            )
    return tuple(found)


def container_disks(
    spec: ServiceSpec, *, index: int, name: str, service: str
) -> tuple[DesiredDisk, ...]:
    """Return a container's root file system and mount points."""
    found = [] if spec.rootfs is None else [_volume("rootfs", spec.rootfs, {}, None)]
    for position, mount in enumerate(spec.mount_points or ()):
        more = _said({"mp": mount.path, "backup": mount.backup, "shared": mount.shared})
        path = mount.host_path
        volume = None if path is None else fill(path, index=index, name=name, service=service)
        made = _volume(mount_slot(mount, position), mount, more, volume)
        found.append(replace(made, persistent=bool(mount.persistent)))
    return tuple(found)


def nics(spec: ServiceSpec, *, index: int, name: str, service: str) -> tuple[DesiredNic, ...]:
    """Return the network interfaces of the guest with number ``index``."""
    found = []
    for position, network in enumerate(spec.networks or ()):
        mac = one_of(network.mac, index)
        if mac is not None:
            mac = fill(mac, index=index, name=name, service=service).upper()
        properties = _nic(network)
        if spec.type == "vm":
            properties = {"model": network.model or "virtio", **properties}
        else:
            addresses = ip_config(network, index=index, name=name, service=service)
            properties = {"name": network.name or f"eth{position}", **properties, **addresses}
        found.append(DesiredNic(slot=nic_slot(network, position), mac=mac, properties=properties))
    return tuple(found)


def ip_config(network: Network, *, index: int, name: str, service: str) -> dict[str, str]:
    """Return the addresses of a network interface, as PVE's ``ipconfig`` and ``net`` have them."""
    said = {
        "ip": one_of(network.address, index),
        "gw": network.gateway,
        "ip6": one_of(network.address6, index),
        "gw6": network.gateway6,
    }
    return {
        key: fill(value, index=index, name=name, service=service)
        for key, value in said.items()
        if value is not None
    }


def one_of(values: list[str] | None, index: int) -> str | None:
    """Return the value for guest ``index`` of one for all or one for each."""
    if not values:
        return None
    return values[0] if len(values) == 1 else values[index - 1]


def _disk(disk: Disk) -> DesiredDisk:
    discard = None if disk.discard is None else "on" if disk.discard else "ignore"
    properties = _said(
        {
            "cache": disk.cache,
            "discard": discard,
            "ssd": disk.ssd,
            "iothread": disk.iothread,
            "backup": disk.backup,
            "ro": disk.read_only,
            "replicate": disk.replicate,
            "aio": disk.aio,
            "serial": disk.serial,
            **_limits(disk.limits),
        }
    )
    return DesiredDisk(
        slot=slot_of(disk),
        size_bytes=disk.size,
        storage=None if disk.storage is None else StorageId(disk.storage),
        format=disk.format,
        persistent=bool(disk.persistent),
        properties=properties,
    )


def _limits(limits: DiskLimits | None) -> dict[str, object]:
    if limits is None:
        return {}
    return {
        "mbps": limits.mbps,
        "mbps_rd": limits.mbps_read,
        "mbps_wr": limits.mbps_write,
        "iops": limits.iops,
        "iops_rd": limits.iops_read,
        "iops_wr": limits.iops_write,
    }


def _companion(slot: str, storage: str | None, properties: Mapping[str, str]) -> DesiredDisk:
    return DesiredDisk(
        slot=slot,
        size_bytes=None,
        storage=None if storage is None else StorageId(storage),
        properties=properties,
    )


def _volume(
    slot: str, volume: RootFs, more: Mapping[str, str], host_path: str | None
) -> DesiredDisk:
    options = volume.mount_options
    properties = _said(
        {
            "acl": volume.acl,
            "quota": volume.quota,
            "ro": volume.read_only,
            "replicate": volume.replicate,
            "mountoptions": None if options is None else ";".join(options),
        }
    )
    return DesiredDisk(
        slot=slot,
        size_bytes=volume.size,
        storage=None if volume.storage is None else StorageId(volume.storage),
        volume=host_path,
        properties={**more, **properties},
    )


def _nic(network: Network) -> dict[str, str]:
    trunks = None if network.trunks is None else ";".join(str(vlan) for vlan in network.trunks)
    return _said(
        {
            "bridge": network.bridge,
            "tag": network.vlan,
            "trunks": trunks,
            "firewall": network.firewall,
            "rate": network.rate,
            "mtu": network.mtu,
            "queues": network.queues,
            "link_down": network.link_down,
        }
    )


def _said(values: Mapping[str, object]) -> dict[str, str]:
    """Return what is said, in PVE's form."""
    found = {}
    for key, value in values.items():
        if value is None:
            continue
        text = str(value)
        if isinstance(value, bool):
            text = canonical_bool(text)
        elif isinstance(value, int | float):
            text = canonical_number(text)
        found[key] = text
    return found
