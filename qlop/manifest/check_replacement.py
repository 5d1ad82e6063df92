"""Check what a service says of being built anew: its persistent disks, and the order."""

from collections.abc import Iterator

from qlop.manifest import devices
from qlop.manifest.marks import Path
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import ServiceSpec
from qlop.model.finding import Finding


def check_replacement(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Yield which disk can't be persistent, and what two guests at once could not both have."""
    yield from _check_disks(scope, spec)
    if spec.update is not None and spec.update.order == "start-first":
        yield from _check_start_first(scope, spec)


def persistent(spec: ServiceSpec) -> Iterator[tuple[Path, str]]:
    """Yield where each persistent disk is said to be one, and its slot."""
    for position, disk in enumerate(spec.disks or ()):
        if disk.persistent:
            yield ("disks", position, "persistent"), devices.slot_of(disk)
    for position, mount in enumerate(spec.mount_points or ()):
        if mount.persistent:
            yield ("mountPoints", position, "persistent"), devices.mount_slot(mount, position)


def _check_disks(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    system = _system(spec)
    for path, slot in persistent(spec):
        if path[0] == "mountPoints":
            position = path[1]
            assert isinstance(position, int), "the path of a mount point has its position"
            if (spec.mount_points or ())[position].host_path is not None:
                message = "a hostPath is a directory of the node: it can't be handed over"
                yield scope.error(path, "not-a-volume", message, "leave persistent out")
        elif slot == system:
            message = (
                f"{slot} is the disk that the guest boots from: with another source it is what"
                " is to be new"
            )
            hint = "have the data on a second disk, and say persistent of that one"
            yield scope.error(path, "system-disk", message, hint)


def _system(spec: ServiceSpec) -> str:
    """Return the slot of a VM's system: what it boots from first, else its first disk."""
    slots = [devices.slot_of(disk) for disk in spec.disks or ()]
    boot = [slot for slot in spec.boot_order or () if slot in slots]
    if boot:
        return boot[0]
    has_own = devices.comes_with_disks(spec) and "scsi0" not in slots
    return "" if has_own or not slots else min(slots)


def _check_start_first(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    path: Path = ("update", "order")
    rest = "start-first has the old and the new guest run at one time"
    for place, _ in persistent(spec):
        message = f"{rest}, and a persistent disk can be in one of them only"
        yield scope.error(place, "start-first", message, "write order: stop-first")
    if spec.vmid is not None:
        message = f"{rest}, and both would have VMID {spec.vmid}"
        yield scope.error(("vmid",), "start-first", message, "leave vmid out")
    for position, nic in enumerate(spec.networks or ()):
        where: Path = ("networks", position)
        said = (("address", nic.address), ("address6", nic.address6))
        for key, values in said:
            if any("/" in value for value in values or ()):
                message = f"{rest}, and both would have this address"
                hint = "write address: dhcp, or order: stop-first"
                yield scope.error((*where, key), "start-first", message, hint)
        if nic.mac:
            message = f"{rest}, and both would have this MAC"
            yield scope.error((*where, "mac"), "start-first", message, "leave mac out")
    if spec.health is None and scope.complete:
        message = "the old guest is shut down as soon as the new one runs, whatever it does"
        yield scope.warning(path, "no-health", message, "say in health how to see that it serves")
