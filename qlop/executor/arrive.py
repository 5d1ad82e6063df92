"""Observe that what a task did has arrived: only then is an action done.

A task's ``OK`` is PVE's opinion of its own work. A reboot's task ends while the guest is
down, one of the HA stack before anything has begun, and a clone's configuration can be
read a moment later than its task ends.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from qlop.executor import sight
from qlop.executor.intent import EXPECTS_SIZE
from qlop.model.action import Verb
from qlop.model.guest import Power
from qlop.model.history import EXPECTS_HEIR, EXPECTS_SLOT, EXPECTS_SNAPSHOT, Intended
from qlop.model.ids import NodeName, Upid, VmId
from qlop.model.reading import Unknown
from qlop.ports import Clock, ErrorKind, PortError, PveApi
from qlop.pve import calls
from qlop.pve.parse_config import parse_snapshots
from qlop.pve.parse_resources import is_guest
from qlop.pve.payload import Misread, rows_of, whole
from qlop.pve.upid import parse_upid

PATIENCE = timedelta(seconds=60)
"""What is not there a minute after its task ended won't come by itself; a configuration
can be read on any node within 0.2 s, the slowest listing lags by some 10 s."""

REBOOT_PATIENCE = timedelta(minutes=5)
"""The start that follows a reboot is a task of its own: a VM with much memory takes long."""

HA_PATIENCE = timedelta(minutes=30)
"""The HA manager's own task begins up to 20 s later and may be a migration."""

LOOK_FIRST_S = 0.1
LOOK_MAX_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """What was not there in the end, in words; ``is_seen``: the last look showed that.

    If it is not, nothing could be looked at, and the effect may be there all the same.
    """

    message: str
    is_seen: bool


async def absence(
    api: PveApi, clock: Clock, intended: Intended, upid: Upid | None
) -> Absence | None:
    """Wait until the effect of ``intended`` can be seen; return what is missing in the end.

    None means that it has arrived. Errors on the way are waited out.
    """
    patience_s = _patience(intended.verb, upid).total_seconds()
    pause_s, waited_s = LOOK_FIRST_S, 0.0
    while True:
        try:
            text, is_seen = await _missing(api, intended, clock.now()), True
        except PortError as error:
            text = f"it could not be looked at: {error}"
            is_seen = error.kind is not ErrorKind.TRANSIENT
        if not text:
            return None
        if waited_s >= patience_s:
            return Absence(message=text, is_seen=is_seen)
        await clock.sleep(timedelta(seconds=pause_s))
        waited_s += pause_s
        pause_s = min(pause_s * 2, LOOK_MAX_S)


def _patience(verb: Verb, upid: Upid | None) -> timedelta:
    parts = parse_upid(upid) if upid is not None else None
    # `hastart`, `hastop`, `hamigrate` only file a request (PVE/API2/Qemu.pm).
    if parts is not None and parts.verb.startswith("ha"):
        return HA_PATIENCE
    return REBOOT_PATIENCE if verb is Verb.REBOOT else PATIENCE


async def _missing(api: PveApi, intended: Intended, now: datetime) -> str:
    match intended.verb:
        case Verb.CREATE | Verb.CLONE:
            return await _missing_guest(api, intended)
        case Verb.MIGRATE:
            return await _missing_move(api, intended)
        case Verb.RESIZE:
            return await _missing_size(api, intended)
        case Verb.START | Verb.RESUME | Verb.SHUTDOWN | Verb.REBOOT:
            return await _missing_power(api, intended, now)
        case Verb.SNAPSHOT | Verb.DELETE_SNAPSHOT:
            return await _missing_snapshot(api, intended)
        case Verb.ROLLBACK:
            return await _missing_rollback(api, intended)
        case Verb.DESTROY:
            return await _missing_end(api, intended)
        case Verb.HAND_OVER:
            return await _missing_disk(api, intended)
        case Verb.CONFIGURE | Verb.REPLACE | Verb.REGENERATE | Verb.ASSIGN_POOL:
            return ""  # PVE's answer, or its task's end, is all there is to see.
        case _ as never:
            assert_never(never)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What of a guest's configuration tells whether it has arrived somewhere."""

    lock: str
    is_ours: bool


async def _place(api: PveApi, intended: Intended, node: NodeName) -> _Place | None:
    """Return how the guest stands on ``node``, None if it is not there."""
    try:
        config = await sight.config_of(api, intended.kind, node, intended.vmid)
    except PortError as error:
        if error.kind is ErrorKind.NOT_FOUND:
            return None
        raise
    mark = config.mark
    return _Place(
        lock=sight.lock_of(config),
        is_ours=mark is not None
        and (mark.service, mark.index) == (intended.service, intended.index)
        and mark.vmid == intended.vmid
        and mark.witness == intended.witness,
    )


async def _missing_guest(api: PveApi, intended: Intended) -> str:
    place = await _place(api, intended, intended.target)
    if place is None:
        return f"there is no guest {intended.vmid} on {intended.target}"
    if place.lock:
        return f"guest {intended.vmid} is still locked ({place.lock})"
    return "" if place.is_ours else f"guest {intended.vmid} does not carry our mark"


async def _missing_move(api: PveApi, intended: Intended) -> str:
    place = await _place(api, intended, intended.target)
    if place is None:
        return f"guest {intended.vmid} is not on {intended.target}"
    return f"guest {intended.vmid} is still locked ({place.lock})" if place.lock else ""


async def _missing_size(api: PveApi, intended: Intended) -> str:
    slot, size = intended.expects[EXPECTS_SLOT], int(intended.expects[EXPECTS_SIZE])
    config = await sight.config_of(api, intended.kind, intended.node, intended.vmid)
    disk = config.disks.get(slot)
    if disk is None or disk.size_bytes is None:
        return f"guest {intended.vmid} has no {slot} with a size"
    return "" if disk.size_bytes >= size else f"{slot} has only {disk.size_bytes} bytes"


async def _missing_disk(api: PveApi, intended: Intended) -> str:
    """Return what is missing of a hand-over: PVE writes the giver first, then the heir."""
    slot, heir = intended.expects[EXPECTS_SLOT], VmId(int(intended.expects[EXPECTS_HEIR]))
    giver = await sight.config_of(api, intended.kind, intended.node, intended.vmid)
    if slot in giver.disks:
        return f"{slot} is still that of guest {intended.vmid}"
    taker = await sight.config_of(api, intended.kind, intended.node, heir)
    return "" if slot in taker.disks else f"guest {heir} has no {slot}"


async def _missing_power(api: PveApi, intended: Intended, now: datetime) -> str:
    activity = await sight.activity_of(api, intended.kind, intended.node, intended.vmid)
    due = Power.STOPPED if intended.verb is Verb.SHUTDOWN else Power.RUNNING
    if activity.power is not due:
        return f"guest {intended.vmid} is {activity.power.value}, not {due.value}"
    # Its process must be younger than the wish: a reboot from inside the guest, which
    # applies nothing, keeps process and uptime.
    age_s = (now - intended.at).total_seconds()
    if intended.verb is Verb.REBOOT and activity.uptime_s > age_s:
        return f"guest {intended.vmid} still runs since before the reboot"
    return ""


async def _missing_snapshot(api: PveApi, intended: Intended) -> str:
    name = intended.expects[EXPECTS_SNAPSHOT]
    answer = await api.call(calls.guest_snapshots(intended.kind, intended.node, intended.vmid))
    reading = parse_snapshots(answer)
    if isinstance(reading, Unknown):
        return reading.reason
    found = next((snapshot for snapshot in reading.value if snapshot.name == name), None)
    if intended.verb is Verb.DELETE_SNAPSHOT:
        return f"snapshot {name} is still listed" if found is not None else ""
    if found is None:
        return f"snapshot {name} is not listed"
    return f"snapshot {name} is not finished ({found.stage})" if found.stage else ""


async def _missing_rollback(api: PveApi, intended: Intended) -> str:
    name = intended.expects[EXPECTS_SNAPSHOT]
    config = await sight.config_of(api, intended.kind, intended.node, intended.vmid)
    if lock := sight.lock_of(config):
        return f"guest {intended.vmid} is still locked ({lock})"
    # `snapshot_rollback` in PVE/AbstractConfig.pm makes it the parent of what is now.
    if config.options.get("parent") != name:
        return f"guest {intended.vmid} is not as it was in snapshot {name}"
    return ""


async def _missing_end(api: PveApi, intended: Intended) -> str:
    try:
        rows = rows_of(await api.call(calls.resources()), "resources")
        still = any(is_guest(row) and whole(row, "vmid") == intended.vmid for row in rows)
    except Misread as error:
        return f"the listing was not understood: {error}"
    return f"guest {intended.vmid} is still listed" if still else ""
