"""Prove which guests are ours, and name those that only look so.

A guest is ours if its notes carry a mark of our cluster, the mark names the VMID the
guest has, and the mark names the witness it has. Everything else is a stranger, however
alike: a clone of our guest has another VMID, a recycled VMID another witness.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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

    ``owned``: proven, one guest a place. ``doubled``: two guests that both pass.
    ``mismatched``: mark and VMID agree, the witness does not. ``unread``: no
    configuration seen, so any of them might be ours. ``strangers``: all the others.
    """

    owned: Mapping[Place, ObservedGuest]
    doubled: Mapping[Place, tuple[VmId, ...]]
    mismatched: Mapping[Place, ObservedGuest]
    unread: tuple[ObservedGuest, ...]
    strangers: tuple[ObservedGuest, ...]


def index(cluster: ClusterName, observed: Observed, history: History) -> Ownership:
    """Return the ownership of every observed guest."""
    owned: dict[Place, ObservedGuest] = {}
    doubled: dict[Place, tuple[VmId, ...]] = {}
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
        elif place in owned or place in doubled:
            former = doubled.get(place) or (owned.pop(place).vmid,)
            doubled[place] = tuple(sorted((*former, guest.vmid)))
        else:
            owned[place] = guest
    return Ownership(
        owned=owned,
        doubled=doubled,
        mismatched=mismatched,
        unread=tuple(unread),
        strangers=tuple(strangers),
    )


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
