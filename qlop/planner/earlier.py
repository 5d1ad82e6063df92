"""Tell what options were before they are written, in the form in which PVE takes them."""

import re
from collections.abc import Mapping

from qlop.model.action import ConfigureGuest
from qlop.model.device import disk_text, nic_text, pve_size
from qlop.model.guest import Disk, GuestKind
from qlop.model.observed import GuestConfig
from qlop.model.option import DISK_BASES, base_of, render

SECRET = frozenset({"cipassword", "password"})
"""Options whose values are written down nowhere: what they were can't be brought back."""

_SIZE = re.compile(r"(^|,)size=[^,]*")


def value_of(kind: GuestKind, key: str, have: GuestConfig) -> str:
    """Return an option, disk or NIC as PVE would be given it; empty if it is not set."""
    if (nic := have.nics.get(key)) is not None:
        return nic_text(kind, nic.mac, nic.properties)
    if (disk := have.disks.get(key)) is not None:
        return disk_text(disk.volume, disk.size_bytes, disk.properties)
    value = have.options.get(key)
    return render(kind, key, value) if value is not None else ""


def values_before(
    write: ConfigureGuest, have: GuestConfig, former: Mapping[str, str]
) -> Mapping[str, str]:
    """Return what would have to be written to undo a write.

    ``former`` is the same of earlier writes that were not judged yet: what was before
    those counts. Secrets are left out, and disks that come into being: taking those away
    could hide what was written to them.
    """
    before = dict(former)
    for key in (*write.set, *write.delete):
        if key in before or key in SECRET:
            continue
        is_disk = base_of(key) in DISK_BASES[write.kind]
        value = value_of(write.kind, key, have)
        if is_disk and not value:
            continue
        before[key] = value
    return before


def differing(kind: GuestKind, before: Mapping[str, str], have: GuestConfig) -> dict[str, str]:
    """Return what of ``before`` is not so any more, to be written again.

    A disk that has grown since stays as large as it is.
    """
    found = {key: _sized(value, have.disks.get(key)) for key, value in sorted(before.items())}
    return {key: value for key, value in found.items() if value_of(kind, key, have) != value}


def _sized(value: str, disk: Disk | None) -> str:
    """Return a disk's value with the size it has now: PVE would believe what is written."""
    if disk is None or disk.size_bytes is None:
        return value
    return _SIZE.sub(rf"\g<1>size={pve_size(disk.size_bytes)}", value)
