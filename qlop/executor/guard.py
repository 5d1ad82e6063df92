"""Look once more, right before a mutation, whether the guest is still the one planned for.

A plan is seconds old when an action of it is sent. In between a person may have locked,
stopped, moved or replaced the guest. Configuration writes carry PVE's own ``digest``
besides; this look protects what has none.
"""

from qlop.executor import sight
from qlop.model.action import (
    Action,
    CloneGuest,
    CreateGuest,
    DestroyGuest,
    StartGuest,
)
from qlop.model.guest import Power
from qlop.model.ids import VmId
from qlop.model.observed import GuestConfig, ObservedBackup, Verification
from qlop.model.plan import Beside, PlannedAction, Premise
from qlop.model.reading import Unknown
from qlop.ports import ErrorKind, PortError, PveApi
from qlop.pve import calls, parse


async def objection(api: PveApi, planned: PlannedAction) -> str:
    """Return why ``planned`` must not be sent, empty if nothing speaks against it.

    What creates a guest is not looked at: PVE itself refuses a VMID that is taken.

    Raises:
        PortError: if the guest's node could not be asked.
    """
    action, premise = planned.action, planned.premise
    if isinstance(action, CreateGuest | CloneGuest):
        return ""
    assert premise is not None, f"{planned.id} acts on a guest without saying on which"
    where = f"{action.subject} ({action.vmid}) on {action.node}"
    try:
        config = await sight.config_of(api, action.kind, action.node, action.vmid)
        objected = _objection_to_config(action, premise, config)
        power = _power_due(action, premise)
        if not objected and power is not None:
            activity = await sight.activity_of(api, action.kind, action.node, action.vmid)
            if activity.power is not power:
                objected = f"it is {activity.power.value}, not {power.value}"
        if not objected and premise.beside is not None:
            objected = await _objection_to_beside(api, premise.beside)
        if not objected and premise.backup is not None:
            objected = await _objection_to_backup(api, premise.backup, action.vmid)
    except PortError as error:
        if error.kind is not ErrorKind.NOT_FOUND:
            raise
        objected = "it is not there any more"
    return f"{where}: {objected}" if objected else ""


async def _objection_to_beside(api: PveApi, beside: Beside) -> str:
    """Return what is wrong with the other guest that an action depends on, if anything."""
    who = f"the guest beside it, {beside.vmid}"
    config = await sight.config_of(api, beside.kind, beside.node, beside.vmid)
    if config.mark != beside.mark or config.witness != beside.witness:
        return f"{who}, is another one"
    if lock := sight.lock_of(config):
        return f"{who}, is locked ({lock})"
    if beside.power is None:
        return ""
    activity = await sight.activity_of(api, beside.kind, beside.node, beside.vmid)
    is_so = activity.power is beside.power
    return "" if is_so else f"{who}, is {activity.power.value}, not {beside.power.value}"


async def _objection_to_backup(api: PveApi, backup: ObservedBackup, vmid: VmId) -> str:
    """Return what is wrong with the backup that a destruction relies on, if anything."""
    call = calls.guest_backups(backup.node, backup.storage, vmid)
    verifies = backup.verification is not Verification.NOT_OFFERED
    reading = parse.parse_backups(
        await api.call(call), backup.node, backup.storage, verifies=verifies
    )
    if isinstance(reading, Unknown):
        raise PortError(ErrorKind.INVALID, reading.reason)
    if backup not in reading.value:
        return f"its backup {backup.volume} is gone, or no longer what it was"
    return ""


def _objection_to_config(action: Action, premise: Premise, config: GuestConfig) -> str:
    if config.mark != premise.mark:
        return "its owner mark is another one"
    if config.witness != premise.witness:
        return "it is another guest under the same VMID"
    lock = sight.lock_of(config)
    wakes = isinstance(action, StartGuest) and lock == sight.HIBERNATED
    if lock and not wakes:
        return f"it is locked ({lock})"
    if isinstance(action, DestroyGuest) and config.options.get("protection") == "1":
        return "it is protected"
    return ""


def _power_due(action: Action, premise: Premise) -> Power | None:
    """Return the power state without which the action must not be sent; None: any."""
    if isinstance(action, DestroyGuest):
        return Power.STOPPED
    return premise.power
