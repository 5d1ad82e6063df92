"""Say why a guest must be built anew, what is carried over, and what that loses."""

from collections.abc import Iterable
from dataclasses import dataclass

from qlop.model.build import build_of, build_text, is_same_build
from qlop.model.consent import REPLACE, Consent
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, OptionValue
from qlop.model.ids import VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import rule_for
from qlop.model.plan import Change
from qlop.model.units import format_size
from qlop.planner import config
from qlop.planner.ownership import needs_seal

SOURCE, KIND = "source", "type"
"""The fields of what a guest is built from, and of whether it is a VM or a container."""

_FIRMWARE = frozenset({"efidisk0"})
"""Disks that hold nothing but boot entries, made anew with the machine. A TPM's state may
hold the key to what is carried over: it counts as data."""

_MACHINE = frozenset({"machine", "bios"})
"""Options that PVE changes in any VM, and that few systems survive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """Why a guest must be built anew. ``options`` are those that would need it."""

    changes: tuple[Change, ...]
    options: frozenset[str]


def reason_for(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    templates: Iterable[ObservedGuest],
) -> Rebuild | None:
    """Return why an owned guest must be built anew; None if it can stay.

    Only one of which it is known what it was built from: what was adopted, or was made by
    a qlop that did not write that down, is never replaced.
    """
    assert have.mark is not None, "only owned guests are compared"
    build = build_of(want.source)
    is_left_alone = want.consents.of_field(REPLACE) is Consent.IGNORE
    if not build or not have.mark.build or needs_seal(have) or is_left_alone:
        return None
    differing: list[tuple[str, str, str]] = []
    known = [(one.vmid, one.name) for one in templates]
    if not is_same_build(have.mark.build, build, known):
        differing.append((SOURCE, build_text(have.mark.build), build_text(build)))
    options: list[str] = []
    if guest.kind is not want.kind:
        differing.append((KIND, guest.kind.name.lower(), want.kind.name.lower()))
    else:
        options = sorted(key for key in want.options if _needs_rebuild(want, key, have))
    differing += ((key, _text(have.options.get(key)), _text(want.options[key])) for key in options)
    if not differing:
        return None
    impact = _impact(want, guest, have)
    changes = (Change(field=name, old=old, new=new, impact=impact) for name, old, new in differing)
    return Rebuild(changes=tuple(changes), options=frozenset(options))


def carries(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> tuple[str, ...]:
    """Return the slots of the guest's persistent disks, in order."""
    if guest.kind is not want.kind:
        return ()
    persistent = {disk.slot for disk in want.disks if disk.persistent}
    return tuple(sorted(persistent & have.disks.keys()))


def reason_text(
    why: Rebuild, vmid: VmId, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> str:
    """Return for people what is different, what is left behind and what is carried over."""
    changes = ", ".join(
        f"{one.old or 'not set'} -> {one.new}"
        if one.field == SOURCE
        else f"{one.field} {one.old or 'not set'} -> {one.new}"
        for one in why.changes
    )
    kept = carries(want, guest, have)
    left = [*_shown(have, _left(want, guest, have)), *sorted(have.unused.values())]
    parts = [f"{changes}: it would be built anew"]
    if left:
        parts.append(f"{', '.join(left)} left behind on {vmid}, which is kept, stopped")
    if kept:
        parts.append(f"{', '.join(_shown(have, kept))} carried over")
    else:
        parts.append("nothing is carried over: no disk of it is persistent")
    return "; ".join(parts)


def family(value: OptionValue | None) -> str:
    """Return which of QEMU's kinds of machines a VM is."""
    text = value if isinstance(value, str) else (value or {}).get("type", "")
    return "q35" if "q35" in text else "virt" if text.startswith("virt") else "i440fx"


def _impact(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Impact:
    """Return what it costs: data, unless all that is left behind is the system.

    What is on the disk that it boots from came with what it was built from.
    """
    data = set(_left(want, guest, have)) - {_system(guest.kind, have)}
    if data or have.unused or not carries(want, guest, have):
        return Impact.DATA_LOSS
    return Impact.DOWNTIME


def _left(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> tuple[str, ...]:
    """Return the slots of the volumes that stay with the guest."""
    kept = {*carries(want, guest, have), *_FIRMWARE}
    return tuple(sorted(slot for slot in _volumes(have) if slot not in kept))


def _volumes(have: GuestConfig) -> list[str]:
    """Return the slots of disks that hold something: no ISO, no path of the node."""
    return [
        slot for slot, disk in have.disks.items() if disk.storage is not None and not disk.is_cdrom
    ]


def _system(kind: GuestKind, have: GuestConfig) -> str:
    """Return the slot of the disk with the system on it."""
    if kind is GuestKind.CONTAINER:
        return "rootfs"
    boot = have.options.get("boot", {})
    order = "" if isinstance(boot, str) else boot.get("order", "")
    disks = [slot for slot in _volumes(have) if slot not in _FIRMWARE]
    return next((slot for slot in order.split(";") if slot in disks), min(disks, default=""))


def _needs_rebuild(want: DesiredGuest, key: str, have: GuestConfig) -> bool:
    """Return whether an option differs, and can't be changed in what is there.

    PVE writes another machine or firmware into any VM; few systems start on it. Whoever
    knows that his does says so (``changes.fields.machine``).
    """
    rule = rule_for(want.kind, key)
    is_fixed = rule is not None and rule.create_only
    if not is_fixed and key not in _MACHINE:
        return False
    found = config.Difference()
    config.compare_option(found, want.kind, key, want.options[key], have, running=False)
    if is_fixed:
        return bool(found.holds)
    if want.consents.of_field(key) is not None or not found.changes:
        return False
    if key == "machine":
        return family(want.options[key]) != family(have.options.get(key))
    return True


def _shown(have: GuestConfig, slots: Iterable[str]) -> list[str]:
    sizes = {slot: have.disks[slot].size_bytes for slot in slots}
    return [
        slot if size is None else f"{slot} ({format_size(size)})" for slot, size in sizes.items()
    ]


def _text(value: OptionValue | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return ",".join(f"{key}={one}" for key, one in sorted(value.items()))
