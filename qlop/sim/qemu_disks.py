"""Create, attach, detach and free a VM's drives.

After ``create_disks`` and ``vmconfig_register_unused_drive`` of ``qemu-server``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qlop.sim import drives, volume_access, volumes
from qlop.sim.call import Call
from qlop.sim.engine import World
from qlop.sim.state import Guest, Volume
from qlop.sim.wire import ApiError, bad_parameters

_CLOUDINIT_BYTES = 4 * 1024**2
_EFI_BYTES = 528 * 1024
_TPM_BYTES = 4 * 1024**2


def check_storage_access(call: Call, params: Mapping[str, str], vmid: int) -> None:
    """Refuse drives on storages that don't exist, can't hold them, or are not the caller's."""
    for option in sorted(params):
        if not drives.is_drive(option):
            continue
        drive = drives.parse(params[option])
        file = drive.get("file", "")
        if file in {"none", "cdrom"}:
            continue
        requested = drives.new_disk(file)
        is_cloudinit = file.endswith(":cloudinit") or file == "cloudinit"
        if requested is not None or is_cloudinit:
            storage_name = file.partition(":")[0]
            call.demand(f"/storage/{storage_name}", "Datastore.AllocateSpace")
            storage = volumes.config_of(call.world, storage_name)
            if "images" not in storage.content:
                raise bad_parameters(
                    {"storage": f"storage '{storage_name}' does not support vm images"}
                )
        else:
            volume_access.check(call, file, vmid)
        if source := drive.get("import-from"):
            volume_access.check(call, source, vmid)
    for option in drives.numbered(params, "unused"):
        file = drives.parse(params[option]).get("file", "")
        if volume_access.split(file) is None:
            raise bad_parameters({option: f"not a valid volid: {file}"})
        volume_access.check(call, file, vmid, "images")


def check_drives(call: Call, params: dict[str, str]) -> None:
    """Refuse drives that contradict themselves; an empty one is a CD-ROM.

    After ``check_drive_param`` and ``cleanup_drive_path`` (qemu-server).
    """
    for option in sorted(params):
        if not drives.is_drive(option):
            continue
        drive = drives.parse(params[option])
        file = drive.get("file", "")
        requested = drives.new_disk(file)
        if "import-from" in drive and (requested is None or requested[1] != 0):
            text = "use <storage ID>:0,import-from=<source>"
            raise bad_parameters({option: f"'import-from' requires special syntax - {text}"})
        if file in {"none", "cdrom"}:
            drive.setdefault("media", "cdrom")
            params[option] = drives.show(drive)
        parts = volume_access.split(file)
        if parts is None or requested is not None or parts[1] == "cloudinit":
            continue
        told = volume_access.named(volumes.config_of(call.world, parts[0]), parts[1])
        if told.content == "iso" and drive.get("media") != "cdrom":
            text = "explicit 'media=cdrom' is required for iso images"
            raise bad_parameters({option: text})


@dataclass(slots=True, kw_only=True)
class Created:
    """What creating drives gave: their values, the log, the seconds the copying takes."""

    values: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    fresh: list[Volume] = field(default_factory=list)
    seconds: float = 0.0


def create(
    world: World, node: str, vmid: int, params: Mapping[str, str], created: Created
) -> None:
    """Allocate or attach the drives among ``params`` into ``created``.

    Raises:
        ApiError: a volume or storage does not exist.
        TaskError: a storage is full.
    """
    for option in sorted(params):
        if drives.is_drive(option):
            place = _Place(world=world, node=node, vmid=vmid, option=option)
            _create_one(place, params[option], created)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a drive is created, and what it will be called."""

    world: World
    node: str
    vmid: int
    option: str


def _create_one(place: _Place, value: str, created: Created) -> None:
    world, node, option = place.world, place.node, place.option
    drive = drives.parse(value)
    file = drive["file"]
    requested = drives.new_disk(file)
    if file in {"none", "cdrom"}:
        created.values[option] = drives.show(drive)
    elif file.endswith(":cloudinit"):
        _create_cloudinit(place, drive, created)
    elif requested is not None:
        _create_new(place, drive, created)
    else:
        volume = volumes.find(world, file, node)
        volumes.on_node(world, file.partition(":")[0], node)
        if volume is None:
            raise ApiError(f"volume '{file}' does not exist")
        drive["size"] = drives.size_text(volume.size_bytes)
        drive.pop("import-from", None)
        created.values[option] = drives.show(drive)


def _create_cloudinit(place: _Place, drive: dict[str, str], created: Created) -> None:
    world, node, vmid, option = place.world, place.node, place.vmid, place.option
    if (other := _other_cloudinit(place, created)) is not None:
        raise ApiError(f"{option} - cloud-init drive is already attached at '{other}'")
    name = drive["file"].partition(":")[0]
    storage = volumes.on_node(world, name, node)
    format_ = drive.pop("format", "qcow2" if storage.has_files else "raw")
    volid = volumes.volid_for(storage, vmid, "cloudinit", format_)
    volume = volumes.find(world, volid, node)
    if volume is None:
        volume = volumes.allocate(
            world,
            storage=storage,
            node=node,
            vmid=vmid,
            size=_CLOUDINIT_BYTES,
            format_=format_,
            name="cloudinit",
        )
        created.fresh.append(volume)
        created.lines.append(volumes.format_line(storage, volume))
    drive["file"] = volume.volid
    drive["media"] = "cdrom"
    drive.pop("size", None)
    created.values[option] = drives.show(drive)
    created.lines.append(f"{option}: successfully created disk '{created.values[option]}'")


def _other_cloudinit(place: _Place, created: Created) -> str | None:
    """Return the drive that already is the guest's cloud-init drive (``has_cloudinit``)."""
    guest = place.world.guests.get(place.vmid)
    sections = [created.values] if guest is None else [guest.config, guest.pending, created.values]
    for section in sections:
        for key, value in section.items():
            is_other = key != place.option and drives.is_drive(key) and drives.is_cdrom(value)
            if is_other and "cloudinit" in drives.parse(value).get("file", ""):
                return key
    return None


def _create_new(place: _Place, drive: dict[str, str], created: Created) -> None:
    world, node, vmid, option = place.world, place.node, place.vmid, place.option
    requested = drives.new_disk(drive["file"])
    assert requested is not None
    name, gib = requested
    storage = volumes.on_node(world, name, node)
    size = int(gib * 1024**3)
    if option == "efidisk0":
        size = _EFI_BYTES
    elif option == "tpmstate0":
        size = _TPM_BYTES
    source = None
    if origin := drive.pop("import-from", None):
        source = volumes.need(world, origin, node)
        size = source.size_bytes
    format_ = drive.pop("format", "")
    if source is not None and storage.has_files:
        format_ = format_ or source.format
    volume = volumes.allocate(
        world, storage=storage, node=node, vmid=vmid, size=size, format_=format_
    )
    created.fresh.append(volume)
    created.lines.append(volumes.format_line(storage, volume))
    if source is not None:
        volumes.fill_copy(world, source, volume)
        gib_used = source.used_bytes / 1024**3
        created.seconds += world.spec.timing.copy_s_per_gib * gib_used
        text = f"{source.size_bytes / 1024**3:.1f} GiB"
        created.lines.append(f"transferred {text} of {text} (100.00%)")
    drive["file"] = volume.volid
    drive["size"] = drives.size_text(volume.size_bytes)
    created.values[option] = drives.show(drive)
    created.lines.append(f"{option}: successfully created disk '{created.values[option]}'")


def undo(world: World, created: Created) -> None:
    """Free what was allocated for a creation that failed."""
    for volume in created.fresh:
        volumes.drop(world, volume)


def register_unused(world: World, guest: Guest, value: str) -> None:
    """Keep a detached disk as ``unusedN``; a CD-ROM is just let go, a cloud-init one freed."""
    drive = drives.parse(value)
    file = drive.get("file", "none")
    if is_cloudinit(file):
        _free_cloudinit(world, guest, file)
        return
    if drives.is_cdrom(value) or ":" not in file:
        return
    volume = volumes.find(world, file, guest.node)
    if volume is None or volume.vmid != guest.vmid:
        return
    if is_in_use(guest, file, without=value):
        return
    add_unused(world, guest, file)


def is_cloudinit(volid: str) -> bool:
    """Return whether a volume is the cloud-init drive of a VM."""
    return "cloudinit" in volid.rpartition("/")[2]


def _free_cloudinit(world: World, guest: Guest, volid: str) -> None:
    volume = volumes.find(world, volid, guest.node)
    if volume is not None and volume.vmid == guest.vmid:
        volumes.drop(world, volume)


def add_unused(world: World, guest: Guest, volid: str) -> None:
    """Give a volume the first free ``unusedN``, unless it has one.

    A cloud-init drive, which can be made anew, is freed (``add_unused_volume`` in
    qemu-server's ``PVE/QemuConfig.pm``).
    """
    if is_cloudinit(volid):
        _free_cloudinit(world, guest, volid)
        return
    if any(guest.config.get(key) == volid for key in drives.numbered(guest.config, "unused")):
        return
    number = 0
    while f"unused{number}" in guest.config:
        number += 1
    guest.config[f"unused{number}"] = volid


def is_in_use(guest: Guest, volid: str, *, without: str = "") -> bool:
    """Return whether the current section still has the volume in another drive."""
    return any(
        drives.parse(value).get("file") == volid and value != without
        for key, value in guest.config.items()
        if drives.is_drive(key)
    )


def is_in_snapshot(guest: Guest, volid: str) -> bool:
    """Return whether a snapshot has the volume."""
    return any(
        drives.parse(value).get("file") == volid
        for section in guest.snapshots.values()
        for key, value in section.items()
        if drives.is_drive(key) or key == "vmstate"
    )


def free_unused(world: World, guest: Guest, option: str) -> None:
    """Destroy an unused volume; one of somebody else is only forgotten.

    Raises:
        ApiError: a snapshot still has it.
    """
    volid = drives.parse(guest.config[option]).get("file", "")
    volume = volumes.find(world, volid, guest.node)
    if volume is not None and volume.vmid == guest.vmid:
        if is_in_use(guest, volid) or is_in_snapshot(guest, volid):
            raise ApiError(f"unable to delete '{volid}' - volume is still in use (snapshot?)")
        volumes.drop(world, volume)
    del guest.config[option]
