"""Leave a guest alone while an action on it has not ended."""

from qlop.model.history import Inflight
from qlop.model.ids import GuestName
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft


def hold(draft: Draft, subject: GuestName) -> bool:
    """Return whether ``subject`` has an action in flight, and note the hold if so."""
    flying = draft.source.history.inflight.get(subject)
    if flying is None:
        return False
    draft.conclude(subject, flying.intended.vmid, _held(flying))
    _book(draft, subject, flying)
    return True


def _held(flying: Inflight) -> Held:
    intended = flying.intended
    what = intended.summary or intended.verb.value
    if flying.ambiguous:
        return Held(
            reason=Hold.AMBIGUOUS,
            message=f"the answer to '{what}' was lost: whether it was done is not known yet",
            remedy="qlop looks until it knows, and does nothing to the guest before",
        )
    return Held(
        reason=Hold.IN_FLIGHT,
        message=f"under way since {intended.at:%H:%M:%S} UTC: {what}",
    )


def _book(draft: Draft, subject: GuestName, flying: Inflight) -> None:
    """Book the place of a guest that is being made and can't be seen as ours yet."""
    want = draft.source.desired.guests.get(subject)
    if want is None or (want.service, want.index) in draft.ownership.owned:
        return
    draft.capacity.promise(flying.intended.target, want.service, want.memory_bytes)
