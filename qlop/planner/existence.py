"""Bring a guest into being: choose VMID, node and source, and say what will follow."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from qlop.model.action import CloneGuest, CreateGuest, StartGuest
from qlop.model.build import build_of
from qlop.model.desired import (
    ArchiveSource,
    CloneSource,
    DesiredDisk,
    DesiredGuest,
    EmptySource,
    ExistingSource,
    ImageSource,
    IsoSource,
)
from qlop.model.device import CLOUD_INIT_VOLUME, new_disk_text, nic_text
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import ClusterName, NodeName, StorageId, VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.option import render
from qlop.model.owner import (
    OPEN_WITNESS,
    OwnerMark,
    derived_mac,
    derived_uuid,
    signed_description,
)
from qlop.model.reading import Known
from qlop.model.units import GIB
from qlop.model.verdict import Held, Hold
from qlop.planner import config, growth, placement, reserved, template, write
from qlop.planner.capacity import THIN_PLUGINS, Capacity, queue_of, storage_on
from qlop.planner.step import Step, Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a creation needs to know: who, where and under which signs."""

    cluster: ClusterName
    guest: DesiredGuest
    vmid: VmId
    observed: Observed
    templates: tuple[ObservedGuest, ...]
    capacity: Capacity
    generation: int = 0
    reason: str = ""
    """Why it is made, if not because it does not exist."""


def plan_creation(birth: Birth, choose: placement.Chosen | Held) -> Steps:
    """Return the steps that create a guest on the chosen node."""
    if isinstance(choose, Held):
        return Steps(held=choose)
    guest = birth.guest
    birth.capacity.promise(choose.node, guest.service, memory_needed(guest))
    for storage, size in sorted(_bytes_needed(birth, choose.node).items()):
        seen = storage_on(birth.observed, storage, choose.node)
        if seen is not None:
            birth.capacity.take(seen, size)
    if isinstance(guest.source, CloneSource):
        return _clone(birth, choose.node, guest.source)
    return _create(birth, choose.node)


def refusal(birth: Birth, node: NodeName) -> placement.Refusal:
    """Return why ``node`` can't bring forth the guest: a template or storage it lacks."""
    guest = birth.guest
    if isinstance(guest.source, CloneSource):
        found = template.find(guest, guest.source, node, birth.observed, birth.templates)
        if isinstance(found, str):
            return Hold.NO_TEMPLATE, found
    content = "images" if guest.kind is GuestKind.VM else "rootdir"
    for storage, needed in sorted(_bytes_needed(birth, node).items()):
        seen = storage_on(birth.observed, storage, node)
        if seen is None:
            return Hold.NO_STORAGE, f"has no active storage {storage}"
        if content not in seen.content:
            return Hold.NO_STORAGE, f"does not keep {content} on storage {storage}"
        free = birth.capacity.storage_free(seen)
        if needed > max(free, 0):
            left, due = max(0, free) / GIB, needed / GIB
            return (
                Hold.NO_CAPACITY,
                f"has {left:.1f}GiB left on {storage}, {due:.1f}GiB are needed",
            )
    return None


def memory_needed(guest: DesiredGuest) -> int:
    """Return the bytes of memory that a node must have for a guest about to be made."""
    return guest.memory_bytes if guest.power is Power.RUNNING else 0


def mark_for(birth: Birth) -> OwnerMark:
    """Return the mark that a guest about to be created will carry."""
    guest = birth.guest
    return OwnerMark(
        cluster=birth.cluster,
        service=guest.service,
        index=guest.index,
        vmid=birth.vmid,
        witness=_witness(birth),
        generation=birth.generation,
        build=build_of(guest.source),
    )


def _witness(birth: Birth) -> str:
    guest = birth.guest
    if guest.kind is GuestKind.VM:
        place = (birth.cluster, guest.service, guest.index, birth.vmid)
        return f"uuid:{derived_uuid(*place, birth.generation)}"
    if guest.nics:
        first = min(guest.nics, key=lambda nic: int(nic.slot.removeprefix("net")))
        mac = first.mac or _mac(birth, first.slot)
        return f"mac:{mac.lower()}"
    return OPEN_WITNESS


def _mac(birth: Birth, slot: str) -> str:
    guest = birth.guest
    place = (birth.cluster, guest.service, guest.index, birth.vmid)
    return derived_mac(*place, slot, generation=birth.generation)


def _description(birth: Birth) -> str:
    text = birth.guest.options.get("description", "")
    assert isinstance(text, str)
    return signed_description(text, mark_for(birth))


def _display_name(guest: DesiredGuest) -> str:
    key = "name" if guest.kind is GuestKind.VM else "hostname"
    value = guest.options.get(key, guest.name)
    assert isinstance(value, str)
    return value


def _clone(birth: Birth, node: NodeName, source: CloneSource) -> Steps:
    guest = birth.guest
    found = template.find(guest, source, node, birth.observed, birth.templates)
    assert isinstance(found, ObservedGuest), "the node was chosen because it has a template"
    storages = {source.storage} if source.storage else template.storages(found)
    queues = [
        queue_of(seen)
        for storage in sorted(storages)
        if (seen := storage_on(birth.observed, storage, node)) is not None
    ]
    action = CloneGuest(
        subject=guest.name,
        vmid=birth.vmid,
        kind=guest.kind,
        node=found.node,
        source=found.vmid,
        target=node,
        full=source.full,
        name=_display_name(guest),
        description=_description(birth),
        storage=source.storage if source.full else None,
        pool=guest.pool,
    )
    step = Step(
        action=action,
        reason=birth.reason or f"{guest.name} does not exist",
        impact=Impact.NONE,
        takes=(f"node:{found.node}", *queues),
        witness=_witness(birth),
    )
    following = write.projected_after_clone(guest, birth.vmid, node, found)
    have = found.config.value if isinstance(found.config, Known) else None
    held = reserved.start_hold(guest, have)
    start = _start(birth, node) if held is None else ()
    return Steps(steps=(step, *following, *start), held=held)


def _create(birth: Birth, node: NodeName) -> Steps:
    guest = birth.guest
    storages = frozenset(_bytes_needed(birth, node))
    action = CreateGuest(
        subject=guest.name,
        vmid=birth.vmid,
        kind=guest.kind,
        node=node,
        params=_create_params(birth),
        storages=storages,
    )
    queues = [
        queue_of(seen)
        for storage in sorted(storages)
        if (seen := storage_on(birth.observed, storage, node)) is not None
    ]
    step = Step(
        action=action,
        reason=birth.reason or f"{guest.name} does not exist",
        impact=Impact.NONE,
        takes=(f"node:{node}", *queues),
        witness=_witness(birth),
    )
    held = reserved.start_hold(guest, None)
    start = _start(birth, node) if held is None else ()
    return Steps(steps=(step, *_grow_image(birth, node), *start), held=held)


def _create_params(birth: Birth) -> Mapping[str, str]:
    guest = birth.guest
    params = {key: render(guest.kind, key, value) for key, value in guest.options.items()}
    params.update(guest.create_options)
    params["description"] = _description(birth)
    if guest.kind is GuestKind.VM:
        params["name"] = _display_name(guest)
        params["smbios1"] = f"uuid={_witness(birth).removeprefix('uuid:')}"
    else:
        params["hostname"] = _display_name(guest)
    if guest.pool is not None:
        params["pool"] = guest.pool
    for nic in guest.nics:
        mac = nic.mac or ""
        if not mac and guest.kind is GuestKind.CONTAINER:
            mac = _mac(birth, nic.slot)
        params[nic.slot] = nic_text(guest.kind, mac, nic.properties)
    for disk in guest.disks:
        params[disk.slot] = _disk_param(disk, guest)
    match guest.source:
        case ArchiveSource(volume=volume):
            params["ostemplate"] = volume
        case IsoSource(volume=volume, slot=slot):
            params[slot] = f"{volume},media=cdrom"
        case CloneSource() | ImageSource() | EmptySource() | ExistingSource():
            pass
    for key in reserved.missing(guest, None):
        params.pop(key, None)
    return params


def _disk_param(disk: DesiredDisk, guest: DesiredGuest) -> str:
    properties = dict(disk.properties)
    if disk.format is not None:
        properties["format"] = disk.format
    if isinstance(guest.source, ImageSource) and disk is _system_disk(guest):
        properties["import-from"] = guest.source.volume
        return new_disk_text(str(disk.storage), 0, properties)
    return config.new_disk_value(disk, properties)


def _system_disk(guest: DesiredGuest) -> DesiredDisk | None:
    """Return the disk an image is imported into: the first that PVE allocates as such."""
    for disk in guest.disks:
        if disk.volume is None and not disk.slot.startswith(("efidisk", "tpmstate")):
            return disk
    return None


def _grow_image(birth: Birth, node: NodeName) -> tuple[Step, ...]:
    guest = birth.guest
    if not isinstance(guest.source, ImageSource):
        return ()
    disk = _system_disk(guest)
    if disk is None or disk.size_bytes is None:
        return ()
    action = growth.resize(guest, birth.vmid, node, disk.slot, disk.size_bytes)
    return (Step(action=action, reason="the image is smaller than the disk", impact=Impact.NONE),)


def _start(birth: Birth, node: NodeName) -> tuple[Step, ...]:
    guest = birth.guest
    if guest.power is not Power.RUNNING:
        return ()
    action = StartGuest(subject=guest.name, vmid=birth.vmid, kind=guest.kind, node=node)
    return (Step(action=action, reason="it should be running", impact=Impact.HOT),)


def _bytes_needed(birth: Birth, node: NodeName) -> Mapping[StorageId, int]:
    """Return what a creation writes, by storage; 0 where blocks are only taken when used.

    A full clone copies the template's disks, whatever kind of storage they go to.
    """
    guest, source = birth.guest, birth.guest.source
    needed: Counter[StorageId] = Counter()
    copied: frozenset[str] = frozenset()
    if isinstance(source, CloneSource):
        found = template.find(guest, source, node, birth.observed, birth.templates)
        if isinstance(found, ObservedGuest):
            copied = template.slots(found)
            for storage, size in template.sizes(found).items():
                needed[(source.storage if source.full else None) or storage] += (
                    size if source.full else 0
                )
    for disk in guest.disks:
        if disk.storage is None or disk.slot in copied:
            continue
        seen = storage_on(birth.observed, disk.storage, node)
        thin = seen is not None and seen.plugin in THIN_PLUGINS
        empty = thin or disk.volume == CLOUD_INIT_VOLUME
        needed[disk.storage] += 0 if empty else (disk.size_bytes or 0)
    return needed


def taken_hold(guest: DesiredGuest, taken_by: str) -> Held:
    """Return the hold for a VMID that somebody else has; ``taken_by`` says who."""
    return Held(
        reason=Hold.NOT_OURS,
        message=f"VMID {guest.vmid} is taken by {taken_by}",
        remedy="choose another vmid in the manifest",
    )
