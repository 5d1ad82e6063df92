"""Let a change go through the guests of a service step by step.

A step is some guests, by their numbers: first the canaries, then batch after batch. It
begins when every guest of the steps before is as wanted and healthy. All of that is seen,
not remembered; the journal only says when a canary was done, and when a step last got on.

A guest that is down already may be changed out of its turn, one at a time: the change may
be its cure, and nobody would gain by its waiting.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from qlop.model.action import (
    ConfigureGuest,
    RebootGuest,
    RegenerateCloudInit,
    ReplaceGuest,
    ResizeDisk,
)
from qlop.model.desired import DesiredGuest, DesiredService
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.plan import PlannedAction
from qlop.model.trial import Part
from qlop.model.verdict import Act, Converged, Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.step import Step, place_of
from qlop.planner.wellness import is_down, readiness_of
from qlop.planner.windows import instant_text

_PATIENT = frozenset({Hold.WINDOW, Hold.APPROVAL, Hold.SUSPENDED, Hold.FROZEN, Hold.FUSE})
"""Waiting for these is no stall: people have said when it goes on, or will."""


_VISIBLE = ConfigureGuest | ResizeDisk | RegenerateCloudInit | RebootGuest | ReplaceGuest


def is_visible(one: Step | PlannedAction) -> bool:
    """Return whether an action brings a change that somebody may notice.

    Starting what is stopped is none, nor is moving, nor is bringing back what was; the
    snapshot before a change goes with it.
    """
    if one.part is Part.UNDO or one.impact < Impact.HOT:
        return False
    return isinstance(one.action, _VISIBLE)


def keep_order(draft: Draft) -> None:
    """Hold back the changes of guests whose step has not come."""
    changing = {
        subject: first
        for subject, chain in draft.actions.items()
        if (first := next((one for one in chain if is_visible(one)), None)) is not None
    }
    concerned = {planned.service for planned in changing.values()}
    for name in sorted(concerned & set(draft.source.desired.services)):
        _keep_service(draft, draft.source.desired.services[name], changing)


def not_done(draft: Draft, want: DesiredGuest) -> str:
    """Return why a guest is not as wanted and healthy; empty if it is."""
    verdict = draft.verdicts[want.name].verdict
    match verdict:
        case Held(message=message):
            return message
        case Act(held=held):
            chain = draft.actions[want.name]
            if held is not None:
                return held.message
            if any(planned.impact > Impact.NONE for planned in chain):
                return "it is being changed"
        case Converged():
            pass
    if want.power is not Power.RUNNING:
        return ""
    condition, message = readiness_of(draft, want)
    return "" if condition is Condition.HEALTHY else message


def _keep_service(
    draft: Draft, service: DesiredService, changing: dict[GuestName, PlannedAction]
) -> None:
    steps = [step for step in _steps(draft, service) if step]
    if len(steps) < 2:
        return
    for number, step in enumerate(steps[:-1]):
        waiting = {want.name: why for want in step if (why := not_done(draft, want))}
        held = _waits_for(draft, service, step, waiting) if waiting else None
        if held is None and number == 0:
            held = _pause(draft, service, step)
        if held is not None:
            later = [want for rest in steps[number + 1 :] for want in rest]
            _hold(draft, later, changing, held)
            return


def _steps(draft: Draft, service: DesiredService) -> Iterator[Sequence[DesiredGuest]]:
    wants = sorted(
        (draft.source.desired.guests[name] for name in service.guests), key=lambda one: one.index
    )
    canaries, size = service.update.canary, service.update.batch_size
    yield wants[:canaries]
    for first in range(canaries, len(wants), size):
        yield wants[first : first + size]


def _hold(
    draft: Draft,
    later: Sequence[DesiredGuest],
    changing: dict[GuestName, PlannedAction],
    held: Held,
) -> None:
    """Hold back all of ``later`` but the first that is down anyway."""
    busy = any(place_of(want) in draft.flying for want in later)
    for want in later:
        first = changing.get(want.name)
        if first is None:
            continue
        if not busy and want.power is Power.RUNNING and is_down(draft, want):
            busy = True
            continue
        draft.withhold_from(want.name, first.id, held)


def _waits_for(
    draft: Draft,
    service: DesiredService,
    step: Sequence[DesiredGuest],
    waiting: dict[GuestName, str],
) -> Held:
    name, why = next(iter(waiting.items()))
    others = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    base = _last_progress(draft, service)
    if base is not None and not _is_patient(draft, step):
        deadline = base + service.update.progress_deadline
        if draft.source.now >= deadline:
            return Held(
                reason=Hold.ROLLOUT_STALLED,
                message=f"the rollout stands still since {instant_text(base)}: {name}{others}"
                f" is not as wanted and healthy: {why}",
                remedy=f"see `qlop explain {name}`; it goes on when {name} is well, or with"
                " another manifest",
            )
        draft.wake(deadline)
    return Held(
        reason=Hold.ROLLOUT,
        message=f"its turn comes when {name}{others} is as wanted and healthy: {why}",
        remedy=f"it goes on by itself then; see `qlop explain {name}`",
    )


def _pause(draft: Draft, service: DesiredService, step: Sequence[DesiredGuest]) -> Held | None:
    """Return the pause after the canaries, if it is not over."""
    if not service.update.canary or not service.update.pause_after_canary:
        return None
    changes = draft.source.history.changes
    done = [
        changed.at
        for want in step
        if (changed := changes.get(place_of(want))) is not None
        and changed.fingerprint == service.fingerprint
    ]
    if not done:
        return None
    until = max(done) + service.update.pause_after_canary
    if draft.source.now >= until:
        return None
    draft.wake(until)
    names = ", ".join(want.name for want in step)
    return Held(
        reason=Hold.ROLLOUT,
        message=f"{names} went first, and is looked at until {instant_text(until)}",
        remedy="it goes on then, if that is well",
    )


def _last_progress(draft: Draft, service: DesiredService) -> datetime | None:
    """Return when the present revision last changed a guest; None if it never did."""
    places = {place_of(draft.source.desired.guests[name]) for name in service.guests}
    return max(
        (
            changed.at
            for place, changed in draft.source.history.changes.items()
            if place in places and changed.fingerprint == service.fingerprint
        ),
        default=None,
    )


def _is_patient(draft: Draft, step: Sequence[DesiredGuest]) -> bool:
    """Return whether a guest of the step waits for what people decide."""
    for want in step:
        verdict = draft.verdicts[want.name].verdict
        held = verdict if isinstance(verdict, Held) else getattr(verdict, "held", None)
        if held is not None and held.reason in _PATIENT:
            return True
    return False
