"""Prove which guests are ours, and name those that only look so.

A guest is ours if its notes carry a mark of our cluster, the mark names the VMID the
guest has, and the mark names the witness it has. Everything else is a stranger, however
alike: a clone of our guest has another VMID, a recycled VMID another witness.

A place may have several guests while one gives way to the next generation, and after that.
One of them is in charge: the older one until it is stopped and has handed over its
persistent disks, or until the newer one runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from qlop.model.guest import Power
from qlop.model.history import History
from qlop.model.ids import ClusterName, ServiceName, VmId
from qlop.model.observed import GuestConfig, Observed, ObservedGuest
from qlop.model.owner import OwnerMark
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold

Place = tuple[ServiceName, int]
"""A service and the index of one of its guests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who is who.

    ``owned``: proven, one guest a place: the one in charge. ``heirs``: what is to take its
    place. ``formers``: whose place it has taken, the newest last. ``doubled``: two guests
    that both pass.
    ``mismatched``: mark and VMID agree, the witness does not. ``unread``: no
    configuration seen, so any of them might be ours. ``strangers``: all the others.
    """

    owned: Mapping[Place, ObservedGuest]
    heirs: Mapping[Place, ObservedGuest]
    formers: Mapping[Place, tuple[ObservedGuest, ...]]
    doubled: Mapping[Place, tuple[VmId, ...]]
    mismatched: Mapping[Place, ObservedGuest]
    unread: tuple[ObservedGuest, ...]
    strangers: tuple[ObservedGuest, ...]


def index(cluster: ClusterName, observed: Observed, history: History) -> Ownership:
    """Return the ownership of every observed guest."""
    proven: dict[Place, list[ObservedGuest]] = {}
    mismatched: dict[Place, ObservedGuest] = {}
    unread: list[ObservedGuest] = []
    strangers: list[ObservedGuest] = []
    for guest in sorted(observed.guests.values(), key=lambda one: one.vmid):
        reading = guest.config
        if not isinstance(reading, Known):
            unread.append(guest)
            continue
        mark = reading.value.mark
        if mark is None or mark.cluster != cluster or mark.vmid != guest.vmid:
            strangers.append(guest)
            continue
        place = (mark.service, mark.index)
        if mark.witness != reading.value.witness and not _is_unsealed(mark, history):
            mismatched.setdefault(place, guest)
        else:
            proven.setdefault(place, []).append(guest)
    lines = {place: _line(guests) for place, guests in proven.items()}
    found = {place: line for place, line in lines.items() if line is not None}
    return Ownership(
        owned={place: line.in_charge for place, line in found.items()},
        heirs={place: line.heir for place, line in found.items() if line.heir is not None},
        formers={place: line.formers for place, line in found.items() if line.formers},
        doubled={
            place: tuple(sorted(guest.vmid for guest in guests))
            for place, guests in proven.items()
            if place not in found
        },
        mismatched=mismatched,
        unread=tuple(unread),
        strangers=tuple(strangers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The guests of one place, by their generations."""

    in_charge: ObservedGuest
    heir: ObservedGuest | None
    formers: tuple[ObservedGuest, ...]


def _line(guests: list[ObservedGuest]) -> _Line | None:
    """Return who is who among the guests of one place, None if two claim to be the same."""
    line = sorted(guests, key=lambda guest: mark_of(guest).generation)
    for older, newer in pairwise(line):
        if mark_of(older).generation == mark_of(newer).generation or not mark_of(older).yields:
            return None
    at = 0
    while at + 1 < len(line) and _has_given_way(line[at], line[at + 1]):
        at += 1
    rest = line[at + 1 :]
    if len(rest) > 1:
        return None
    return _Line(in_charge=line[at], heir=rest[0] if rest else None, formers=tuple(line[:at]))


def _has_given_way(older: ObservedGuest, newer: ObservedGuest) -> bool:
    """Return whether ``newer`` has all that ``older`` was to hand it, and is alone, or runs."""
    if carried(older):
        return False
    return older.power is Power.STOPPED or newer.power is Power.RUNNING


def proven_place(found: Ownership, guest: ObservedGuest) -> Place | None:
    """Return the place of a guest that is proven ours, None of any other."""
    for line in (found.owned, found.heirs):
        for place, one in line.items():
            if one is guest:
                return place
    return next((place for place, old in found.formers.items() if guest in old), None)


def mark_of(guest: ObservedGuest) -> OwnerMark:
    """Return the mark of a guest that is ours."""
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    mark = guest.config.value.mark
    assert mark is not None, "ownership is proven by the mark"
    return mark


def carried(guest: ObservedGuest) -> tuple[str, ...]:
    """Return the slots of the disks that a guest of ours has yet to hand over."""
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    disks = guest.config.value.disks
    return tuple(slot for slot in mark_of(guest).carries if slot in disks)


def unread_hold(found: Ownership, consequence: str) -> Held | None:
    """Return the hold for what must not be done while any configuration is unread.

    ``consequence`` says what an unread guest might be, or what it might need.
    """
    if not found.unread:
        return None
    listed = ", ".join(str(guest.vmid) for guest in found.unread[:5])
    more = f" and {len(found.unread) - 5} more" if len(found.unread) > 5 else ""
    return Held(
        reason=Hold.CONFIG_UNREAD,
        message=f"the configuration of {listed}{more} could not be read: {consequence}",
        remedy="bring their nodes back, or see that the token may VM.Audit them",
    )


def needs_seal(config: GuestConfig) -> bool:
    """Return whether an owned guest still has the witness PVE gave to the clone."""
    return config.mark is not None and config.mark.witness != config.witness


def _is_unsealed(mark: OwnerMark, history: History) -> bool:
    reserved = history.reservations.get((mark.service, mark.index))
    return (
        reserved is not None
        and reserved.made
        and not reserved.sealed
        and reserved.vmid == mark.vmid
        and reserved.witness == mark.witness
    )
