"""Read a guest's configuration, what it keeps pending, and its snapshots.

Pure: payload in, model out. Options come out canonical (``model.option``). What can't be
understood makes the whole reading ``Unknown``, with the reason: a configuration that is
half understood must not be taken for one that lacks the other half.
"""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from qlop.model import option, owner
from qlop.model.guest import Disk, GuestKind, Nic, OptionValue, Properties
from qlop.model.ids import StorageId
from qlop.model.observed import GuestConfig, ObservedSnapshot
from qlop.model.reading import Known, Unknown
from qlop.model.units import parse_pve_size
from qlop.ports import Json
from qlop.pve.payload import Misread, row_of, rows_of, scalar_text, text, whole

_UNUSED = re.compile(r"unused\d+")
_NIC = re.compile(r"net\d+")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_STORAGE = re.compile(r"([A-Za-z][A-Za-z0-9._-]*):.+")
_CURRENT = "current"
"""The pseudo-entry with which PVE ends every list of snapshots."""


def parse_config(
    kind: GuestKind, payload: Json, pending: frozenset[str] = frozenset()
) -> Known[GuestConfig] | Unknown:
    """Return what ``GET …/config`` shows; ``pending`` comes from ``parse_pending``."""
    try:
        return Known(_config(kind, row_of(payload, "config"), pending))
    except Misread as error:
        return Unknown(f"configuration not understood: {error}")


def parse_pending(payload: Json) -> Known[frozenset[str]] | Unknown:
    """Return the options whose running value differs, from ``GET …/pending``."""
    try:
        return Known(
            frozenset(
                sys.intern(text(row, "key"))
                for row in rows_of(payload, "pending")
                if "pending" in row or row.get("delete")
            )
        )
    except Misread as error:
        return Unknown(f"pending changes not understood: {error}")


def parse_snapshots(payload: Json) -> Known[tuple[ObservedSnapshot, ...]] | Unknown:
    """Return the snapshots that ``GET …/snapshot`` lists, oldest first, then by name."""
    try:
        found = [
            ObservedSnapshot(
                name=text(row, "name"),
                taken_at=_instant(whole(row, "snaptime")),
                ours=owner.parse_mark(text(row, "description")) is not None,
                with_memory=whole(row, "vmstate") != 0,
                stage=text(row, "snapstate"),
            )
            for row in rows_of(payload, "snapshots")
            if text(row, "name") != _CURRENT
        ]
    except Misread as error:
        return Unknown(f"snapshots not understood: {error}")
    return Known(tuple(sorted(found, key=_age)))


def _age(snapshot: ObservedSnapshot) -> tuple[float, str]:
    taken = snapshot.taken_at
    return (taken.timestamp() if taken is not None else 0.0, snapshot.name)


def _instant(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds > 0 else None


def _config(kind: GuestKind, row: Mapping[str, Json], pending: frozenset[str]) -> GuestConfig:
    options: dict[str, OptionValue] = {}
    disks: dict[str, Disk] = {}
    nics: dict[str, Nic] = {}
    unused: dict[str, str] = {}
    for key, raw in row.items():
        if key == "digest":
            continue
        value = _raw_lines(raw) if isinstance(raw, list) else scalar_text(raw, key)
        if _UNUSED.fullmatch(key):
            unused[sys.intern(key)] = value.partition(",")[0]
        elif _NIC.fullmatch(key):
            nics[sys.intern(key)] = parse_nic(kind, key, value)
        elif option.base_of(key) in option.DISK_BASES[kind]:
            disks[sys.intern(key)] = parse_disk(kind, key, value)
        else:
            options[sys.intern(key)] = _compact(option.canonical(kind, key, value))
    description = options.get("description", "")
    return GuestConfig(
        digest=text(row, "digest"),
        options=options,
        disks=disks,
        nics=nics,
        unused=unused,
        pending=pending,
        mark=owner.parse_mark(description) if isinstance(description, str) else None,
        witness=_witness(kind, options, disks, nics),
    )


def _raw_lines(lines: list[Json]) -> str:
    """Return the raw ``lxc.*`` settings of a container, one a line."""
    pairs = [
        " = ".join(scalar_text(part, "lxc") for part in line)
        for line in lines
        if isinstance(line, list)
    ]
    if len(pairs) != len(lines):
        raise Misread("lxc: expected pairs of key and value")
    return "\n".join(pairs)


def parse_disk(kind: GuestKind, key: str, value: str) -> Disk:
    """Return a disk, rootfs or mount point as PVE writes it.

    Raises:
        Misread: if it names no volume or its size is none.
    """
    properties = dict(_property_string(kind, key, value))
    named = [properties.pop(name, "") for name in ("file", "volume")]
    volume = next((name for name in named if name), "")
    if not volume:
        raise Misread(f"{key}: {value!r} names no volume")
    size = properties.pop("size", None)
    found = _STORAGE.fullmatch(volume)
    try:
        size_bytes = parse_pve_size(size) if size is not None else None
    except ValueError as error:
        raise Misread(f"{key}: {error}") from None
    return Disk(
        slot=sys.intern(key),
        volume=volume,
        storage=StorageId(sys.intern(found[1])) if found is not None else None,
        size_bytes=size_bytes,
        properties=properties,
    )


def parse_nic(kind: GuestKind, key: str, value: str) -> Nic:
    """Return a network interface as PVE writes it; ``mac`` is empty if it has none yet.

    A VM's ``virtio=BC:24:11:00:00:01`` names model and address in one
    (``keyAlias``, PVE/QemuServer/Network.pm).
    """
    properties = dict(_property_string(kind, key, value))
    mac = properties.pop("macaddr" if kind is GuestKind.VM else "hwaddr", "")
    if kind is GuestKind.VM:
        for name in [name for name, text_ in properties.items() if _MAC.fullmatch(text_)]:
            mac = properties.pop(name)
            properties["model"] = sys.intern(name)
    return Nic(slot=sys.intern(key), mac=mac.upper(), properties=properties)


def _property_string(kind: GuestKind, key: str, value: str) -> Properties:
    taken_apart = _compact(option.canonical(kind, key, value))
    assert not isinstance(taken_apart, str), f"{key} is a property string"
    return taken_apart


def _compact(value: OptionValue) -> OptionValue:
    """Return the value with short texts shared: guests of a cluster resemble each other."""
    if isinstance(value, str):
        return sys.intern(value) if len(value) <= 40 else value
    return {sys.intern(name): sys.intern(text_) for name, text_ in value.items()}


def _witness(
    kind: GuestKind,
    options: Mapping[str, OptionValue],
    disks: Mapping[str, Disk],
    nics: Mapping[str, Nic],
) -> str:
    """Return what a clone would not inherit, in the form of ``OwnerMark.witness``."""
    match kind:
        case GuestKind.VM:
            smbios = options.get("smbios1", {})
            uuid = "" if isinstance(smbios, str) else smbios.get("uuid", "")
            return f"uuid:{uuid.lower()}" if uuid else ""
        case GuestKind.CONTAINER:
            named = [nic for nic in nics.values() if nic.mac]
            if named:
                first = min(named, key=lambda nic: int(nic.slot.removeprefix("net")))
                return f"mac:{first.mac.lower()}"
            return f"volume:{disks['rootfs'].volume}" if "rootfs" in disks else ""
