"""Decide whether a missing guest may be created, and under which VMID."""

from qlop.model.desired import DesiredGuest
from qlop.model.ids import NodeName, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.owner import OwnerMark, mark_text
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import bad, existence, halfmade, holder, ownership, placement, unread, untold
from qlop.planner.draft import Draft
from qlop.planner.step import Steps, place_of


def plan_guest(draft: Draft, want: DesiredGuest) -> None:
    """Note how a guest that is not there comes into being, or why it may not."""
    unseen = unread.hold(draft, place_of(want))
    if unseen is not None:
        draft.conclude(want.name, unseen[0].vmid, unseen[1])
        return
    made = creation(draft, want)
    if made.steps or made.held is None:
        draft.decide(want.name, None, place_of(want), made)
    else:
        draft.conclude(want.name, None, made.held)


def creation(
    draft: Draft,
    want: DesiredGuest,
    *,
    generation: int = 0,
    reason: str = "",
    only_on: NodeName | None = None,
) -> Steps:
    """Return how a guest comes into being, or why it may not.

    ``generation``, ``reason`` and the one node it may be on are those of a guest that is
    built in the place of another.
    """
    vmid = _vmid(draft, want)
    held = _evidence_hold(draft, want)
    if held is not None:
        return Steps(held=held)
    if isinstance(vmid, Held):
        return Steps(held=vmid)
    held = bad.birth_hold(draft, want)
    if held is not None:
        return Steps(held=held)
    birth = existence.Birth(
        cluster=draft.source.desired.cluster.name,
        guest=want,
        vmid=vmid,
        observed=draft.source.observed,
        templates=draft.templates,
        capacity=draft.capacity,
        generation=generation,
        reason=reason,
    )

    agreed = draft.source.placements.get(want.name)

    def refuses(node: NodeName) -> placement.Refusal:
        if agreed is not None and node != agreed:
            return Hold.NO_NODE, f"is not where it was agreed that it goes, which is {agreed}"
        if only_on is not None and node != only_on:
            return Hold.NO_NODE, f"does not have its persistent disks, which are on {only_on}"
        return existence.refusal(birth, node)

    chosen = placement.choose(
        want,
        draft.source.desired.cluster,
        draft.source.observed,
        draft.capacity,
        refuses=refuses,
        memory_bytes=existence.memory_needed(want),
    )
    draft.vmids.add(vmid)
    return existence.plan_creation(birth, chosen)


def _evidence_hold(draft: Draft, want: DesiredGuest) -> Held | None:
    """Return why it is not certain that the guest does not exist."""
    place = place_of(want)
    doubled = draft.ownership.doubled.get(place)
    if doubled is not None:
        return Held(
            reason=Hold.DUPLICATE_MARK,
            message=f"guests {', '.join(map(str, doubled))} both prove to be {want.name}",
            remedy="remove the owner mark (last line of the notes) from all but one",
        )
    under_way = untold.hold(draft, want)
    if under_way is not None:
        return under_way
    remnant = halfmade.find(draft, place)
    if remnant is not None:
        return halfmade.hold(remnant)
    impostor = draft.ownership.mismatched.get(place)
    if impostor is not None:
        return Held(
            reason=Hold.IDENTITY_MISMATCH,
            message=f"guest {impostor.vmid} carries the mark of {want.name}, but it is not the"
            " guest that qlop made: its UUID or MAC is another",
            remedy="if it is a stranger, remove the mark from its notes; if it is the guest,"
            " give it back the witness that the mark names",
        )
    lost = _unmarked(draft, place)
    if lost is not None:
        return Held(
            reason=Hold.NOT_OURS,
            message=f"guest {lost.vmid} is the one that qlop made for {want.name}, but the owner"
            " mark is gone from its notes: a second one would have its addresses",
            remedy=f"put this back as the last line of its notes: {_lost_mark(draft, place, lost)};"
            " or destroy it",
        )
    return ownership.unread_hold(draft.ownership, f"one of them might be {want.name}")


def _unmarked(draft: Draft, place: ownership.Place) -> ObservedGuest | None:
    """Return the guest that was made for ``place``, if only its mark was taken away."""
    reserved = draft.source.history.reservations.get(place)
    if reserved is None or not reserved.made:
        return None
    guest = draft.source.observed.guests.get(reserved.vmid)
    if guest is None or guest.template or not isinstance(guest.config, Known):
        return None
    is_same = guest.config.value.mark is None and guest.config.value.witness == reserved.witness
    return guest if is_same else None


def _lost_mark(draft: Draft, place: ownership.Place, guest: ObservedGuest) -> str:
    owned = draft.ownership.owned.get(place)
    older = ownership.mark_of(owned) if owned is not None else None
    mark = OwnerMark(
        cluster=draft.source.desired.cluster.name,
        service=place[0],
        index=place[1],
        vmid=guest.vmid,
        witness=draft.source.history.reservations[place].witness,
        generation=older.generation + 1 if older is not None else 0,
    )
    return mark_text(mark)


def _vmid(draft: Draft, want: DesiredGuest) -> VmId | Held:
    if want.vmid is not None:
        taken = draft.source.observed.guests.get(want.vmid)
        if taken is not None:
            return existence.taken_hold(want, holder.text(draft, taken))
        if not draft.is_free(want.vmid):
            return existence.taken_hold(want, "a guest that is being made")
        return want.vmid
    reserved = draft.source.history.reservations.get(place_of(want))
    low, high = want.vmid_range
    if reserved is not None and low <= reserved.vmid <= high and draft.is_free(reserved.vmid):
        return reserved.vmid
    lowest = draft.free_vmid(low, high)
    if lowest is not None:
        return lowest
    return Held(
        reason=Hold.NO_FREE_VMID,
        message=f"every VMID from {low} to {high} is taken",
        remedy="give the service or the cluster a larger vmidRange",
    )
