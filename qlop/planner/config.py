"""Compare configurations and say what must be written, and what that costs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from qlop.model.action import AssignPool, ConfigureGuest, ResizeDisk
from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.device import CLOUD_INIT_VOLUME, covers, disk_text, new_disk_text, nic_text
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power, Properties
from qlop.model.history import EXPECTS_CLOUD_INIT, EXPECTS_DIGEST, EXPECTS_SEAL
from qlop.model.ids import NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import is_met, render, render_properties, rule_for
from qlop.model.owner import OwnerMark, signed_description, strip_mark
from qlop.model.plan import Change
from qlop.model.reading import Known
from qlop.model.units import format_size
from qlop.model.verdict import Held, Hold
from qlop.planner.ownership import needs_seal
from qlop.planner.step import Step, premise_of

CLOUD_INIT_KEYS = frozenset(
    {"name", "ciuser", "sshkeys", "nameserver", "searchdomain", "cicustom", "citype"}
)
"""What a cloud-init drive is made of, beside ``ipconfigN``
(``PVE::QemuServer::cloudinit_pending_properties``)."""

_HOT_DISK_PROPERTIES = ("backup", "replicate", "mbps", "iops", "werror", "rerror", "serial")
"""Disk properties that take effect at once (``vmconfig_update_disk``)."""

_REPLUG_PROPERTIES = frozenset({"model", "mtu"})
"""NIC properties whose change takes the NIC out and puts it in again."""


@dataclass(slots=True)
class Difference:
    """What differs, gathered while comparing; frozen into steps at the end."""

    set: dict[str, str] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    grow: list[tuple[str, int, Change]] = field(default_factory=list)
    holds: list[Held] = field(default_factory=list)
    seals: bool = False

    def write(self, key: str, value: str, change: Change) -> None:
        """Note that ``key`` is to be written."""
        self.set[key] = value
        self.changes.append(change)


def difference(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Difference:
    """Return how an owned guest's configuration differs from what its manifest says."""
    found = Difference()
    running = guest.power is not Power.STOPPED
    mark = have.mark
    assert mark is not None, "only owned guests are compared"
    for key, value in want.options.items():
        _compare_option(found, want.kind, key, _signed(key, value, mark), have, running=running)
    for disk in want.disks:
        _compare_disk(found, want, disk, have, running=running)
    _compare_nics(found, want, have, running=running)
    if needs_seal(have):
        _seal(found, want, have, mark)
    return found


def steps_for(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, found: Difference
) -> tuple[Step, ...]:
    """Return the writes that remove a difference: first the options, then each disk."""
    steps: list[Step] = []
    premise = premise_of(have)
    if found.set or found.delete:
        expects = {EXPECTS_DIGEST: have.digest}
        if found.seals:
            expects[EXPECTS_SEAL] = premise.mark.witness
        if want.kind is GuestKind.VM and any(is_cloud_init(key) for key in found.set):
            expects[EXPECTS_CLOUD_INIT] = "changed"
        configure = ConfigureGuest(
            subject=want.name,
            vmid=guest.vmid,
            kind=want.kind,
            node=guest.node,
            digest=have.digest,
            set=found.set,
            delete=tuple(found.delete),
        )
        steps.append(
            Step(
                action=configure,
                reason=_reason(found),
                impact=max(change.impact for change in found.changes),
                premise=premise,
                takes=(f"node:{guest.node}",),
                expects=expects,
                changes=tuple(found.changes),
            )
        )
    for slot, size_bytes, change in found.grow:
        resize = ResizeDisk(
            subject=want.name,
            vmid=guest.vmid,
            kind=want.kind,
            node=guest.node,
            slot=slot,
            size_bytes=size_bytes,
            digest="" if steps else have.digest,
        )
        steps.append(
            Step(
                action=resize,
                reason=f"{slot} should be {format_size(size_bytes)}",
                impact=change.impact,
                premise=premise,
                takes=(f"node:{guest.node}",),
                changes=(change,),
            )
        )
    if want.pool is not None and want.pool != guest.pool:
        steps.append(_pool_step(want, guest, have))
    return tuple(steps)


def projected_after_clone(
    want: DesiredGuest, vmid: VmId, node: NodeName, template: ObservedGuest
) -> tuple[Step, ...]:
    """Return the writes that will follow a clone of ``template``, as far as can be said.

    They are shown, not carried out: once the clone is there, the next plan compares it
    as it really is.
    """
    if not isinstance(template.config, Known):
        return ()
    have = template.config.value
    found = Difference(seals=True)
    for key, value in want.options.items():
        if key not in {"name", "hostname", "description"}:
            _compare_option(found, want.kind, key, value, have, running=False)
    for disk in want.disks:
        _compare_disk(found, want, disk, have, running=False)
    for nic in want.nics:
        existing = have.nics.get(nic.slot)
        if existing is None or not covers(
            want.kind, nic.slot, existing.properties, nic.properties
        ):
            merged = {**(existing.properties if existing else {}), **nic.properties}
            old = nic_text(want.kind, "", existing.properties) if existing else ""
            new = nic_text(want.kind, nic.mac or "", merged)
            found.write(nic.slot, new, _change(nic.slot, old, new, Impact.NONE))
    steps: list[Step] = []
    if found.set:
        action = ConfigureGuest(
            subject=want.name, vmid=vmid, kind=want.kind, node=node, digest="", set=found.set
        )
        steps.append(
            Step(
                action=action,
                reason="it differs from its template",
                impact=Impact.NONE,
                changes=tuple(found.changes),
            )
        )
    for slot, size_bytes, change in found.grow:
        resize = ResizeDisk(
            subject=want.name,
            vmid=vmid,
            kind=want.kind,
            node=node,
            slot=slot,
            size_bytes=size_bytes,
            digest="",
        )
        steps.append(
            Step(
                action=resize,
                reason=f"{slot} should be {format_size(size_bytes)}",
                impact=Impact.NONE,
                changes=(change,),
            )
        )
    return tuple(steps)


def managed_pending(want: DesiredGuest, have: GuestConfig) -> tuple[str, ...]:
    """Return the pending options that the manifest speaks about."""
    if not have.pending:
        return ()
    slots = {disk.slot for disk in want.disks} | {nic.slot for nic in want.nics}
    return tuple(sorted(key for key in have.pending if key in want.options or key in slots))


def is_cloud_init(key: str) -> bool:
    """Return whether a VM's option goes into its cloud-init drive."""
    return key in CLOUD_INIT_KEYS or key.startswith("ipconfig")


def new_disk_value(disk: DesiredDisk, properties: Properties) -> str:
    """Return the value that makes a disk come into being in its slot."""
    if disk.volume == CLOUD_INIT_VOLUME:
        return f"{disk.storage}:{CLOUD_INIT_VOLUME}"
    if disk.volume is not None:
        return disk_text(disk.volume, None, properties)
    assert disk.storage is not None, "a new disk needs a storage: checked with the manifest"
    return new_disk_text(str(disk.storage), disk.size_bytes or 0, properties)


def _signed(key: str, value: OptionValue, mark: OwnerMark) -> OptionValue:
    if key == "description" and isinstance(value, str):
        return signed_description(value, mark)
    return value


def _compare_option(
    found: Difference,
    kind: GuestKind,
    key: str,
    want: OptionValue,
    have: GuestConfig,
    *,
    running: bool,
) -> None:
    current = have.options.get(key)
    if current == want or is_met(kind, key, want, current):
        return
    rule = rule_for(kind, key)
    impact = rule.impact if rule is not None and running else Impact.NONE
    if not isinstance(want, str) and current is not None and not isinstance(current, str):
        want = {**current, **want}
    change = _change(key, _shown(current), _shown(want), impact)
    if rule is not None and rule.create_only:
        found.holds.append(
            Held(
                reason=Hold.UNSUPPORTED_CHANGE,
                message=f"{key} is {change.old or 'not set'} and should be {change.new}:"
                " PVE can't change it after creation",
                remedy="build a new guest, or set the manifest back",
            )
        )
        return
    rendered = render(kind, key, want)
    if rendered:
        found.write(key, rendered, change)
    else:
        found.delete.append(key)
        found.changes.append(change)


def _compare_disk(
    found: Difference,
    want: DesiredGuest,
    disk: DesiredDisk,
    have: GuestConfig,
    *,
    running: bool,
) -> None:
    current = have.disks.get(disk.slot)
    if current is None:
        _add_disk(found, disk, have, running=running)
        return
    if disk.volume == CLOUD_INIT_VOLUME:
        return
    if disk.storage is not None and current.storage != disk.storage:
        found.holds.append(
            Held(
                reason=Hold.UNSUPPORTED_CHANGE,
                message=f"{disk.slot} is on {current.storage} and should be on {disk.storage}:"
                " qlop does not move disks between storages",
                remedy=f"move the disk in PVE (Disk Action, Move Storage), or say {current.storage}",
            )
        )
        return
    if disk.volume is not None and disk.volume != current.volume:
        found.holds.append(
            Held(
                reason=Hold.UNSUPPORTED_CHANGE,
                message=f"{disk.slot} is {current.volume} and should be {disk.volume}:"
                " qlop does not put another volume in a disk's place",
                remedy="detach the volume by hand if that is what you want",
            )
        )
        return
    _compare_size(found, disk, current, running=running)
    if not covers(want.kind, disk.slot, current.properties, disk.properties):
        merged = {**current.properties, **disk.properties}
        impact = _disk_impact(want.kind, disk, current) if running else Impact.NONE
        change = _change(
            disk.slot,
            render_properties(current.properties),
            render_properties(merged),
            impact,
        )
        found.write(disk.slot, disk_text(current.volume, current.size_bytes, merged), change)


def _add_disk(
    found: Difference,
    disk: DesiredDisk,
    have: GuestConfig,
    *,
    running: bool,
) -> None:
    if have.unused and disk.volume is None:
        volumes = ", ".join(sorted(have.unused.values()))
        found.holds.append(
            Held(
                reason=Hold.DATA_LOSS,
                message=f"{disk.slot} is missing while {volumes} is detached:"
                " a new empty disk in its place could hide its data",
                remedy="attach the volume again, or remove it, in PVE",
            )
        )
        return
    if disk.storage is None and disk.volume is None:
        found.holds.append(
            Held(
                reason=Hold.UNSUPPORTED_CHANGE,
                message=f"{disk.slot} is missing and no storage is given to make it on",
                remedy=f"say on which storage {disk.slot} should be",
            )
        )
        return
    properties = dict(disk.properties)
    if disk.format is not None:
        properties["format"] = disk.format
    value = new_disk_value(disk, properties)
    impact = Impact.NONE
    if running:
        hot = disk.slot.startswith(("scsi", "virtio", "mp"))
        impact = Impact.HOT if hot else Impact.REBOOT
    found.write(disk.slot, value, _change(disk.slot, "", value, impact))


def _compare_size(found: Difference, disk: DesiredDisk, current: Disk, *, running: bool) -> None:
    if disk.size_bytes is None or current.size_bytes is None:
        return
    if disk.size_bytes == current.size_bytes:
        return
    old, new = format_size(current.size_bytes), format_size(disk.size_bytes)
    if disk.size_bytes < current.size_bytes:
        found.holds.append(
            Held(
                reason=Hold.DATA_LOSS,
                message=f"{disk.slot} is {old} and should be {new}:"
                " shrinking a disk destroys what is at its end",
                remedy=f"write {old} in the manifest; to get a smaller disk, build a new one"
                " and copy the data",
            )
        )
        return
    change = _change(f"{disk.slot}.size", old, new, Impact.HOT if running else Impact.NONE)
    found.grow.append((disk.slot, disk.size_bytes, change))


def _disk_impact(kind: GuestKind, disk: DesiredDisk, current: Disk) -> Impact:
    if kind is GuestKind.CONTAINER:
        return Impact.REBOOT
    differing = [
        key for key, value in disk.properties.items() if current.properties.get(key, "") != value
    ]
    hot = all(key.startswith(_HOT_DISK_PROPERTIES) for key in differing)
    return Impact.HOT if hot else Impact.REBOOT


def _compare_nics(
    found: Difference, want: DesiredGuest, have: GuestConfig, *, running: bool
) -> None:
    for nic in want.nics:
        current = have.nics.get(nic.slot)
        if current is not None and _is_nic_met(want.kind, nic, current):
            continue
        mac = nic.mac or (current.mac if current is not None else "")
        merged = {**(current.properties if current is not None else {}), **nic.properties}
        new = nic_text(want.kind, mac, merged)
        old = nic_text(want.kind, current.mac, current.properties) if current is not None else ""
        found.write(
            nic.slot,
            new,
            _change(nic.slot, old, new, _nic_impact(current, merged, running=running)),
        )
    if want.networks_declared:
        wanted = {nic.slot for nic in want.nics}
        for slot in sorted(set(have.nics) - wanted):
            extra = have.nics[slot]
            old = nic_text(want.kind, extra.mac, extra.properties)
            found.delete.append(slot)
            found.changes.append(_change(slot, old, "", Impact.HOT if running else Impact.NONE))


def _is_nic_met(kind: GuestKind, want: DesiredNic, have: Nic) -> bool:
    mac_met = want.mac is None or have.mac == want.mac
    return mac_met and covers(kind, want.slot, have.properties, want.properties)


def _nic_impact(current: Nic | None, merged: Properties, *, running: bool) -> Impact:
    if not running:
        return Impact.NONE
    if current is None:
        return Impact.HOT
    replugged = any(
        current.properties.get(key, "") != merged.get(key, "") for key in _REPLUG_PROPERTIES
    )
    return Impact.DOWNTIME if replugged else Impact.HOT


def _seal(found: Difference, want: DesiredGuest, have: GuestConfig, mark: OwnerMark) -> None:
    found.seals = True
    kind, _, value = mark.witness.partition(":")
    if kind == "uuid":
        current = have.options.get("smbios1", {})
        merged = {**(current if not isinstance(current, str) else {}), "uuid": value}
        new = render_properties(merged)
        found.write("smbios1", new, _change("smbios1", _shown(current), new, Impact.NONE))
    elif kind == "mac":
        first = min(want.nics, key=lambda nic: int(nic.slot.removeprefix("net")))
        current_nic = have.nics.get(first.slot)
        properties = {
            **(current_nic.properties if current_nic is not None else {}),
            **first.properties,
        }
        new = nic_text(want.kind, value.upper(), properties)
        old = current_nic.mac if current_nic is not None else ""
        found.write(first.slot, new, _change(first.slot, old, value.upper(), Impact.NONE))


def _pool_step(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Step:
    assert want.pool is not None
    action = AssignPool(
        subject=want.name, vmid=guest.vmid, kind=want.kind, node=guest.node, pool=want.pool
    )
    return Step(
        action=action,
        reason=f"it belongs into pool {want.pool}",
        impact=Impact.NONE,
        premise=premise_of(have),
        changes=(_change("pool", guest.pool or "", want.pool, Impact.NONE),),
    )


def _change(name: str, old: str, new: str, impact: Impact) -> Change:
    return Change(field=name, old=old, new=new, impact=impact)


def _shown(value: OptionValue | None) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else render_properties(value)
    return strip_mark(text)


def _reason(found: Difference) -> str:
    names: Iterable[str] = (change.field for change in found.changes)
    return f"drift in {', '.join(names)}"
