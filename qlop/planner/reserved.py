"""Hold back what PVE lets root@pam alone write: no API token may, and qlop has one.

PVE refuses a write as a whole. Without this, a hook script would keep every other change of
its guest from being written, and the guest from being made.
"""

import re
import shlex

from qlop.model.consent import Consent
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import is_met
from qlop.model.verdict import Held, Hold
from qlop.planner.config import Difference

_SERIAL = re.compile(r"serial\d+")
_DEVICE = re.compile(r"dev\d+")
_NESTING = "nesting"


def hold_back(
    found: Difference, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> None:
    """Turn each write that PVE reserves to root@pam into a hold, and keep the others."""
    for key in missing(want, have):
        value = found.set.pop(key, None)
        deleted = key in found.delete
        if value is None and not deleted:
            continue
        found.delete = [one for one in found.delete if one != key]
        change = next(one for one in found.changes if one.field == key)
        found.changes = [one for one in found.changes if one.field != key]
        tool = "qm" if want.kind is GuestKind.VM else "pct"
        said = f"--{key} {shlex.quote(value)}" if value is not None else f"--delete {key}"
        found.holds.append(
            Held(
                reason=Hold.DENIED,
                message=f"{key} is {change.old or 'not set'} and should be"
                f" {change.new or 'not set'}: PVE lets root@pam alone set that, and no API token",
                remedy=f"as root on {guest.node}: {tool} set {guest.vmid} {said}; or take it out"
                " of the manifest",
            )
        )


def leave_out(found: Difference, want: DesiredGuest, have: GuestConfig) -> None:
    """Take the writes that PVE reserves to root@pam out of what will be written."""
    for key in missing(want, have):
        found.set.pop(key, None)
        found.changes = [one for one in found.changes if one.field != key]


def start_hold(want: DesiredGuest, have: GuestConfig | None) -> Held | None:
    """Return why a guest is not started for the first time; None if it lacks nothing.

    Without a mount point or a device it may do its work in the wrong place, or not at all.
    What its manifest leaves to others (``ignore``, ``warn``) keeps it from nothing.
    """
    if want.power is not Power.RUNNING:
        return None
    left = {Consent.IGNORE, Consent.WARN}
    lacking = [key for key in missing(want, have) if want.consents.of_field(key) not in left]
    if not lacking:
        return None
    return Held(
        reason=Hold.DENIED,
        message=f"it is not started for the first time without {', '.join(lacking)}, which PVE"
        " lets root@pam alone set, and no API token",
        remedy="set that by hand when the guest is there (`qlop plan` then says how), or in its"
        " template, or take it out of the manifest",
    )


def missing(want: DesiredGuest, have: GuestConfig | None) -> tuple[str, ...]:
    """Return the options that a guest should have and lacks, and that root@pam alone can set.

    ``have`` None: of a guest that is about to be created.
    """
    options = {} if have is None else have.options
    found = [
        key
        for key, value in want.options.items()
        if not is_met(want.kind, key, value, options.get(key))
        and _is_reserved(want, key, value, have)
    ]
    for disk in want.disks:
        current = have.disks.get(disk.slot) if have is not None else None
        is_there = current is not None and is_met(
            want.kind, disk.slot, disk.properties, current.properties
        )
        if disk.volume is not None and disk.volume.startswith("/") and not is_there:
            found.append(disk.slot)
    return tuple(found)


def _is_reserved(
    want: DesiredGuest, key: str, value: OptionValue, have: GuestConfig | None
) -> bool:
    """Return whether PVE lets root@pam alone give ``key`` this value.

    ``$check_vm_modify_config_perm`` and what stands by it in qemu-server's
    ``PVE/API2/Qemu.pm``; ``check_ct_modify_config_perm`` in pve-container's ``PVE/LXC.pm``.
    """
    if key == "hookscript":
        return True
    old = have.options.get(key) if have is not None else None
    match want.kind:
        case GuestKind.VM:
            is_socket = value in ("", "socket") and old in (None, "", "socket")
            return _SERIAL.fullmatch(key) is not None and not is_socket
        case GuestKind.CONTAINER:
            if key == "features":
                return not _is_unprivileged(want, have) or _differs_beyond_nesting(value, old)
            return _DEVICE.fullmatch(key) is not None


def _differs_beyond_nesting(value: OptionValue, old: OptionValue | None) -> bool:
    """Return whether another feature than the one that takes no root is another.

    PVE takes ``keyctl=0`` for another feature than none where there was none.
    """
    wanted = {} if isinstance(value, str) else value
    there = {} if old is None or isinstance(old, str) else old
    return any(name != _NESTING and text != there.get(name, "") for name, text in wanted.items())


def _is_unprivileged(want: DesiredGuest, have: GuestConfig | None) -> bool:
    options = want.options if have is None else have.options
    return options.get("unprivileged") == "1"
