"""Say how the cluster will look when an action has been carried out, as far as can be said.

Pure. What PVE chooses itself (names of volumes, MACs) is made up: nobody is told of it, and
``qlop.cli.plan_file`` compares without it. Where too little is known to say anything, the
cluster is returned as it was.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from qlop.model.action import (
    Action,
    AssignPool,
    CloneGuest,
    ConfigureGuest,
    CreateGuest,
    CreateSnapshot,
    DeleteSnapshot,
    DestroyGuest,
    HandOverDisk,
    MigrateGuest,
    RebootGuest,
    ReplaceGuest,
    ResizeDisk,
    ResumeGuest,
    ShutdownGuest,
    StartGuest,
)
from qlop.model.device import CLOUD_INIT_VOLUME, disk_text, nic_text
from qlop.model.guest import GuestKind, Power
from qlop.model.health import Condition, Health
from qlop.model.ids import ClusterName, NodeName, PoolId, ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, Observed, ObservedGuest, ObservedSnapshot
from qlop.model.option import DISK_BASES, base_of, render, render_properties
from qlop.model.owner import derived_mac, derived_uuid, parse_mark
from qlop.model.plan import PlannedAction
from qlop.model.reading import Known
from qlop.model.units import GIB, MIB
from qlop.pve.parse_config import parse_config, parse_disk, parse_nic
from qlop.pve.payload import Misread

_NEW_VOLUME = re.compile(r"([^:/]+):(\d+(?:\.\d+)?)")
"""A volume that PVE is to allocate, by its size in GiB (``NEW_DISK_RE`` in qemu-server's
``PVE/QemuServer/Drive.pm``)."""
_NOT_OPTIONS = frozenset({"pool", "ostemplate", "storage", "password", "ssh-public-keys"})
"""Parameters of a creation that are no options of the guest afterwards."""

_IMAGE_BYTES = MIB
"""Of an image only PVE knows how large it is: here smaller than any disk, so that the disk
grows, as a plan says of it too."""
_NOBODYS, _NO_SERVICE = ClusterName("pve"), ServiceName("made-up")
"""Of what PVE chooses, so that it is never taken for what qlop derives."""

Raw = dict[str, str]
"""A configuration as PVE writes it."""


def after(observed: Observed, planned: PlannedAction, at: datetime) -> Observed:
    """Return the cluster once ``planned`` has succeeded at ``at``; guests that run are well."""
    try:
        return _after(observed, planned, planned.action, at)
    except Misread:
        return observed


def _after(observed: Observed, planned: PlannedAction, action: Action, at: datetime) -> Observed:
    match action:
        case CloneGuest():
            return _with(observed, _cloned(observed, action), at)
        case CreateGuest():
            return _with(observed, _created(action), at)
        case DestroyGuest():
            rest = {vmid: one for vmid, one in observed.guests.items() if vmid != action.vmid}
            return replace(observed, guests=rest)
        case HandOverDisk():
            return _handed_over(observed, action, at)
        case _:
            guest = observed.guests.get(action.vmid)
            if guest is None or not isinstance(guest.config, Known):
                return observed
            changed = _changed(guest, guest.config.value, planned, action, at)
            return _with(observed, changed, at)


def _with(observed: Observed, guest: ObservedGuest | None, at: datetime) -> Observed:
    if guest is None:
        return observed
    health = {vmid: one for vmid, one in observed.health.items() if vmid != guest.vmid}
    if guest.power is Power.RUNNING:
        health[guest.vmid] = Health(condition=Condition.HEALTHY, since=at)
    return replace(observed, guests={**observed.guests, guest.vmid: guest}, health=health)


def _changed(
    guest: ObservedGuest,
    have: GuestConfig,
    planned: PlannedAction,
    action: Action,
    at: datetime,
) -> ObservedGuest | None:
    match action:
        case ConfigureGuest():
            return _configured(guest, have, planned, action)
        case ReplaceGuest():
            raw = {**_raw(guest.kind, have), **action.writes}
            return _written(guest, raw, have.pending)
        case ResizeDisk():
            return _grown(guest, have, action)
        case CreateSnapshot() | DeleteSnapshot():
            return _snapped(guest, action, at)
        case AssignPool():
            return replace(guest, pool=action.pool)
        case MigrateGuest():
            return replace(guest, node=action.target)
        case _:
            return _powered(guest, have, action)


def _powered(guest: ObservedGuest, have: GuestConfig, action: Action) -> ObservedGuest:
    settled = Known(replace(have, pending=frozenset()))
    match action:
        case StartGuest() | RebootGuest():
            return replace(guest, power=Power.RUNNING, lock="", config=settled)
        case ResumeGuest():
            return replace(guest, power=Power.RUNNING)
        case ShutdownGuest():
            return replace(guest, power=Power.STOPPED, config=settled)
        case _:
            return guest


def _grown(guest: ObservedGuest, have: GuestConfig, action: ResizeDisk) -> ObservedGuest | None:
    disk = have.disks.get(action.slot)
    if disk is None:
        return None
    value = disk_text(disk.volume, action.size_bytes, disk.properties)
    return _written(guest, {**_raw(guest.kind, have), action.slot: value}, have.pending)


def _configured(
    guest: ObservedGuest, have: GuestConfig, planned: PlannedAction, action: ConfigureGuest
) -> ObservedGuest | None:
    raw = _raw(guest.kind, have)
    raw.update(_allocated(guest.kind, guest.vmid, action.set, have))
    for name in action.delete:
        if name in have.disks:
            raw[f"unused{len(have.unused)}"] = have.disks[name].volume
        raw.pop(name, None)
    waiting = {one.field for one in planned.changes if one.impact is Impact.REBOOT}
    return _written(guest, raw, have.pending | waiting)


def _snapped(
    guest: ObservedGuest, action: CreateSnapshot | DeleteSnapshot, at: datetime
) -> ObservedGuest | None:
    if not isinstance(guest.snapshots, Known):
        return None
    rest = tuple(one for one in guest.snapshots.value if one.name != action.snapshot)
    if isinstance(action, CreateSnapshot):
        taken = ObservedSnapshot(
            name=action.snapshot,
            taken_at=at,
            ours=parse_mark(action.description) is not None,
            with_memory=action.memory,
        )
        rest = (*rest, taken)
    return replace(guest, snapshots=Known(rest))


def _handed_over(observed: Observed, action: HandOverDisk, at: datetime) -> Observed:
    giver, taker = observed.guests.get(action.vmid), observed.guests.get(action.heir)
    if giver is None or taker is None:
        return observed
    if not isinstance(giver.config, Known) or not isinstance(taker.config, Known):
        return observed
    left, got = _raw(giver.kind, giver.config.value), _raw(taker.kind, taker.config.value)
    value = left.pop(action.slot, None)
    if value is None:
        return observed
    got[action.slot] = value.replace(f"vm-{action.vmid}-", f"vm-{action.heir}-")
    poorer = _written(giver, left, giver.config.value.pending)
    richer = _written(taker, got, taker.config.value.pending)
    return _with(_with(observed, poorer, at), richer, at)


def _cloned(observed: Observed, action: CloneGuest) -> ObservedGuest | None:
    template = observed.guests.get(action.source)
    if template is None or not isinstance(template.config, Known):
        return None
    raw = _raw(action.kind, template.config.value)
    for name in ("template", "vmgenid", "protection", "lock"):
        raw.pop(name, None)
    for slot, disk in template.config.value.disks.items():
        if disk.is_cdrom and "cloudinit" not in disk.volume:
            continue
        storage = action.storage or disk.storage
        volume = f"{storage}:vm-{action.vmid}-{_volume_tail(slot, disk.volume)}"
        raw[slot] = disk_text(volume, disk.size_bytes, disk.properties)
    for slot, nic in template.config.value.nics.items():
        raw[slot] = nic_text(action.kind, _made_up_mac(action.vmid, slot), nic.properties)
    raw["description"] = action.description
    if action.kind is GuestKind.VM:
        board = template.config.value.options.get("smbios1", {})
        rest = {} if isinstance(board, str) else board
        raw["smbios1"] = render_properties({**rest, "uuid": _made_up_uuid(action.vmid)})
    raw["name" if action.kind is GuestKind.VM else "hostname"] = action.name
    return _born(action, action.target, action.pool, raw)


def _created(action: CreateGuest) -> ObservedGuest | None:
    said = {key: value for key, value in action.params.items() if key not in _NOT_OPTIONS}
    pool = action.params.get("pool")
    raw = _allocated(action.kind, action.vmid, said, None)
    return _born(action, action.node, PoolId(pool) if pool else None, raw)


def _born(
    action: CreateGuest | CloneGuest, node: NodeName, pool: PoolId | None, raw: Raw
) -> ObservedGuest | None:
    guest = ObservedGuest(
        vmid=action.vmid,
        kind=action.kind,
        node=node,
        name="",
        power=Power.STOPPED,
        template=False,
        lock="",
        tags="",
        pool=pool,
        ha_state="",
        memory_bytes=0,
        config=Known(_NOTHING),
        snapshots=Known(()),
    )
    return _written(guest, raw, frozenset())


_NOTHING = GuestConfig(
    digest="",
    options={},
    disks={},
    nics={},
    unused={},
    pending=frozenset(),
    mark=None,
    witness="",
)


def _written(guest: ObservedGuest, raw: Raw, pending: frozenset[str]) -> ObservedGuest | None:
    """Return the guest with another configuration, None if that can't be understood."""
    before = guest.config.value.digest if isinstance(guest.config, Known) else ""
    found = parse_config(guest.kind, {**raw, "digest": f"{before}+"}, pending)
    if not isinstance(found, Known):
        return None
    options = found.value.options
    name, memory = options.get("name", options.get("hostname", "")), options.get("memory", "")
    tags = options.get("tags", "")
    return replace(
        guest,
        config=found,
        name=name if isinstance(name, str) else guest.name,
        tags=tags if isinstance(tags, str) else guest.tags,
        memory_bytes=(
            int(memory) * MIB
            if isinstance(memory, str) and memory.isdecimal()
            else guest.memory_bytes
        ),
    )


def _raw(kind: GuestKind, have: GuestConfig) -> Raw:
    """Return a configuration as PVE writes it."""
    return {
        **{key: render(kind, key, value) for key, value in have.options.items()},
        **{
            slot: disk_text(disk.volume, disk.size_bytes, disk.properties)
            for slot, disk in have.disks.items()
        },
        **{slot: nic_text(kind, nic.mac, nic.properties) for slot, nic in have.nics.items()},
        **have.unused,
    }


def _allocated(
    kind: GuestKind, vmid: VmId, said: Mapping[str, str], have: GuestConfig | None
) -> Raw:
    """Return what is written as PVE will show it: volumes and MACs that it makes are there."""
    found = dict(said)
    for key, value in said.items():
        if base_of(key) == "net":
            nic = parse_nic(kind, key, value)
            mac = nic.mac or _made_up_mac(vmid, key)
            found[key] = nic_text(kind, mac, nic.properties)
        elif base_of(key) in DISK_BASES[kind]:
            found[key] = _volume(kind, vmid, key, value, have)
    return found


def _volume(kind: GuestKind, vmid: VmId, slot: str, value: str, have: GuestConfig | None) -> str:
    disk = parse_disk(kind, slot, value)
    rest = {name: text for name, text in disk.properties.items() if name != "import-from"}
    if disk.volume == f"{disk.storage}:{CLOUD_INIT_VOLUME}":
        volume = f"{disk.storage}:vm-{vmid}-{CLOUD_INIT_VOLUME}"
        return disk_text(volume, 4 * MIB, {**rest, "media": "cdrom"})
    new = _NEW_VOLUME.fullmatch(disk.volume)
    if new is None:
        current = have.disks.get(slot) if have is not None else None
        size = disk.size_bytes or (current.size_bytes if current is not None else None)
        return disk_text(disk.volume, size, rest)
    is_image = "import-from" in disk.properties
    size_bytes = _IMAGE_BYTES if is_image else int(float(new[2]) * GIB) or None
    return disk_text(f"{new[1]}:vm-{vmid}-{_volume_tail(slot, '')}", size_bytes, rest)


def _volume_tail(slot: str, volume: str) -> str:
    return CLOUD_INIT_VOLUME if "cloudinit" in volume else f"disk-{slot}"


def _made_up_mac(vmid: VmId, slot: str) -> str:
    return derived_mac(_NOBODYS, _NO_SERVICE, 0, vmid, slot)


def _made_up_uuid(vmid: VmId) -> str:
    return derived_uuid(_NOBODYS, _NO_SERVICE, 0, vmid)
