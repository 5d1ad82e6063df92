"""Recognize what a creation of ours left behind when it broke off.

A node that dies while a clone runs on it keeps a locked guest of which nobody will ever
make more. It is not touched: PVE lets no token destroy what is locked, and only a person
can see that no worker is at it any more. But it is known for what it is, and nothing is
built beside it, which would leave one more of them each time.
"""

from dataclasses import dataclass

from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, Power
from qlop.model.halfmade import HalfMade
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place
from qlop.planner.step import place_of

_LOCKS = frozenset({"clone", "create"})
"""What PVE locks a guest with that is being made (``PVE/API2/Qemu.pm``, ``LXC.pm``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remnant:
    """A creation that broke off, and the guest that is left of it."""

    creation: HalfMade
    guest: ObservedGuest


def find(draft: Draft, place: Place) -> Remnant | None:
    """Return what is left of the newest creation of ``place`` that left anything."""
    left = (
        remnant
        for creation in draft.source.history.half_made.values()
        if (creation.service, creation.index) == place
        and (remnant := _remnant(draft, creation)) is not None
    )
    return max(left, key=lambda one: (one.creation.at, one.creation.vmid), default=None)


def find_at(draft: Draft, guest: ObservedGuest) -> Remnant | None:
    """Return what of ours a guest is left of, None if it is none of that."""
    creation = draft.source.history.half_made.get(guest.vmid)
    return _remnant(draft, creation) if creation is not None else None


def is_unborn(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> bool:
    """Return whether we made a guest and it never ran: a change to it disturbs nobody."""
    reserved = draft.source.history.reservations.get(place_of(want))
    return (
        guest.power is Power.STOPPED
        and reserved is not None
        and reserved.made
        and not reserved.ran
        and reserved.vmid == guest.vmid
    )


def hold(remnant: Remnant) -> Held:
    """Return why no guest is made while something is left of an earlier try."""
    creation, guest = remnant.creation, remnant.guest
    verb = creation.verb.value
    what = f"what the {verb} of {creation.name} left there when it broke off"
    is_what = f"is {what}" if creation.is_certain else f"may be {what}"
    locked = f", locked ({guest.lock})" if guest.lock else ""
    return Held(
        reason=Hold.HALF_MADE,
        message=f"guest {guest.vmid} on {guest.node} {is_what}{locked}: it is not whole, and"
        " nothing is built beside it",
        remedy=f"on {guest.node}, if no {verb} runs any more: {_way_out(guest)}; it is made"
        " anew then",
    )


def whole_hold(draft: Draft, guest: ObservedGuest) -> Held | None:
    """Return why a guest that proves to be ours is left alone: it may not be whole.

    A container has its mark before its archive is set up: ``create_vm`` in
    ``PVE/API2/LXC.pm`` writes the configuration, without any lock, and sets the password,
    the keys and the network inside only then. A VM gets its mark with the last write.
    """
    creation = draft.source.history.half_made.get(guest.vmid)
    if creation is None or guest.kind is not GuestKind.CONTAINER:
        return None
    if guest.power is Power.RUNNING:
        return None  # Somebody has started it: it is what they wanted.
    return Held(
        reason=Hold.HALF_MADE,
        message=f"creating it broke off at {creation.at:%Y-%m-%d %H:%M:%S} UTC: whether it is"
        " whole can't be known",
        remedy=f"on {guest.node}: `pct start {guest.vmid}` if you have seen that it is;"
        f" otherwise `pct destroy {guest.vmid} --purge`, and it is made anew",
    )


def _remnant(draft: Draft, creation: HalfMade) -> Remnant | None:
    guest = draft.source.observed.guests.get(creation.vmid)
    if guest is None or guest.kind is not creation.kind or guest.vmid in draft.tasks:
        return None
    if not isinstance(guest.config, Known) or guest.power is Power.RUNNING:
        return None
    place, mark = (creation.service, creation.index), guest.config.value.mark
    if mark is None:
        is_left = guest.lock in _LOCKS
    else:
        is_ours = mark.cluster == draft.source.desired.cluster.name
        owners = draft.ownership
        proven = [one for one in (owners.owned.get(place), owners.heirs.get(place)) if one]
        is_left = (
            is_ours
            and (mark.service, mark.index, mark.vmid) == (*place, guest.vmid)
            and all(one.vmid != guest.vmid for one in proven)
        )
    return Remnant(creation=creation, guest=guest) if is_left else None


def _way_out(guest: ObservedGuest) -> str:
    tool = "qm" if guest.kind is GuestKind.VM else "pct"
    unlock = f"{tool} unlock {guest.vmid} && " if guest.lock else ""
    return f"`{unlock}{tool} destroy {guest.vmid} --purge`"
