"""Compare configurations: what must be written to an owned guest, and what that costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from qlop.model.desired import DesiredDisk, DesiredGuest
from qlop.model.device import CLOUD_INIT_VOLUME, disk_text, new_disk_text, nic_text
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Power, Properties
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import change_impact, is_met, render, render_properties, rule_for
from qlop.model.owner import OwnerMark, derived_mac, signed_description, strip_mark
from qlop.model.plan import Change
from qlop.model.units import format_size
from qlop.model.verdict import Held, Hold
from qlop.planner.ownership import needs_seal

CLOUD_INIT_KEYS = frozenset(
    {
        "name",
        "ciuser",
        "cipassword",
        "ciupgrade",
        "sshkeys",
        "nameserver",
        "searchdomain",
        "cicustom",
        "citype",
    }
)
"""What a cloud-init drive is made of, beside ``ipconfigN`` and ``netN``
(``PVE::QemuServer::cloudinit_pending_properties``)."""


@dataclass(slots=True)
class Difference:
    """What differs, gathered while comparing; frozen into steps at the end."""

    set: dict[str, str] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    grow: list[tuple[str, int, Change]] = field(default_factory=list)
    holds: list[Held] = field(default_factory=list)
    seals: bool = False
    witness: str = ""
    """The witness that the mark will name when all of it is written."""

    @property
    def impact(self) -> Impact:
        """Return the worst of what the writes cost."""
        return max((change.impact for change in self.changes), default=Impact.NONE)

    def write(self, key: str, value: str, change: Change) -> None:
        """Note that ``key`` is to be written."""
        self.set[key] = value
        self.changes.append(change)


def difference(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Difference:
    """Return how an owned guest's configuration differs from what its manifest says."""
    found = Difference(seals=needs_seal(have))
    running = guest.power is not Power.STOPPED
    mark = have.mark
    assert mark is not None, "only owned guests are compared"
    for key, value in want.options.items():
        if key != "description":
            compare_option(found, want.kind, key, value, have, running=running)
    for disk in want.disks:
        compare_disk(found, want, disk, have, running=running)
    nics = _compare_nics(found, want, have, mark, running=running)
    if found.seals:
        _seal(found, want, have, mark, nics)
    if want.kind is GuestKind.CONTAINER:
        mark = replace(mark, witness=_witness_after(have, mark, nics))
    _compare_description(found, want, have, mark)
    found.witness = mark.witness
    return found


def managed_pending(want: DesiredGuest, have: GuestConfig) -> tuple[str, ...]:
    """Return the pending options that the manifest speaks about."""
    if not have.pending:
        return ()
    slots = {disk.slot for disk in want.disks} | {nic.slot for nic in want.nics}
    return tuple(sorted(key for key in have.pending if key in want.options or key in slots))


def is_cloud_init(key: str) -> bool:
    """Return whether a VM's option goes into its cloud-init drive."""
    return key in CLOUD_INIT_KEYS or key.startswith(("ipconfig", "net"))


def new_disk_value(disk: DesiredDisk, properties: Properties) -> str:
    """Return the value that makes a disk come into being in its slot."""
    if disk.volume == CLOUD_INIT_VOLUME:
        return f"{disk.storage}:{CLOUD_INIT_VOLUME}"
    if disk.volume is not None:
        return disk_text(disk.volume, None, properties)
    assert disk.storage is not None, "a new disk needs a storage: checked with the manifest"
    return new_disk_text(str(disk.storage), disk.size_bytes or 0, properties)


def compare_option(
    found: Difference,
    kind: GuestKind,
    key: str,
    want: OptionValue,
    have: GuestConfig,
    *,
    running: bool,
) -> None:
    """Note how one option differs; of a property string only what is wanted counts."""
    current = have.options.get(key)
    if current == want or is_met(kind, key, want, current):
        return
    rule = rule_for(kind, key)
    impact = change_impact(kind, key, want, current) if running else Impact.NONE
    if not isinstance(want, str) and current is not None and not isinstance(current, str):
        want = {**current, **want}
    change = change_of(key, _shown(current), _shown(want), impact)
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


def compare_disk(
    found: Difference,
    want: DesiredGuest,
    disk: DesiredDisk,
    have: GuestConfig,
    *,
    running: bool,
) -> None:
    """Note how one disk differs: it is made, grown or changed, or the hold is noted."""
    current = have.disks.get(disk.slot)
    if current is None:
        _add_disk(found, want.kind, disk, have, running=running)
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
    size_bytes = _compare_size(found, disk, current, have, running=running)
    if not is_met(want.kind, disk.slot, disk.properties, current.properties):
        merged = {**current.properties, **disk.properties}
        impact = _impact(want.kind, disk.slot, disk.properties, current, running=running)
        change = change_of(
            disk.slot,
            render_properties(current.properties),
            render_properties(merged),
            impact,
        )
        found.write(disk.slot, disk_text(current.volume, size_bytes, merged), change)


def _add_disk(
    found: Difference,
    kind: GuestKind,
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
    impact = _impact(kind, disk.slot, properties, None, running=running)
    found.write(disk.slot, value, change_of(disk.slot, "", value, impact))


def _compare_size(
    found: Difference, disk: DesiredDisk, current: Disk, have: GuestConfig, *, running: bool
) -> int | None:
    """Note how a disk's size differs; return the one it has when its options are written.

    PVE grows a disk at once and notes its new size in what is in effect, not in what is
    pending for it (``resize_vm``, PVE/API2/Qemu.pm): with the reboot it would believe the
    old size again, and take a second growth for done.
    """
    if disk.size_bytes is None or current.size_bytes is None:
        return current.size_bytes
    if disk.size_bytes == current.size_bytes:
        return current.size_bytes
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
        return current.size_bytes
    if disk.slot in have.pending:
        found.holds.append(
            Held(
                reason=Hold.UNSUPPORTED_CHANGE,
                message=f"{disk.slot} is {old} and should be {new}, and another change of it"
                f" waits for a reboot, which would note {old} again",
                remedy="it grows when the guest was rebooted",
            )
        )
        return current.size_bytes
    change = change_of(f"{disk.slot}.size", old, new, Impact.HOT if running else Impact.NONE)
    found.grow.append((disk.slot, disk.size_bytes, change))
    return current.size_bytes if found.seals else disk.size_bytes


def _compare_nics(
    found: Difference,
    want: DesiredGuest,
    have: GuestConfig,
    mark: OwnerMark,
    *,
    running: bool,
) -> dict[str, Nic]:
    """Note how the NICs differ, and return those that there will be."""
    after = dict(have.nics)
    for nic in want.nics:
        current = have.nics.get(nic.slot)
        mac = nic.mac or (current.mac if current is not None else "")
        if not mac and want.kind is GuestKind.CONTAINER:
            place = (mark.cluster, mark.service, mark.index, mark.vmid)
            mac = derived_mac(*place, nic.slot, generation=mark.generation)
        merged = {**(current.properties if current is not None else {}), **nic.properties}
        after[nic.slot] = Nic(slot=nic.slot, mac=mac, properties=merged)
        moved = current is not None and mac != current.mac
        if (
            current is not None
            and not moved
            and is_met(want.kind, nic.slot, nic.properties, current.properties)
        ):
            continue
        wanted = {**nic.properties, **({_MAC_KEYS[want.kind]: mac} if moved else {})}
        impact = _impact(want.kind, nic.slot, wanted, current, running=running)
        _write_nic(found, want.kind, after[nic.slot], current, impact)
    if want.networks_declared:
        for slot in sorted(set(have.nics) - {nic.slot for nic in want.nics}):
            old = nic_text(want.kind, have.nics[slot].mac, have.nics[slot].properties)
            found.delete.append(slot)
            impact = Impact.HOT if running else Impact.NONE
            found.changes.append(change_of(slot, old, "", impact))
            del after[slot]
    return after


_MAC_KEYS = {GuestKind.VM: "macaddr", GuestKind.CONTAINER: "hwaddr"}


def _write_nic(
    found: Difference, kind: GuestKind, nic: Nic, current: Nic | None, impact: Impact
) -> None:
    old = nic_text(kind, current.mac, current.properties) if current is not None else ""
    new = nic_text(kind, nic.mac, nic.properties)
    found.write(nic.slot, new, change_of(nic.slot, old, new, impact))


def _impact(
    kind: GuestKind, slot: str, want: Properties, have: Disk | Nic | None, *, running: bool
) -> Impact:
    if not running:
        return Impact.NONE
    return change_impact(kind, slot, want, have.properties if have is not None else None)


def _seal(
    found: Difference,
    want: DesiredGuest,
    have: GuestConfig,
    mark: OwnerMark,
    nics: dict[str, Nic],
) -> None:
    """Note what gives a guest the witness that its mark names.

    A mark that leaves the witness open is given the one that the guest has, which is
    what ``_compare_description`` does.
    """
    kind, _, value = mark.witness.partition(":")
    if kind == "uuid":
        current = have.options.get("smbios1", {})
        merged = {**(current if not isinstance(current, str) else {}), "uuid": value}
        new = render_properties(merged)
        found.write("smbios1", new, change_of("smbios1", _shown(current), new, Impact.NONE))
    elif kind == "mac":
        first = lowest_nic(nics)
        if first is not None and first.mac != value.upper():
            sealed = replace(first, mac=value.upper())
            nics[first.slot] = sealed
            _write_nic(found, want.kind, sealed, have.nics.get(first.slot), Impact.NONE)


def lowest_nic(nics: Mapping[str, Nic]) -> Nic | None:
    """Return the NIC with the lowest number, whose MAC is a container's witness."""
    return min(nics.values(), key=lambda nic: int(nic.slot.removeprefix("net")), default=None)


def _witness_after(have: GuestConfig, mark: OwnerMark, nics: Mapping[str, Nic]) -> str:
    """Return the witness that a container will have when its NICs are written.

    A mark that no longer fits must be written anew in the same call: a container that
    lost its witness to our own change would be a stranger.
    """
    first = lowest_nic({slot: nic for slot, nic in nics.items() if nic.mac})
    if first is not None:
        return f"mac:{first.mac.lower()}"
    rootfs = have.disks.get("rootfs")
    return f"volume:{rootfs.volume}" if rootfs is not None else mark.witness


def _compare_description(
    found: Difference, want: DesiredGuest, have: GuestConfig, mark: OwnerMark
) -> None:
    current = have.options.get("description", "")
    assert isinstance(current, str), "a description is no property string"
    text = want.options.get("description", strip_mark(current))
    assert isinstance(text, str), "a description is no property string"
    if "description" not in want.options and mark == have.mark:
        return
    signed = signed_description(text, mark)
    if signed != current:
        old, new = strip_mark(current), strip_mark(signed)
        if old == new:  # Only what people don't read differs.
            change = change_of("owner mark", "", mark.witness, Impact.NONE)
        else:
            change = change_of("description", old, new, Impact.NONE)
        found.write("description", signed, change)


def change_of(name: str, old: str, new: str, impact: Impact) -> Change:
    """Return a change for people to read."""
    return Change(field=name, old=old, new=new, impact=impact)


def _shown(value: OptionValue | None) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else render_properties(value)
    return strip_mark(text)
