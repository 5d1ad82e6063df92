"""Try risky changes: snapshot, change, watch, and undo what turns out bad.

A change that takes a guest down is a *trial* if its service says ``rollback: auto``. Right
before it takes effect a snapshot is taken; then the guest is left alone and watched. If
it is healthy to the end of the watch, the change stays. If not, its configuration is set
back (and its disks, where the manifest says so), the revision is marked as bad for the
service, and not tried again before the manifest is another one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from qlop.model.action import (
    ConfigureGuest,
    RebootGuest,
)
from qlop.model.desired import DesiredGuest, DesiredService
from qlop.model.guest import Power
from qlop.model.health import Condition
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.rollout import RollbackMode
from qlop.model.trial import Judged, Judgment, Part, Trial
from qlop.model.verdict import Held, Hold
from qlop.planner import bad, config, earlier, undo, wayback
from qlop.planner.draft import Draft
from qlop.planner.rollout import is_visible
from qlop.planner.step import Step, Steps
from qlop.planner.wellness import wellness_of
from qlop.planner.windows import instant_text

SETTLE = timedelta(seconds=15)
"""So long after a change nothing seen of the guest counts against it: the cluster's
listing is up to ten seconds old."""


def plan_trial(
    draft: Draft, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> Steps | None:
    """Return what a trial under way asks for; None if the guest is planned as ever."""
    trial = draft.trial(want, guest)
    if trial is None:
        return None
    service = draft.source.desired.services[want.service]
    if trial.bad is not None:
        return _undo(draft, want, guest, have, trial)
    if trial.applied_at is None:
        if bad.is_bad(draft, want.service, trial.fingerprint):  # Another guest has shown it.
            judge(draft, want, trial, Judgment.BAD, "its revision turned out bad elsewhere")
            return _held_for("its revision turned out bad; what was written is set back")
        return None
    if service.rollback.mode is RollbackMode.NONE:
        judge(draft, want, trial, Judgment.GOOD, "its manifest wants no rollback any more")
        return None
    if trial.fingerprint != service.fingerprint:
        return None  # Another change is wanted: it goes on from here, and is watched itself.
    if trial.failed and guest.power is Power.RUNNING and config.managed_pending(want, have):
        return None  # It never took effect: it is tried again as any action that failed.
    return _watch(draft, want, trial, service)


def _watch(draft: Draft, want: DesiredGuest, trial: Trial, service: DesiredService) -> Steps:
    assert trial.applied_at is not None
    now, ends = draft.source.now, trial.applied_at + service.rollback.watch
    condition, why = wellness_of(draft, want)
    if now < trial.applied_at + SETTLE:
        draft.wake(trial.applied_at + SETTLE)
    elif condition is Condition.UNHEALTHY:
        judge(draft, want, trial, Judgment.BAD, why)
        return _held_for(f"it is not healthy after its change: {why}; that is undone")
    if now < ends:
        draft.wake(ends)
        return _held_for(f"it was changed, and is watched until {instant_text(ends)}")
    if condition is Condition.UNKNOWN:
        return Steps(
            held=Held(
                reason=Hold.VERIFYING,
                message=f"it was changed, and whether that did harm is not known: {why}",
                remedy="see that qlop can ask it; or say rollback: {mode: none}, which ends"
                " the watch",
            )
        )
    judge(draft, want, trial, Judgment.GOOD, "")
    return _held_for("it was changed, watched, and healthy to the end: the change stays")


def _undo(
    draft: Draft,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    trial: Trial,
) -> Steps:
    """Return what brings back what was; then the judgment on how that went."""
    assert trial.bad is not None
    service = draft.source.desired.services[want.service]
    back = undo.steps_back(want, guest, have, trial, service)
    if back.steps or back.held is not None:
        return back
    began: datetime = trial.undone_at or trial.bad.at
    condition, why = wellness_of(draft, want)
    now = draft.source.now
    if now < began + SETTLE:
        draft.wake(began + SETTLE)
    elif condition is Condition.HEALTHY or want.power is not Power.RUNNING:
        judge(draft, want, trial, Judgment.RESTORED, trial.bad.reason)
        return _held_for("its change was undone, and it is healthy again")
    elif now >= began + service.rollback.watch:
        judge(draft, want, trial, Judgment.LOST, f"{trial.bad.reason}; after that: {why}")
        return _held_for(f"its change was undone, and it is not healthy all the same: {why}")
    draft.wake(began + service.rollback.watch)
    return _held_for(f"its change was undone, and it is watched until it is healthy: {why}")


def judge(draft: Draft, want: DesiredGuest, trial: Trial, judgment: Judgment, reason: str) -> None:
    """Note a judgment, to be written down; what follows from it is for the next plan."""
    draft.judgments.append(
        Judged(
            at=draft.source.now,
            subject=want.name,
            service=want.service,
            index=want.index,
            fingerprint=trial.fingerprint,
            judgment=judgment,
            reason=reason,
        )
    )


def guarded(
    draft: Draft,
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    steps: Sequence[Step],
) -> tuple[list[Step], Held | None]:
    """Return the steps with what makes a risky change a trial, and why some wait."""
    service = draft.source.desired.services[want.service]
    held = bad.hold(draft, want)
    if held is not None:
        return bad.without(draft, want, steps, guest, held)
    if service.rollback.mode is RollbackMode.NONE or guest.power is not Power.RUNNING:
        return list(steps), None
    trial = draft.trial(want, guest)
    condition, why = wellness_of(draft, want)
    is_on = trial is not None and trial.applied_at is not None
    if condition is Condition.UNHEALTHY and not is_on:
        return list(steps), None  # There is no health to be lost: the change may bring it.
    steps = _remembering(steps, have, trial, is_on=is_on)
    risky = next((i for i, step in enumerate(steps) if _is_risky(step)), None)
    if risky is None:
        return _watched(draft, want, steps, trial if is_on else None)
    if condition is Condition.UNKNOWN and not is_on:
        return list(steps[:risky]), _unknown_hold(why)
    prepared = wayback.prepare(draft, want, guest, have, trial if is_on else None)
    if isinstance(prepared, Held):
        return steps[:risky], prepared
    applies = next((i for i, step in enumerate(steps) if _takes_effect(step)), None)
    if applies is None:
        return steps, None  # It is only written now; what makes it count waits for somebody.
    last = replace(steps[applies], part=Part.APPLY)
    return [*steps[:applies], *prepared, last, *steps[applies + 1 :]], None


def _watched(
    draft: Draft, want: DesiredGuest, steps: list[Step], trial: Trial | None
) -> tuple[list[Step], Held | None]:
    """Return the steps, unless a trial goes on whose manifest has become another one.

    If that asks for no other change, the watch goes on to its end.
    """
    service = draft.source.desired.services[want.service]
    if trial is None or trial.fingerprint == service.fingerprint:
        return steps, None
    if any(is_visible(step) for step in steps):
        return steps, None
    return [], _watch(draft, want, trial, service).held


def _is_risky(step: Step) -> bool:
    """Return whether a step makes a guest go down, or will have made it."""
    return is_visible(step) and step.impact >= Impact.REBOOT


def _takes_effect(step: Step) -> bool:
    match step.action:
        case RebootGuest():
            return True
        case ConfigureGuest():
            return step.impact >= Impact.DOWNTIME
        case _:
            return False


def _remembering(
    steps: Sequence[Step], have: GuestConfig, trial: Trial | None, *, is_on: bool
) -> list[Step]:
    """Return the steps, each write with what there was before it.

    What was written before and is still pending did not take effect: what was before
    that is what there is to go back to. So it is with a trial that is on.
    """
    former = {
        key: value
        for key, value in (trial.before if trial is not None else {}).items()
        if is_on or key in have.pending
    }
    found: list[Step] = []
    for step in steps:
        if isinstance(step.action, ConfigureGuest):
            former = dict(earlier.values_before(step.action, have, former))
            found.append(replace(step, before=former, part=Part.WRITE))
        else:
            found.append(step)
    return found


def _held_for(message: str) -> Steps:
    return Steps(
        held=Held(
            reason=Hold.VERIFYING,
            message=message,
            remedy="it goes on by itself; nothing else is done to it until then",
        )
    )


def _unknown_hold(why: str) -> Held:
    return Held(
        reason=Hold.HEALTH_UNKNOWN,
        message=f"how it is is not known, so that nobody could tell what the change did: {why}",
        remedy="see that qlop can ask it, or say rollback: {mode: none}",
    )
