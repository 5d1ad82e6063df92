"""See to what is left of a replacement: the new guest's health, and the former guest.

A guest whose place another one has taken is down and kept, by the rules for guests that are
given up (``orphan``). What is said here comes before that.
"""

from dataclasses import replace

from qlop.model.build import build_text
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Known
from qlop.model.rollout import Order, RollbackMode
from qlop.model.verdict import Held, Hold
from qlop.planner import obstacle, power
from qlop.planner.draft import Draft
from qlop.planner.ownership import mark_of
from qlop.planner.step import Step, Steps, place_of, premise_of
from qlop.planner.wellness import readiness_of


def lost_hold(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> Held | None:
    """Return the hold of a guest that lacks a disk of the one whose place it took."""
    formers = draft.ownership.formers.get(place_of(want), ())
    return obstacle.lost(want, guest, formers[-1]) if formers else None


def booting(draft: Draft, want: DesiredGuest) -> DesiredGuest:
    """Return what is wanted of a guest that was never started: to start with its node again.

    An heir does not, so that no node that boots starts it beside the guest in charge. Where
    its manifest says nothing it then does what the one did whose place it took.
    """
    formers = draft.ownership.formers.get(place_of(want), ())
    if not formers or "onboot" in want.options or not mark_of(formers[-1]).boots:
        return want
    return replace(want, options={**want.options, "onboot": "1"})


def after(draft: Draft, want: DesiredGuest, wanted: Steps) -> Steps:
    """Return what a guest needs; a hold if it took another's place, and is not healthy."""
    formers = draft.ownership.formers.get(place_of(want), ())
    if not formers or wanted.steps or wanted.held is not None or want.power is not Power.RUNNING:
        return wanted
    condition, why = readiness_of(draft, want)
    if condition is not Condition.UNHEALTHY:
        return wanted
    old = formers[-1]
    doing = "still runs" if old.power is Power.RUNNING else "is kept, stopped"
    handed = ", ".join(mark_of(old).carries)
    rest = f"; {handed} of it is here now" if handed else ""
    built = build_text(mark_of(old).build)
    mode = draft.source.desired.services[want.service].rollback.mode
    not_undone = "; rollback: auto does not undo it" if mode is RollbackMode.AUTO else ""
    held = Held(
        reason=Hold.REPLACEMENT,
        message=f"it took the place of {old.vmid}, and is not healthy: {why}; {old.vmid}"
        f" {doing}{rest}{not_undone}",
        remedy=f"mend it, or put the manifest back: another one is then built from {built}"
        " in its place, with the persistent disks",
    )
    return replace(wanted, held=held)


def text(draft: Draft, guest: ObservedGuest) -> str:
    """Return why a guest is no longer wanted although a manifest names its place."""
    mark = mark_of(guest)
    newer = draft.ownership.owned[mark.service, mark.index]
    return f"{newer.vmid} has taken its place"


def ending(
    draft: Draft, name: GuestName, want: DesiredGuest, guest: ObservedGuest
) -> Steps | None:
    """Return the shutdown of a former guest that runs, or why it is kept; None if it may go.

    Start-first it serves until the one that took its place is healthy. Stop-first somebody
    started it: two would have its addresses.
    """
    condition, why = readiness_of(draft, want)
    order = draft.source.desired.services[want.service].update.order
    newer = text(draft, guest)
    if guest.power is Power.STOPPED:
        lost = obstacle.lost(want, draft.ownership.owned[place_of(want)], guest)
        if lost is not None:
            return Steps(held=lost)
        if want.power is not Power.RUNNING or condition is Condition.HEALTHY:
            return None
        message = f"{newer}; it is kept as long as that is not healthy: {why}"
        remedy = f"see `qlop explain {want.name}`"
        return Steps(held=Held(reason=Hold.REPLACEMENT, message=message, remedy=remedy))
    if guest.power is not Power.RUNNING:
        return Steps(
            held=Held(
                reason=Hold.POWER_UNKNOWN,
                message=f"{newer}, and it is {guest.power.value}",
                remedy="see to it by hand, or wait for its node's statistics",
            )
        )
    if order is Order.START_FIRST and condition is not Condition.HEALTHY:
        return Steps(
            held=Held(
                reason=Hold.REPLACEMENT,
                message=f"{newer}; it serves on until that is healthy: {why}",
                remedy=f"see `qlop explain {want.name}`",
            )
        )
    assert isinstance(guest.config, Known), "ownership is proven by the configuration"
    step = Step(
        action=power.shutdown(name, guest, want.shutdown_timeout, force_stop=want.may_stop),
        reason=newer,
        impact=Impact.DOWNTIME,
        premise=premise_of(guest.config.value, Power.RUNNING),
        takes=(f"node:{guest.node}",),
    )
    return Steps(steps=(step,))
