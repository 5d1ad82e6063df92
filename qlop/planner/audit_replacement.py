"""Check a finished plan's replacements: nothing is lost, and no two guests run as one.

Like the rest of the audit it goes by the marks, the observation and the manifests alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from qlop.model.action import (
    AssignPool,
    CloneGuest,
    ConfigureGuest,
    CreateGuest,
    HandOverDisk,
    ReplaceGuest,
    ResizeDisk,
    ResumeGuest,
    ShutdownGuest,
    StartGuest,
)
from qlop.model.finding import Finding, Severity
from qlop.model.guest import Power
from qlop.model.ids import ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.owner import OwnerMark, parse_mark, strip_mark
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.model.reading import Known
from qlop.model.rollout import Order

Ours = dict[VmId, tuple[ObservedGuest, GuestConfig, OwnerMark]]
"""The guests that carry a mark of ours."""


def check_replacements(source: PlanInput, plan: Plan) -> Iterator[Finding]:
    """Yield what would lose a disk, double a guest, or replace what nobody wants replaced."""
    ours = _ours(source)
    downed: set[VmId] = set()
    handed: set[tuple[VmId, str]] = set()
    made: dict[VmId, OwnerMark] = {}
    for planned in plan.actions:
        match planned.action:
            case CreateGuest() | CloneGuest():
                yield from _check_birth(ours, planned, made)
            case ReplaceGuest() as action:
                yield from _check_signing(source, ours, planned, action)
                _sign(ours, action)
            case HandOverDisk() as action:
                yield from _check_handing(ours, planned, action, downed, made)
                handed.add((action.vmid, action.slot))
            case StartGuest() | ResumeGuest():
                yield from _check_start(source, ours, planned, downed, handed)
            case ConfigureGuest() as action:
                yield from _check_write(ours, planned, action)
                yield from _check_heir(ours, planned)
            case ResizeDisk() | AssignPool():
                yield from _check_heir(ours, planned)
            case ShutdownGuest():
                downed.add(planned.action.vmid)
            case _:
                pass


def _sign(ours: Ours, action: ReplaceGuest) -> None:
    """Let what follows in the plan find the guest as it will be marked."""
    signed = parse_mark(action.writes.get("description", ""))
    if action.vmid in ours and signed is not None:
        guest, config, _ = ours[action.vmid]
        ours[action.vmid] = (guest, config, signed)


def is_former(source: PlanInput, vmid: VmId) -> bool:
    """Return whether a later guest has taken this one's place, and has all it was to have."""
    ours = _ours(source)
    if vmid not in ours:
        return False
    _, config, mark = ours[vmid]
    later = [
        one
        for one in _beside(ours, (mark.service, mark.index), vmid)
        if one[2].generation > mark.generation
    ]
    wanted = {
        disk.slot
        for want in source.desired.guests.values()
        if (want.service, want.index) == (mark.service, mark.index)
        for disk in want.disks
    }
    there = {slot for _, other, _ in later for slot in other.disks}
    has_all = not (set(mark.carries) & wanted) - there
    return bool(mark.yields and later) and has_all and not set(mark.carries) & config.disks.keys()


def _ours(source: PlanInput) -> Ours:
    found: dict[VmId, tuple[ObservedGuest, GuestConfig, OwnerMark]] = {}
    for guest in source.observed.guests.values():
        config = guest.config.value if isinstance(guest.config, Known) else None
        mark = config.mark if config is not None else None
        if config is None or mark is None or mark.vmid != guest.vmid:
            continue
        if mark.cluster == source.desired.cluster.name:
            found[guest.vmid] = (guest, config, mark)
    return found


def _beside(
    ours: Ours, place: tuple[ServiceName, int], vmid: VmId
) -> list[tuple[ObservedGuest, GuestConfig, OwnerMark]]:
    """Return the other guests of a place."""
    return [
        one
        for other, one in ours.items()
        if other != vmid and (one[2].service, one[2].index) == place
    ]


def _check_birth(
    ours: Ours, planned: PlannedAction, made: dict[VmId, OwnerMark]
) -> Iterator[Finding]:
    action = planned.action
    assert isinstance(action, CreateGuest | CloneGuest)
    params = action.params if isinstance(action, CreateGuest) else {}
    text = params.get("description", "") if params else getattr(action, "description", "")
    mark = parse_mark(text)
    if mark is not None:
        made[action.vmid] = mark
    others = _beside(ours, (planned.service, planned.index), action.vmid)
    if not others:
        return
    _, _, newest = max(others, key=lambda one: one[2].generation)
    if mark is None or not newest.yields or mark.generation != newest.generation + 1:
        yield _finding("doubled", f"{planned.id} makes a second guest beside {newest.vmid}")
    taken = set(newest.carries) & params.keys()
    if taken:
        yield _finding("carried", f"{planned.id} makes {min(taken)}, which is carried over")


def _check_signing(
    source: PlanInput, ours: Ours, planned: PlannedAction, action: ReplaceGuest
) -> Iterator[Finding]:
    want = source.desired.guests.get(action.subject)
    if action.vmid not in ours or want is None:
        yield _finding("replaced", f"{planned.id} replaces what no manifest wants replaced")
        return
    _, config, mark = ours[action.vmid]
    text = config.options.get("description", "")
    written = action.writes.get("description", "")
    signed = parse_mark(written)
    plain = [replace(one, yields="", carries=(), boots=False) for one in (mark, signed) if one]
    is_same = len(plain) == 2 and plain[0] == plain[1] and isinstance(text, str)
    is_same = is_same and strip_mark(written) == strip_mark(str(text))
    if not is_same or not action.writes.keys() <= {"description", "onboot"}:
        yield _finding("replaced", f"{planned.id} writes more than that the guest gives way")
    if not mark.build:
        yield _finding("replaced", f"{planned.id} replaces a guest of unknown make")
    persistent = {disk.slot for disk in want.disks if disk.persistent}
    due = persistent & config.disks.keys() if want.kind is action.kind else set()
    if set(action.carries) != due:
        yield _finding("carried", f"{planned.id} does not carry over what is persistent")
    data = {
        slot
        for slot, disk in config.disks.items()
        if disk.storage is not None and not disk.is_cdrom and slot != "efidisk0"
    }
    loses = len(data - due) > 1 or not due or bool(config.unused)
    if loses and planned.impact is not Impact.DATA_LOSS:
        yield _finding("data-loss", f"{planned.id} leaves data behind and does not say so")


def _check_write(ours: Ours, planned: PlannedAction, action: ConfigureGuest) -> Iterator[Finding]:
    """Check that no new disk is made in the place of one that was to be carried over."""
    if action.vmid not in ours:
        return
    _, config, mark = ours[action.vmid]
    for _, _, older in _beside(ours, (mark.service, mark.index), action.vmid):
        made = (action.set.keys() & set(older.carries)) - config.disks.keys()
        if older.generation < mark.generation and made:
            yield _finding("carried", f"{planned.id} makes a new {min(made)} in place of the data")


def _check_heir(ours: Ours, planned: PlannedAction) -> Iterator[Finding]:
    """Check that what is written to an heir is sent only while it is one.

    What it is to be then is not what it is to be when it is in charge; and a node that
    boots must not start it beside the guest that still is.
    """
    action = planned.action
    older = _in_charge_before(ours, action.vmid)
    if older is None:
        return
    guest, config, mark = older
    power = guest.power if guest.power is not Power.UNKNOWN else None
    beside = planned.premise.beside if planned.premise is not None else None
    expected = (guest.vmid, mark, config.witness, power)
    if beside is None or (beside.vmid, beside.mark, beside.witness, beside.power) != expected:
        yield _finding("premise", f"{planned.id} does not rely on {guest.vmid} being in charge")
    if isinstance(action, ConfigureGuest) and action.set.get("onboot") == "1":
        yield _finding("two-at-once", f"{planned.id} starts with its node beside {guest.vmid}")


def _in_charge_before(
    ours: Ours, vmid: VmId
) -> tuple[ObservedGuest, GuestConfig, OwnerMark] | None:
    """Return the guest that ``vmid`` is the heir of, None if it is no heir or not any more."""
    if vmid not in ours:
        return None
    heir, _, own = ours[vmid]
    line = [
        one
        for one in _beside(ours, (own.service, own.index), vmid)
        if one[2].generation < own.generation and one[2].witness == one[1].witness
    ]
    if not line:
        return None
    guest, config, mark = max(line, key=lambda one: one[2].generation)
    if set(mark.carries) & config.disks.keys():
        return guest, config, mark
    has_given_way = guest.power is Power.STOPPED or heir.power is Power.RUNNING
    return None if has_given_way else (guest, config, mark)


def _check_handing(
    ours: Ours,
    planned: PlannedAction,
    action: HandOverDisk,
    downed: set[VmId],
    made: Mapping[VmId, OwnerMark],
) -> Iterator[Finding]:
    if action.vmid not in ours:
        return  # Whose it is, is checked with everything else.
    guest, config, mark = ours[action.vmid]
    if not mark.yields or action.slot not in mark.carries or action.slot not in config.disks:
        yield _finding("carried", f"{planned.id} hands over a disk that is not to be")
    if guest.power is not Power.STOPPED and action.vmid not in downed:
        yield _finding("running", f"{planned.id} takes a disk from a guest that may run")
    if planned.premise is None or planned.premise.power is not Power.STOPPED:
        yield _finding("running", f"{planned.id} does not insist that the guest is stopped")
    heir = made.get(action.heir)
    if heir is None and action.heir in ours:
        _, taker, heir = ours[action.heir]
        if action.slot in taker.disks:
            yield _finding("carried", f"{planned.id} hands over into a slot that is taken")
        beside = planned.premise.beside if planned.premise is not None else None
        if beside is None or beside.mark != heir or beside.witness != taker.witness:
            yield _finding("premise", f"{planned.id} assumes another heir than there is")
    if heir is None or (heir.service, heir.index, heir.generation) != (
        mark.service,
        mark.index,
        mark.generation + 1,
    ):
        yield _finding("carried", f"{planned.id} hands a disk to one that is no heir")


def _check_start(
    source: PlanInput,
    ours: Ours,
    planned: PlannedAction,
    downed: set[VmId],
    handed: set[tuple[VmId, str]],
) -> Iterator[Finding]:
    place = (planned.service, planned.index)
    service = source.desired.services.get(planned.service)
    start_first = service is not None and service.update.order is Order.START_FIRST
    for other, config, mark in _beside(ours, place, planned.action.vmid):
        own = ours.get(planned.action.vmid)
        is_heir = own is None or own[2].generation > mark.generation
        left = {slot for slot in mark.carries if (other.vmid, slot) not in handed}
        if is_heir and mark.yields and left & config.disks.keys():
            yield _finding("carried", f"{planned.id} starts a guest without its disks")
        if other.power is Power.STOPPED or other.vmid in downed:
            continue
        if not (start_first and is_heir and mark.yields and not mark.carries):
            yield _finding("two-at-once", f"{planned.id} starts a guest beside {other.vmid}")


def _finding(code: str, message: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=f"audit-{code}", message=message)
