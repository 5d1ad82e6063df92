"""Leave a guest alone while an action on it has not ended, or its end was not looked at."""

from qlop.model.action import Verb
from qlop.model.guest import Power
from qlop.model.history import Inflight
from qlop.model.ids import GuestName, VmId
from qlop.model.verdict import Held, Hold
from qlop.planner.capacity import promised_bytes
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place


def hold(draft: Draft, subject: GuestName, place: Place) -> bool:
    """Return whether a guest has an action in flight, and note the hold if so.

    It is asked for by its place as well: a guest is called otherwise once its service
    has replicas, or once no manifest names it.
    """
    flying = draft.source.history.inflight.get(subject) or draft.flying.get(place)
    if flying is None:
        return False
    draft.conclude(subject, flying.intended.vmid, _held(flying))
    _book(draft, subject, flying)
    return True


def hold_former(draft: Draft, subject: GuestName, vmid: VmId) -> bool:
    """Return whether one whose place is taken has an action in flight, and note the hold."""
    flying = [
        one
        for name, one in draft.source.history.inflight.items()
        if name == subject or vmid in one.intended.touches
    ]
    if not flying:
        return False
    draft.conclude(subject, vmid, _held(flying[0]))
    return True


def hold_rest(draft: Draft) -> None:
    """Note what is in flight on guests that nobody wants and that are not seen to be ours.

    Nothing else would tell that something is still going on.
    """
    told = {verdict.vmid for verdict in draft.verdicts.values()}
    for subject, flying in draft.source.history.inflight.items():
        if subject not in draft.verdicts and flying.intended.vmid not in told:
            draft.conclude(subject, flying.intended.vmid, _held(flying))


def _held(flying: Inflight) -> Held:
    intended = flying.intended
    what = intended.summary or intended.verb.value
    if flying.ambiguous:
        return Held(
            reason=Hold.AMBIGUOUS,
            message=f"the answer to '{what}' was lost: whether it was done is not known yet",
            remedy="qlop looks until it knows, and does nothing to the guest before",
        )
    if flying.ended_at is not None:
        return Held(
            reason=Hold.IN_FLIGHT,
            message=f"'{what}' ended at {flying.ended_at:%H:%M:%S} UTC, after this look at the"
            " cluster had begun: what it did is not judged by that",
            remedy="nothing: qlop looks again",
        )
    return Held(
        reason=Hold.IN_FLIGHT,
        message=f"under way since {intended.at:%H:%M:%S} UTC: {what}",
    )


def _book(draft: Draft, subject: GuestName, flying: Inflight) -> None:
    """Book the node that a guest is being made on, or is moving to, until it is seen there."""
    want = draft.source.desired.guests.get(subject)
    if want is None:
        return
    intended = flying.intended
    guest = draft.ownership.owned.get((want.service, want.index))
    if guest is None:
        memory = want.memory_bytes if want.power is Power.RUNNING else 0
        draft.capacity.promise(intended.target, want.service, memory)
    elif intended.verb is Verb.MIGRATE and guest.node != intended.target:
        memory = promised_bytes(guest, want)
        draft.capacity.promise(intended.target, want.service, memory)
