"""Check what is said of a VM against itself."""

from collections import Counter
from collections.abc import Iterator

from qlop.manifest import devices, facts, options
from qlop.manifest.marks import Path
from qlop.manifest.parts import CloudInit, Disk
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import ServiceSpec
from qlop.model.finding import Finding
from qlop.model.units import MIB, format_size


def check_vm(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Yield what is wrong with a VM, apart from its networks."""
    yield from _check_processor(scope, spec)
    yield from _check_firmware(scope, spec)
    for position, disk in enumerate(spec.disks or ()):
        yield from _check_disk(scope, spec, disk, position)
    yield from _check_slots(scope, spec)
    yield from _check_sources_of_disks(scope, spec)
    yield from _check_boot_order(scope, spec)
    if spec.dns is not None and spec.cloud_init is None and "dns" in scope.entry.spec:
        message = "dns reaches a VM by cloud-init, and there is no cloudInit"
        yield scope.warning(("dns",), "no-effect", message, "add cloudInit, or leave dns out")


def _check_processor(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    if spec.balloon is not None and spec.memory is not None and spec.balloon > spec.memory:
        message = (
            f"balloon {format_size(spec.balloon)} is more than memory {format_size(spec.memory)}"
        )
        hint = "balloon is what the VM keeps when its node runs short: less than memory"
        yield scope.error(("balloon",), "balloon-too-large", message, hint)
    cpu = spec.cpu
    if cpu is None:
        return
    if cpu.limit is not None and cpu.limit > facts.VM_CPU_LIMIT_MAX:
        message = f"cpu.limit of a VM is at most {facts.VM_CPU_LIMIT_MAX}"
        yield scope.error(("cpu", "limit"), "out-of-range", message)
    if cpu.vcpus is not None and cpu.vcpus > (cpu.sockets or 1) * (cpu.cores or 1):
        message = f"{cpu.vcpus} vcpus are more than sockets times cores"
        yield scope.error(("cpu", "vcpus"), "out-of-range", message)


def _check_firmware(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    if spec.bios == "ovmf" and spec.efi_disk is None and not devices.comes_with_disks(spec):
        message = "bios ovmf without efiDisk forgets its boot entries when it stops"
        yield scope.warning(("bios",), "no-efi-disk", message, "add efiDisk: {type: 4m}")
    if spec.efi_disk is not None and spec.bios != "ovmf" and not devices.comes_with_disks(spec):
        message = "efiDisk has no effect without bios: ovmf"
        yield scope.warning(("efiDisk",), "no-effect", message, "add bios: ovmf")
    if spec.rng is not None and spec.rng.source is None and scope.complete:
        yield scope.error(("rng",), "missing", "rng needs a source", "write source: /dev/urandom")
    size = spec.display.memory if spec.display is not None else None
    low, high = facts.DISPLAY_MEMORY_MIN_MIB, facts.DISPLAY_MEMORY_MAX_MIB
    if size is not None and not low * MIB <= size <= high * MIB:
        message = f"display memory goes from {low}MiB to {high}MiB"
        yield scope.error(("display", "memory"), "out-of-range", message)


def _check_disk(scope: Scope, spec: ServiceSpec, disk: Disk, position: int) -> Iterator[Finding]:
    path: Path = ("disks", position)
    slot = devices.slot_of(disk)
    if not slot or (disk.slot is not None and (disk.bus is not None or disk.index is not None)):
        message = "a disk has either a slot, or a bus and an index"
        yield scope.error(path, "no-slot", message, "write slot: scsi0")
        return
    bus = slot.rstrip("0123456789")
    if disk.index is not None and disk.index >= facts.BUS_SLOTS[bus]:
        message = f"{bus} takes {facts.BUS_SLOTS[bus]} disks, numbered from 0"
        yield scope.error((*path, "index"), "out-of-range", message)
    for key, value, buses in (
        ("iothread", disk.iothread, facts.NO_IOTHREAD_BUSES),
        ("readOnly", disk.read_only, facts.NO_READ_ONLY_BUSES),
        ("ssd", disk.ssd, facts.NO_SSD_BUSES),
    ):
        if value is not None and bus in buses:
            message = f"a disk on {bus} can't have {key}"
            hint = "use scsi" if key == "ssd" else "use scsi or virtio"
            yield scope.error((*path, key), "not-on-this-bus", message, hint)
    if disk.iothread and bus == "scsi" and spec.scsi_controller != "virtio-scsi-single":
        message = "iothread on scsi has no effect without scsiController: virtio-scsi-single"
        hint = "add scsiController: virtio-scsi-single"
        yield scope.warning((*path, "iothread"), "no-effect", message, hint)


def _check_slots(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    if spec.source is not None and spec.source.iso is not None:
        taken[devices.CLOUD_INIT_SLOT] = "the installation medium"
    if spec.cloud_init is not None and _has_drive(spec, spec.cloud_init):
        slot = devices.cloud_init_slot(spec)
        if slot in taken:
            message = f"{slot} is taken by {taken[slot]}; the cloud-init drive can't be there too"
            hint = "give cloudInit another slot: ide0"
            yield scope.error(("cloudInit",), "slot-collision", message, hint)
        taken[slot] = "the cloud-init drive"
    for position, disk in enumerate(spec.disks or ()):
        slot = devices.slot_of(disk)
        if slot in taken:
            message = f"{slot} is taken by {taken[slot]}"
            yield scope.error(("disks", position), "slot-collision", message, "use another slot")
        if slot:
            taken.setdefault(slot, f"disks[{position}]")


def _has_drive(spec: ServiceSpec, cloud_init: CloudInit) -> bool:
    """Return whether there is a cloud-init drive, or will be: an existing VM gets none."""
    return cloud_init.storage is not None or not options.is_existing(spec)


def _check_sources_of_disks(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Check that what PVE has to make has a storage and a size."""
    if spec.source is None or devices.comes_with_disks(spec) or not scope.complete:
        return
    if spec.source.image is not None and not spec.disks:
        message = "an image needs a disk to be imported into"
        hint = "add disks: [{slot: scsi0, storage: …}]"
        yield scope.error(("source", "image"), "image-without-disk", message, hint)
    for position, disk in enumerate(spec.disks or ()):
        path: Path = ("disks", position)
        if disk.storage is None:
            yield scope.error(path, "missing", "the disk needs a storage to be made on", "")
        if disk.size is None and (position > 0 or spec.source.image is None):
            yield scope.error(path, "missing", "the disk needs a size", "write size: 20GiB")
    companions = {
        "efiDisk": spec.efi_disk and not spec.efi_disk.storage,
        "tpm": spec.tpm and not spec.tpm.storage,
        "cloudInit": spec.cloud_init and not spec.cloud_init.storage,
    }
    for key, lacks in companions.items():
        if lacks and devices.main_storage(spec) is None:
            message = f"{key} needs a storage, since there is no first disk to be beside"
            yield scope.error((key,), "missing", message, f"write {key}: {{storage: …}}")


def _check_boot_order(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    order = spec.boot_order or []
    counts = Counter(order)
    known = {devices.slot_of(disk) for disk in spec.disks or ()} | {
        devices.nic_slot(network, at) for at, network in enumerate(spec.networks or ())
    }
    if spec.source is not None and spec.source.iso is not None:
        known.add(devices.CLOUD_INIT_SLOT)
    for position, device in enumerate(order):
        path: Path = ("bootOrder", position)
        if counts[device] > 1:
            yield scope.error(path, "duplicate", f"{device} is in bootOrder twice")
        elif (
            device not in known and spec.source is not None and not devices.comes_with_disks(spec)
        ):
            message = f"there is no {device} to boot from"
            yield scope.warning(path, "no-such-device", message, "add it, or leave it out")
