"""Say of guests whose configuration could not be read what is known of them all the same.

After a restart nothing is known of a guest on a node that is off but that it is listed.
The journal knows under which VMID a guest was made or adopted. That proves nothing, and
nothing is done by it; but such a guest is no stranger, and it is not nothing.
"""

from collections.abc import Mapping

from qlop.model.ids import GuestName
from qlop.model.observed import ObservedGuest
from qlop.model.unmanaged import Unmanaged
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place


def hold(draft: Draft, place: Place) -> tuple[ObservedGuest, Held] | None:
    """Return the unread guest that has ``place`` by the journal, and why it is left alone."""
    guest = _by_place(draft).get(place)
    if guest is None:
        return None
    what = "it is this one by the journal, and nothing is made or done before that is known"
    return guest, _held(draft, guest, what)


def hold_orphans(draft: Draft) -> None:
    """Note the orphans that nothing but the journal shows to be ours."""
    wanted = {(guest.service, guest.index) for guest in draft.source.desired.guests.values()}
    told = {verdict.vmid for verdict in draft.verdicts.values()}
    for place, guest in sorted(_by_place(draft).items()):
        if place in wanted or place in draft.ownership.owned or guest.vmid in told:
            continue
        name = draft.source.history.belongings[guest.vmid].name
        if name in draft.source.desired.guests or name in draft.verdicts:
            name = GuestName(f"{name}@{guest.vmid}")
        what = "by the journal it is ours, and no manifest names it any more"
        draft.conclude(name, guest.vmid, _held(draft, guest, what))


def unknown(draft: Draft) -> tuple[Unmanaged, ...]:
    """Return the guests of which nobody can say whose they are, by VMID; no templates."""
    told = {verdict.vmid for verdict in draft.verdicts.values()}
    return tuple(
        Unmanaged(
            vmid=guest.vmid,
            name=guest.name,
            kind=guest.kind,
            node=guest.node,
            why="its configuration could not be read: whether it is ours is not known",
        )
        for guest in sorted(draft.ownership.unread, key=lambda one: one.vmid)
        if not guest.template and guest.vmid not in told
    )


def _by_place(draft: Draft) -> Mapping[Place, ObservedGuest]:
    """Return the unread guests that had a place; of two, the one that was listed last."""
    found: dict[Place, ObservedGuest] = {}
    for guest in draft.ownership.unread:
        belonging = draft.source.history.belongings.get(guest.vmid)
        if belonging is not None:
            found[belonging.service, belonging.index] = guest
    return found


def _held(draft: Draft, guest: ObservedGuest, what: str) -> Held:
    node = draft.source.observed.nodes.get(guest.node)
    is_off = node is None or not node.online
    why = f"its node {guest.node} is offline" if is_off else f"{guest.node} did not give it"
    return Held(
        reason=Hold.NODE_OFFLINE if is_off else Hold.CONFIG_UNREAD,
        message=f"the configuration of guest {guest.vmid} could not be read ({why}): {what}",
        remedy=f"bring {guest.node} back"
        if is_off
        else "see that its node answers, and that the token may VM.Audit it",
    )
