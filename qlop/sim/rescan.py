"""Have a guest's configuration say what its volumes are: ``qm disk rescan``, ``pct rescan``.

After ``rescan`` of ``PVE::QemuServer`` and ``PVE::LXC``: sizes are read from the storages, and
volumes of the guest that it does not name become ``unusedN``.
"""

from collections.abc import Iterator

from qlop.sim import drives, qemu_disks, volumes
from qlop.sim.call import check_lock, write
from qlop.sim.engine import World
from qlop.sim.state import Guest, Kind
from qlop.sim.wire import ApiError


def rescan(world: World, guest: Guest) -> str:
    """Read the sizes of a guest's volumes; return what happened, for people.

    Raises:
        ValueError: the guest is locked, or there is no quorum.
    """
    try:
        check_lock(guest)
        found = [*_sizes(world, guest), *_unused(world, guest)]
        write(world, guest)
    except ApiError as error:
        raise ValueError(error.text) from error
    return f"guest {guest.vmid}: {', '.join(found) or 'nothing has changed'}"


def _sizes(world: World, guest: Guest) -> Iterator[str]:
    for slot in sorted(guest.config):
        is_disk = drives.is_drive(slot) if guest.kind is Kind.QEMU else drives.is_mount(slot)
        if not is_disk or drives.is_cdrom(guest.config[slot]):
            continue
        drive = drives.parse(guest.config[slot])
        volume = volumes.find(world, drive["file"], guest.node)
        if volume is None or drive.get("size") == drives.size_text(volume.size_bytes):
            continue
        drive["size"] = drives.size_text(volume.size_bytes)
        guest.config[slot] = drives.show(drive)
        yield f"{slot} is {drive['size']}"


def _unused(world: World, guest: Guest) -> Iterator[str]:
    for volume in volumes.of_guest(world, guest.vmid):
        is_state = "-state-" in volume.volid
        if volume.node in {"", guest.node} and not is_state and not _is_named(guest, volume.volid):
            qemu_disks.add_unused(world, guest, volume.volid)
            yield f"{volume.volid} is unused"


def _is_named(guest: Guest, volid: str) -> bool:
    return any(volid == value.partition(",")[0] for value in guest.config.values())
