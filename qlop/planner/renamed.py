"""Notice an orphan and a new service that look like one and the same, renamed.

To qlop a name is an identity: who renames a service gives up one guest, with all its data,
and gets another, empty. That is seldom meant. The hold of the orphan says so, and no policy
shuts it down before a person has agreed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qlop.model.action import ShutdownGuest
from qlop.model.desired import DesiredDisk, DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import GuestName
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.orders import approval_id
from qlop.model.plan import PlannedAction
from qlop.model.reading import Known
from qlop.model.verdict import Act, Held, Hold
from qlop.planner import burial, collision, consent
from qlop.planner.draft import Draft
from qlop.planner.step import place_of

_OWN = frozenset({"name", "hostname", "description", "tags"})
"""Options that differ between two guests which otherwise are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Likeness:
    """An orphan, who looks like it, and by what."""

    name: GuestName
    guest: ObservedGuest
    want: DesiredGuest
    why: str


def ask(draft: Draft) -> None:
    """Say of orphans which new guest looks like them, and hold back their shutdown."""
    orphans = {
        verdict.vmid: name for name, verdict in draft.verdicts.items() if name in draft.orphans
    }
    wanted = {place_of(want) for want in draft.source.desired.guests.values()}
    found = {
        orphans[guest.vmid]: guest
        for place, guest in draft.ownership.owned.items()
        if place not in wanted and guest.vmid in orphans
    }
    if not found:
        return
    fresh = [want for want in draft.source.desired.guests.values() if _is_new(draft, want)]
    certain = _sharing(found, fresh)
    for name, like in sorted((_alike(found, fresh) | certain).items()):
        shutdown = _shutdown(draft, name)
        if shutdown is None:
            _tell(draft, like)
        elif name in certain:
            _hold(draft, like, shutdown)


def _is_new(draft: Draft, want: DesiredGuest) -> bool:
    """Return whether a guest is not there, or has not run since it was made."""
    guest = draft.ownership.owned.get(place_of(want))
    reserved = draft.source.history.reservations.get(place_of(want))
    is_idle = guest is None or guest.power is Power.STOPPED
    return is_idle and (reserved is None or not reserved.ran)


def _sharing(
    orphans: Mapping[GuestName, ObservedGuest], fresh: Sequence[DesiredGuest]
) -> dict[GuestName, _Likeness]:
    """Return the new guests that ask for the VMID, the address or the MAC of an orphan."""
    found: dict[GuestName, _Likeness] = {}
    for name, guest in orphans.items():
        claims = {*collision.had_claims(guest)}
        for want in fresh:
            if want.kind is not guest.kind:
                continue
            same = sorted(claims & {*collision.wanted_claims(want)})
            if want.vmid == guest.vmid:
                why = f"asks for its VMID, {guest.vmid}"
            elif same and name not in found:
                why = f"asks for its address, {same[0][0]}"
            else:
                continue
            found[name] = _Likeness(name=name, guest=guest, want=want, why=why)
    return found


def _alike(
    orphans: Mapping[GuestName, ObservedGuest], fresh: Sequence[DesiredGuest]
) -> dict[GuestName, _Likeness]:
    """Return the new guests that are as an orphan is in all that their manifests say.

    Only where there is but one of each; and where no address could tell.
    """
    pairs = [
        _Likeness(name=name, guest=guest, want=want, why="is just like it")
        for name, guest in orphans.items()
        for want in fresh
        if not any(collision.wanted_claims(want)) and _is_alike(want, guest)
    ]
    names = Counter(like.name for like in pairs)
    wants = Counter(like.want.name for like in pairs)
    return {like.name: like for like in pairs if names[like.name] == wants[like.want.name] == 1}


def _is_alike(want: DesiredGuest, guest: ObservedGuest) -> bool:
    """Return whether a guest has the options, disks and networks that are wanted."""
    if want.kind is not guest.kind or not isinstance(guest.config, Known) or not want.disks:
        return False
    have = guest.config.value
    options = {key: value for key, value in want.options.items() if key not in _OWN}
    links = {nic.slot: nic.properties.get("bridge") for nic in want.nics}
    return (
        all(have.options.get(key) == value for key, value in options.items())
        and all(_is_of_size(disk, have) for disk in want.disks)
        and links == {slot: nic.properties.get("bridge") for slot, nic in have.nics.items()}
    )


def _is_of_size(disk: DesiredDisk, have: GuestConfig) -> bool:
    there = have.disks.get(disk.slot)
    return there is not None and disk.size_bytes in {None, there.size_bytes}


def _shutdown(draft: Draft, name: GuestName) -> PlannedAction | None:
    chain = draft.actions.get(name, ())
    return next((one for one in chain if isinstance(one.action, ShutdownGuest)), None)


def _tell(draft: Draft, like: _Likeness) -> None:
    """Say beside why an orphan is kept what it looks like."""
    verdict = draft.verdicts[like.name].verdict
    held = verdict.held if isinstance(verdict, Act) else verdict
    if isinstance(held, Held) and held.message.startswith(burial.GIVEN_UP):
        message = f"{held.message}; {_asked(like)}"
        remedy = f"{_remedy(draft, like)}; if it was not: {held.remedy}"
        draft.advise(like.name, replace(held, message=message, remedy=remedy))


def _hold(draft: Draft, like: _Likeness, shutdown: PlannedAction) -> None:
    """Hold back the shutdown of an orphan until somebody approves it.

    Nobody takes its place meanwhile: what has its VMID is not made, and what has its
    address is not started.
    """
    if consent.is_approved(draft.orders, draft.source.history, shutdown.id):
        return
    draft.asks[shutdown.id] = shutdown
    held = Held(
        reason=Hold.APPROVAL,
        message=f"{shutdown.reason}; {_asked(like)}; to shut it down needs an approval",
        remedy=f"{_remedy(draft, like)}; or, if it is to go,"
        f" `qlop approve {approval_id(shutdown.id)}`",
    )
    draft.withhold_from(like.name, shutdown.id, held)


def _asked(like: _Likeness) -> str:
    return f"renamed? {like.want.name} ({like.want.origin.file}) {like.why}"


def _remedy(draft: Draft, like: _Likeness) -> str:
    """Return how the guest is kept: by its old name, or, where that can be, by the new one."""
    kept, guest, want = f"call it {like.name} again", like.guest, like.want
    service = draft.source.desired.services[want.service]
    if len(service.guests) > 1 or place_of(want) in draft.ownership.owned:
        return kept
    key = "name" if guest.kind is GuestKind.VM else "hostname"
    lines = [] if want.vmid == guest.vmid else [f"vmid: {guest.vmid}"]
    lines += [] if want.options.get(key) == guest.name else [f"guestName: {guest.name}"]
    written = f"write {' and '.join(lines)} for {want.name}, " if lines else ""
    orders = f"`qlop release {like.name}`, then `qlop adopt {want.name}`"
    return f"{kept}; or carry it over: {written}{orders}"
