"""Say for people who has a VMID: what it is, where, and whose."""

from qlop.model.guest import GuestKind
from qlop.model.observed import ObservedGuest
from qlop.planner import burial, ownership
from qlop.planner.draft import Draft
from qlop.planner.step import place_of


def text(draft: Draft, guest: ObservedGuest) -> str:
    """Return who ``guest`` is: ``VM shop on pve1, which is not ours``."""
    kind = "VM" if guest.kind is GuestKind.VM else "container"
    sort = f"{kind} template" if guest.template else kind
    where = f"{sort} {guest.name or '(unnamed)'} on {guest.node}"
    place = ownership.proven_place(draft.ownership, guest)
    if place is None:
        return f"{where}, which is not ours"
    names = [name for name, want in draft.source.desired.guests.items() if place_of(want) == place]
    known = names[0] if names else burial.known_as(draft, guest, place)
    return f"{where}, which is ours: {known}{'' if names else ', in no manifest'}"
