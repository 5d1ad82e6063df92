"""List the guests that are not ours, each with the reason why."""

from collections.abc import Mapping

from qlop.model.ids import GuestName, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Known
from qlop.model.unmanaged import Unmanaged
from qlop.planner import halfmade
from qlop.planner.draft import Draft
from qlop.planner.step import place_of


def unmanaged(draft: Draft) -> tuple[Unmanaged, ...]:
    """Return the guests that are not ours, by VMID; templates are left out."""
    named = _named(draft)
    found = [*draft.ownership.strangers, *draft.ownership.mismatched.values()]
    return tuple(
        Unmanaged(
            vmid=guest.vmid,
            name=guest.name,
            kind=guest.kind,
            node=guest.node,
            why=_left_of(draft, guest) or _why(guest, named.get(guest.vmid)),
        )
        for guest in sorted(found, key=lambda one: one.vmid)
        if not guest.template
    )


def _named(draft: Draft) -> Mapping[VmId, GuestName]:
    """Return whom manifests want under which VMID, of those that are not there yet."""
    owned = draft.ownership.owned
    return {
        want.vmid: want.name
        for want in draft.source.desired.guests.values()
        if want.vmid is not None and place_of(want) not in owned
    }


def _left_of(draft: Draft, guest: ObservedGuest) -> str:
    """Return of what of ours a guest is left, empty if of nothing."""
    remnant = halfmade.find_at(draft, guest)
    if remnant is None:
        return ""
    creation = remnant.creation
    maybe = "it is" if creation.is_certain else "it may be"
    return f"{maybe} what the {creation.verb.value} of {creation.name} left when it broke off"


def _why(guest: ObservedGuest, wanted_as: GuestName | None) -> str:
    assert isinstance(guest.config, Known), (
        "an unread configuration may be that of a guest of ours"
    )
    have = guest.config.value
    mark = have.mark
    if mark is None:
        if wanted_as is not None:
            return f"{wanted_as} asks for its VMID, and it is not adopted"
        return "it has no owner mark"
    whose = f"{mark.service} (guest {mark.index})"
    if mark.vmid != guest.vmid:
        return f"its mark is that of {mark.vmid}, {whose}: it is a copy"
    if mark.witness != have.witness:
        return f"it carries the mark of {whose}, and its UUID or MAC is another"
    return f"it belongs to the qlop of cluster {mark.cluster}"
