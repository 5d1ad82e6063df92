"""Narrow what is wanted of a guest to some of its fields, the rest being left alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from qlop.model.desired import DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.guest import OptionValue
from qlop.model.observed import GuestConfig

Keeps = Callable[[str], bool]
"""Whether a field counts: an option or slot (``net0``), a property of one (``net0.rate``),
the size of a disk (``scsi0.size``)."""


def narrowed(want: DesiredGuest, have: GuestConfig, keeps: Keeps) -> DesiredGuest:
    """Return ``want`` as if its manifest spoke of those fields alone that ``keeps`` says.

    NICs that are there are named all the same, with nothing wanted of them: a list of
    NICs is the whole list, and who is not named would be removed.
    """
    return replace(
        want,
        options={
            key: kept
            for key, value in want.options.items()
            if (kept := _value(key, value, keeps)) is not None
        },
        disks=tuple(left for disk in want.disks if (left := _disk(disk, have, keeps)) is not None),
        nics=tuple(_nics(want, have, keeps)),
    )


def _value(key: str, value: OptionValue, keeps: Keeps) -> OptionValue | None:
    if isinstance(value, str):
        return value if keeps(key) else None
    kept = {name: text for name, text in value.items() if keeps(f"{key}.{name}")}
    return kept if kept or keeps(key) else None


def _disk(disk: DesiredDisk, have: GuestConfig, keeps: Keeps) -> DesiredDisk | None:
    slot = disk.slot
    if slot not in have.disks:
        return disk if keeps(slot) else None
    properties = {name: text for name, text in disk.properties.items() if keeps(f"{slot}.{name}")}
    size = disk.size_bytes if keeps(f"{slot}.size") else None
    if keeps(slot):
        return replace(disk, properties=properties, size_bytes=size)
    if not properties and size is None:
        return None
    return DesiredDisk(slot=slot, size_bytes=size, properties=properties)


def _nics(want: DesiredGuest, have: GuestConfig, keeps: Keeps) -> Iterator[DesiredNic]:
    wanted = {nic.slot: nic for nic in want.nics}
    for slot, nic in wanted.items():
        if slot not in have.nics:
            if keeps(slot):
                yield nic
            continue
        properties = {
            name: text for name, text in nic.properties.items() if keeps(f"{slot}.{name}")
        }
        yield DesiredNic(slot=slot, mac=nic.mac if keeps(slot) else None, properties=properties)
    for slot in sorted(set(have.nics) - set(wanted)):
        if not keeps(slot):
            yield DesiredNic(slot=slot, mac=None, properties={})
