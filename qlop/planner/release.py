"""Decide who ceases to be ours: on a person's order, by taking the owner mark away."""

from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.owner import OWN_TAG, strip_mark
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import adoption
from qlop.planner.config import change_of
from qlop.planner.draft import Draft
from qlop.planner.ownership import Place
from qlop.planner.step import Step, Steps


def plan_guest(draft: Draft, name: GuestName, place: Place, guest: ObservedGuest) -> bool:
    """Note that a guest of ours is let go of; return whether somebody ordered that."""
    order = draft.orders.releases.get(guest.vmid)
    if order is None or (order.service, order.index) != place:
        return False
    want = draft.source.desired.guests.get(name)
    held = _hold(draft, want, guest)
    step = _unmarking(name, guest, by=order.by)
    steps = Steps(held=held) if held is not None else Steps(steps=(step,))
    draft.decide(name, guest.vmid, place, steps)
    return True


def _hold(draft: Draft, want: DesiredGuest | None, guest: ObservedGuest) -> Held | None:
    node = draft.source.observed.nodes.get(guest.node)
    if node is None or not node.online:
        return Held(
            reason=Hold.NODE_OFFLINE,
            message=f"it is to be released, and its node {guest.node} is offline",
        )
    if guest.lock and guest.power is not Power.SUSPENDED:
        return Held(reason=Hold.LOCKED, message=f"it is to be released, and locked ({guest.lock})")
    task = draft.tasks.get(guest.vmid)
    if task is not None:
        return Held(
            reason=Hold.TASK_RUNNING,
            message=f"it is to be released, and {task.user} runs {task.verb} on it",
            remedy="it is released when that is over",
        )
    if want is not None and want.vmid != guest.vmid:
        return adoption.unfit(
            "it is to be released, but a new one would be made in its place: its manifest is"
            f" there and does not say vmid: {guest.vmid}",
            f"remove its manifest, or write vmid: {guest.vmid} into it",
        )
    return None


def _unmarking(name: GuestName, guest: ObservedGuest, *, by: str) -> Step:
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    have = guest.config.value
    assert have.mark is not None, "ownership is proven by the mark"
    changes = [change_of("owner mark", have.mark.witness, "", Impact.NONE)]
    text = strip_mark(adoption.option_text(have, "description"))
    kept = {"description": text} if text else {}
    deleted: tuple[str, ...] = () if text else ("description",)
    tags = adoption.option_text(have, "tags").split(";")
    if OWN_TAG in tags:
        left = ";".join(tag for tag in tags if tag != OWN_TAG)
        changes.append(change_of("tags", adoption.option_text(have, "tags"), left, Impact.NONE))
        kept |= {"tags": left} if left else {}
        deleted += () if left else ("tags",)
    return adoption.owner_step(
        name,
        guest,
        have,
        written=kept,
        deleted=deleted,
        changes=changes,
        reason=f"{by} ordered to release it",
    )
