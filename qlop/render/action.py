"""Say in one line what an action does and how it ended.

Values never appear, only the names of what is changed: some of them are secrets.
"""

from datetime import timedelta
from typing import assert_never

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
    MigrationMode,
    RebootGuest,
    RegenerateCloudInit,
    ReplaceGuest,
    ResizeDisk,
    ResumeGuest,
    RollbackSnapshot,
    ShutdownGuest,
    StartGuest,
)
from qlop.model.build import build_text
from qlop.model.guest import GuestKind
from qlop.model.history import Ending, Finished, Intended
from qlop.model.units import format_size, format_span

_KINDS = {GuestKind.VM: "VM", GuestKind.CONTAINER: "container"}
_MODES = {
    MigrationMode.ONLINE: "live",
    MigrationMode.OFFLINE: "stopped",
    MigrationMode.RESTART: "by restarting it",
}


def action_text(action: Action) -> str:
    """Return what ``action`` does: ``start simrs-1 (10001) on pve1``."""
    guest = f"{action.subject} ({action.vmid})"
    match action:
        case CreateGuest():
            return f"create {_KINDS[action.kind]} {guest} on {action.node}"
        case CloneGuest():
            how = "" if action.full else "linked "
            return f"clone {how}template {action.source} to {guest} on {action.target}"
        case (
            ConfigureGuest()
            | ResizeDisk()
            | RegenerateCloudInit()
            | AssignPool()
            | ReplaceGuest()
            | HandOverDisk()
        ):
            return _configuration_text(action, guest)
        case StartGuest() | ResumeGuest() | ShutdownGuest() | RebootGuest():
            return _power_text(action, guest)
        case MigrateGuest():
            return f"migrate {guest} from {action.node} to {action.target}, {_MODES[action.mode]}"
        case CreateSnapshot():
            return f"take snapshot {action.snapshot} of {guest}"
        case DeleteSnapshot():
            return f"delete snapshot {action.snapshot} of {guest}"
        case RollbackSnapshot():
            return f"roll {guest} back to snapshot {action.snapshot}, its disks included"
        case DestroyGuest():
            return f"destroy {guest} and its disks on {action.node}"
        case _ as never:
            assert_never(never)


def _configuration_text(
    action: ConfigureGuest
    | ResizeDisk
    | RegenerateCloudInit
    | AssignPool
    | ReplaceGuest
    | HandOverDisk,
    guest: str,
) -> str:
    match action:
        case ConfigureGuest():
            names = [*sorted(action.set), *(f"without {name}" for name in action.delete)]
            return f"configure {guest}: {', '.join(names)}"
        case ResizeDisk():
            return f"grow {action.slot} of {guest} to {format_size(action.size_bytes)}"
        case RegenerateCloudInit():
            return f"regenerate the cloud-init drive of {guest}"
        case AssignPool():
            return f"put {guest} into pool {action.pool}"
        case ReplaceGuest():
            return f"replace {guest} by a guest built from {build_text(action.build)}"
        case HandOverDisk():
            return f"hand {action.slot} of {guest} over to {action.heir}"
        case _ as never:
            assert_never(never)


def _power_text(action: StartGuest | ResumeGuest | ShutdownGuest | RebootGuest, guest: str) -> str:
    match action:
        case StartGuest():
            return f"start {guest} on {action.node}"
        case ResumeGuest():
            return f"resume {guest} on {action.node}"
        case ShutdownGuest():
            last = ", by force if need be" if action.force_stop else ""
            return f"shut down {guest} on {action.node}{last}"
        case RebootGuest():
            return f"reboot {guest} on {action.node}"
        case _ as never:
            assert_never(never)


def started_text(intended: Intended) -> str:
    """Return what is about to be done and why."""
    return f"{intended.summary}: {intended.reason}" if intended.reason else intended.summary


def ending_text(intended: Intended, finished: Finished) -> str:
    """Return what was done and how it ended."""
    match finished.ending:
        case Ending.SUCCEEDED:
            took = format_span(_rounded(finished.at - intended.at))
            note = f"; {finished.message}" if finished.message else ""
            return f"{intended.summary}: done in {took}{note}"
        case Ending.FAILED:
            return f"{intended.summary}: failed: {finished.message}"
        case Ending.SUPERSEDED:
            return f"{intended.summary}: not sent: {finished.message}"
        case Ending.UNKNOWN:
            return (
                f"{intended.summary}: {finished.message}; "
                "nothing else happens to the guest until looking has shown how it ended"
            )
        case _ as never:
            assert_never(never)


def _rounded(span: timedelta) -> timedelta:
    """Return ``span`` without the milliseconds that nobody reads."""
    if span < timedelta(seconds=1):
        return span
    return timedelta(seconds=round(span.total_seconds()))
