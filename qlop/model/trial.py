"""Remember risky changes until they are judged: what was, what was tried, how it went.

A *trial* is a change that takes a guest down, of a service that wants such changes undone
if they turn out bad. It begins with the writing, and ends with a judgment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import TypedDict

from qlop.model.action import Verb
from qlop.model.ids import GuestName, ServiceName, VmId
from qlop.model.impact import Impact

Place = tuple[ServiceName, int]
"""A service and the index of one of its guests."""

BAD_KEPT = 8
"""So many bad revisions are remembered of each service."""

_VISIBLE = frozenset({Verb.CONFIGURE, Verb.RESIZE, Verb.REGENERATE, Verb.REBOOT, Verb.REPLACE})
"""What brings a change to a guest; starting what is stopped is none, nor is moving."""


def is_visible(verb: Verb, impact: Impact) -> bool:
    """Return whether an action brings a change that somebody may notice."""
    return verb in _VISIBLE and impact >= Impact.HOT


class Part(Enum):
    """What part an action has in a trial."""

    NONE = "none"
    WRITE = "write"
    """It writes what will take effect later."""
    SNAPSHOT = "snapshot"
    """It takes the snapshot to go back to."""
    APPLY = "apply"
    """With it the change takes effect."""
    UNDO = "undo"
    """It brings back what was."""


class Judgment(Enum):
    """What became of a trial, step by step."""

    GOOD = "good"
    """The guest was healthy to the end of the watch: the change stays."""
    BAD = "bad"
    """It was not: the change is undone, and its revision not tried again."""
    RESTORED = "restored"
    """What was is back, and the guest healthy."""
    LOST = "lost"
    """What was is back, and the guest is not healthy all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A trial was judged. ``fingerprint`` is that of the revision it was of."""

    at: datetime
    subject: GuestName
    service: ServiceName
    index: int
    fingerprint: str
    judgment: Judgment
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """When a guest was last changed so that somebody might notice, and to which revision."""

    fingerprint: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A risky change of one guest that was not judged good yet.

    ``before`` is what its options were, as PVE takes them (empty: not set). ``applied_at``
    is when it took effect, None while it is only written; ``failed`` if the action that
    applied it failed. ``snapshot`` is the one taken before that, empty if there is none.
    ``bad`` is the judgment that began the undoing; ``undone_at`` when an action of that
    last ended, and ``rolled_back`` whether the snapshot is back. ``vmid`` is that of the
    guest: another one that takes its place was never tried (None: not known).
    """

    fingerprint: str
    vmid: VmId | None = None
    before: Mapping[str, str] = field(default_factory=dict)
    applied_at: datetime | None = None
    failed: bool = False
    snapshot: str = ""
    bad: Judged | None = None
    undone_at: datetime | None = None
    rolled_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What of an action that ended matters here. ``took_effect``: PVE had taken it."""

    at: datetime
    place: Place
    vmid: VmId
    verb: Verb
    impact: Impact
    part: Part
    fingerprint: str
    before: Mapping[str, str]
    snapshot: str
    succeeded: bool
    took_effect: bool
    completes: bool = False
    """With it a replacement is complete."""
    begins: bool = False
    """With it the guest came into being, or became ours."""


class Folded(TypedDict):
    """What the records of trials amount to: fields of ``History``."""

    changes: Mapping[Place, Changed]
    trials: Mapping[Place, Trial]
    bad: Mapping[ServiceName, tuple[Judged, ...]]
    lost: frozenset[Place]
    leftovers: Mapping[Place, frozenset[str]]


class Trials:
    """The fold of what ended and what was judged, kept open."""

    def __init__(self) -> None:
        self._changes: dict[Place, Changed] = {}
        self._trials: dict[Place, Trial] = {}
        self._bad: dict[ServiceName, tuple[Judged, ...]] = {}
        self._lost: set[Place] = set()
        self._vmids: dict[Place, VmId] = {}
        """Of which guest of a place all this is."""
        self._leftovers: dict[Place, frozenset[str]] = {}

    def folded(self) -> Folded:
        """Return what it amounts to so far."""
        return Folded(
            changes=dict(self._changes),
            trials=dict(self._trials),
            bad=dict(self._bad),
            lost=frozenset(self._lost),
            leftovers=dict(self._leftovers),
        )

    def judge(self, judged: Judged) -> None:
        """Take a judgment in."""
        place = (judged.service, judged.index)
        trial = self._trials.get(place)
        if judged.judgment is Judgment.BAD:
            self._trials[place] = replace(
                trial or Trial(fingerprint=judged.fingerprint), bad=judged, undone_at=None
            )
            known = [
                one
                for one in self._bad.get(judged.service, ())
                if one.fingerprint != judged.fingerprint
            ]
            self._bad[judged.service] = (*known, judged)[-BAD_KEPT:]
            return
        self._trials.pop(place, None)
        if judged.judgment is Judgment.LOST:
            self._lost.add(place)
        else:
            self._lost.discard(place)

    def end(self, attempt: Attempt) -> None:
        """Take in that an action ended, well or not."""
        if attempt.succeeded:
            self._note(attempt)
        place = attempt.place
        trial = self._trials.get(place)
        match attempt.part:
            case Part.NONE:
                pass
            case Part.WRITE if attempt.succeeded:
                self._trials[place] = _written(trial, attempt)
            case Part.SNAPSHOT if attempt.succeeded:
                self._trials[place] = replace(_known(trial, attempt), snapshot=attempt.snapshot)
            case Part.APPLY if attempt.succeeded or attempt.took_effect:
                self._lost.discard(place)
                written = _written(trial, attempt) if attempt.before else _known(trial, attempt)
                self._trials[place] = replace(
                    written,
                    fingerprint=attempt.fingerprint,
                    applied_at=attempt.at,
                    failed=not attempt.succeeded,
                )
            case Part.UNDO if trial is not None and attempt.succeeded:
                back = trial.rolled_back or attempt.verb is Verb.ROLLBACK
                self._trials[place] = replace(trial, undone_at=attempt.at, rolled_back=back)
            case _:
                pass

    def _note(self, attempt: Attempt) -> None:
        self._forget_former(attempt)
        place, left = attempt.place, self._leftovers.get(attempt.place, frozenset())
        if attempt.part is Part.SNAPSHOT:
            self._leftovers[place] = left | {attempt.snapshot}
        if attempt.verb is Verb.DELETE_SNAPSHOT and attempt.snapshot in left:
            rest = left - {attempt.snapshot}
            if rest:
                self._leftovers[place] = rest
            else:
                del self._leftovers[place]
        visible = is_visible(attempt.verb, attempt.impact) or attempt.completes
        if visible:
            self._changes[place] = Changed(fingerprint=attempt.fingerprint, at=attempt.at)
        if visible or attempt.part is not Part.NONE:
            self._vmids[place] = attempt.vmid

    def _forget_former(self, attempt: Attempt) -> None:
        """Forget what was tried with a guest that is gone, or in whose place is another now.

        One that is made beside the guest in charge, or was in charge before, is not meant.
        """
        place = attempt.place
        is_meant = self._vmids.get(place, attempt.vmid) == attempt.vmid
        gone = attempt.begins or attempt.verb is Verb.DESTROY
        if gone and (is_meant or attempt.verb is Verb.CONFIGURE):
            self._changes.pop(place, None)
        elif not attempt.completes:
            return
        self._trials.pop(place, None)
        self._leftovers.pop(place, None)
        self._lost.discard(place)


def _known(trial: Trial | None, attempt: Attempt) -> Trial:
    """Return the trial that goes on, or a new one if that was of another guest."""
    if trial is not None and trial.vmid in {None, attempt.vmid}:
        return replace(trial, vmid=attempt.vmid)
    return Trial(fingerprint=attempt.fingerprint, vmid=attempt.vmid)


def _written(trial: Trial | None, attempt: Attempt) -> Trial:
    """Return the trial after a write, which says all that is to be undone with it."""
    return replace(
        _known(trial, attempt), fingerprint=attempt.fingerprint, before=dict(attempt.before)
    )
