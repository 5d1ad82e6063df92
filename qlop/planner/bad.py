"""Keep a revision that turned out bad from being tried again, by any guest of its service.

It is known by its fingerprint, and stays bad until the manifest is another one. Who runs it
and is well stays as he is; what is missing is not made from it.
"""

from collections.abc import Sequence

from qlop.model.action import CloneGuest, ConfigureGuest, CreateGuest, ResizeDisk, StartGuest
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.ids import ServiceName
from qlop.model.observed import ObservedGuest
from qlop.model.plan import PlannedAction
from qlop.model.trial import Judged, Judgment, Part
from qlop.model.verdict import Held, Hold
from qlop.planner.draft import Draft
from qlop.planner.halfmade import is_unborn
from qlop.planner.rollout import is_visible
from qlop.planner.step import Step, place_of
from qlop.planner.windows import instant_text

REMEDY = "it is not tried again before the manifest is another one"


def is_bad(draft: Draft, service: ServiceName, fingerprint: str) -> bool:
    """Return whether a revision of a service was judged bad."""
    return _judged(draft, service, fingerprint) is not None


def hold(draft: Draft, want: DesiredGuest) -> Held | None:
    """Return why the revision in force is not brought to a guest; None if it may be."""
    service = draft.source.desired.services[want.service]
    judged = _judged(draft, want.service, service.fingerprint)
    if judged is None:
        return None
    lost = place_of(want) in draft.source.history.lost
    rest = "; that was undone, and it is not healthy all the same" if lost else ""
    return Held(
        reason=Hold.REVISION_BAD,
        message=f"{_text(judged)}{rest}",
        remedy=REMEDY + (": look at the guest by hand" if lost else ""),
    )


def birth_hold(draft: Draft, want: DesiredGuest) -> Held | None:
    """Return why no guest is made from the revision in force; None if one may be."""
    held = hold(draft, want)
    if held is None:
        return None
    return Held(
        reason=held.reason,
        message=f"{held.message}; so no guest is made from it",
        remedy="put back the manifest that was good, or write another one: it is made from that",
    )


def without(
    draft: Draft, want: DesiredGuest, steps: Sequence[Step], guest: ObservedGuest, held: Held
) -> tuple[list[Step], Held | None]:
    """Return the steps without those that would bring a bad revision about.

    To a stopped guest everything may be written unnoticed; it would come up with it. One
    that was made from it and never ran is finished, and not started.
    """
    if is_unborn(draft, want, guest):
        kept = [step for step in steps if not isinstance(step.action, StartGuest)]
    elif guest.power is not Power.STOPPED:
        first = next((i for i, step in enumerate(steps) if is_visible(step)), len(steps))
        kept = list(steps[:first])
    else:
        kept = [step for step in steps if not isinstance(step.action, ConfigureGuest | ResizeDisk)]
    return kept, held if len(kept) < len(steps) else None


def spare_others(draft: Draft) -> None:
    """Hold the other guests of a service back whose revision this very plan judges bad.

    What follows from a judgment is for the next plan, in which it stands in the journal;
    but nobody may set out on the same way meanwhile.
    """
    for judged in draft.judgments:
        if judged.judgment is not Judgment.BAD:
            continue
        held = Held(reason=Hold.REVISION_BAD, message=_text(judged), remedy=REMEDY)
        for subject in sorted(draft.actions):
            chain = draft.actions[subject]
            first = next((one for one in chain if _follows(one, judged)), None)
            if first is not None:
                draft.withhold_from(subject, first.id, held)


def _follows(planned: PlannedAction, judged: Judged) -> bool:
    if (planned.service, planned.fingerprint) != (judged.service, judged.fingerprint):
        return False
    if planned.part is Part.UNDO:
        return False
    return is_visible(planned) or isinstance(planned.action, CloneGuest | CreateGuest)


def _judged(draft: Draft, service: ServiceName, fingerprint: str) -> Judged | None:
    known = draft.source.history.bad.get(service, ())
    return next((one for one in known if one.fingerprint == fingerprint), None)


def _text(judged: Judged) -> str:
    return (
        f"this revision ({judged.fingerprint}) made {judged.subject} unhealthy at"
        f" {instant_text(judged.at)}: {judged.reason}"
    )
