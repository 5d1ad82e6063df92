"""Rollback: a trial ends where it was healthy before, or held with a reason, always."""

from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest
import structlog
from hypothesis import given

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import Ending, Finished, Intended
from qlop.model.ids import ServiceName
from qlop.model.trial import Judged, Judgment, Part, is_visible
from qlop.model.verdict import Converged, Held, Hold
from tests import virtual_time
from tests.laws.reach import Reach, reaching
from tests.laws.trials import JUDGED_WELL, RISKY, VM, Case, Drama, Mishap, cases, staged

FRESH_S = 25.0
"""What befell a guest so shortly before a judgment may not have shown yet."""
STEPS_MAX = 12
"""So many changes a guest a revision takes, its undoing and what goes wrong included."""

WEB = ServiceName("web")
TOLD = "its manifest wants no rollback any more"
LOST = "not healthy all the same"

REACH = Reach()


def judgments(drama: Drama) -> list[Judged]:
    return [one for one in drama.new_records() if isinstance(one, Judged)]


def sent(drama: Drama) -> list[str]:
    return [call for _, call in drama.house.sent]


def verdict_of(drama: Drama, index: int) -> object:
    assert drama.house.last is not None
    subjects = {str(one.name): one.verdict for one in drama.house.last.status.subjects}
    return subjects[f"web-{index}"]


def check_end(drama: Drama) -> Iterator[str]:
    """It is at rest, in so many steps, and whoever is not as wanted says why."""
    if not drama.rested:
        yield "it did not come to rest"
    revisions = 2 if drama.case.later is None else 3
    allowed = STEPS_MAX * drama.case.replicas * revisions
    changes = sum(isinstance(one, Intended) for one in drama.new_records())
    if changes > allowed:
        yield f"{changes} actions, more than {allowed}"
    for index in range(1, drama.case.replicas + 1):
        match verdict_of(drama, index):
            case Converged():
                pass
            case Held(message=message, remedy=remedy) if message and remedy:
                pass
            case other:
                yield f"web-{index} is neither as wanted nor held for a reason: {other}"


def check_health(drama: Drama) -> Iterator[str]:
    """Who was judged to be well was, who is restored is as he was, and all others say why."""
    last: dict[int, tuple[float, Judged]] = {}
    for at, judged, well in drama.verdicts:
        last[judged.index] = at, judged
        vmid = drama.vmid(judged.index)
        surprised = any(at - FRESH_S <= when <= at for when, _, _ in drama.blown)
        if judged.judgment in JUDGED_WELL and not well and not surprised and judged.reason != TOLD:
            yield f"web-{judged.index} was judged {judged.judgment.value}, and {vmid} is not well"
    for index, (at, judged) in last.items():
        befallen = any(
            when > at - FRESH_S and who in {drama.vmid(index), 0} for when, who, _ in drama.blown
        )
        if revision(drama) != judged.fingerprint or befallen:
            continue
        verdict = verdict_of(drama, index)
        match judged.judgment:
            case Judgment.BAD if not isinstance(verdict, Held):
                yield f"web-{index} was bad, never undone, and nobody says so"
            case Judgment.LOST if LOST not in getattr(verdict, "message", ""):
                yield f"web-{index} is lost, and nobody says so: {verdict}"
            case Judgment.RESTORED if judged.fingerprint == RISKY:
                yield from check_restored(drama, index)
            case _:
                pass


def check_blame(drama: Drama) -> Iterator[str]:
    """If nothing befell anybody, only what the change made sick is judged bad."""
    case = drama.case
    if case.blows or case.later is not None:
        return
    sick = {index for index, need in enumerate(case.needs, 1) if need == "old"}
    for judged in judgments(drama):
        elsewhere = judged.reason == "its revision turned out bad elsewhere"
        if judged.judgment is Judgment.BAD and judged.index not in sick and not elsewhere:
            yield f"{judged.subject} was judged bad, and is well: {judged.reason}"


def check_restored(drama: Drama, index: int) -> Iterator[str]:
    """A guest whose change was undone is what it was, and does its work."""
    vmid, case = drama.vmid(index), drama.case
    guest = drama.house.cluster.world.guests[vmid]
    key = "memory" if case.kind is VM else "features"
    by_hand = {"640"} if any(what is Mishap.HAND_MEMORY for _, _, what in drama.blown) else set()
    was = {"512"} | by_hand if case.kind is VM else {"nesting=1"}
    if guest.config.get(key) not in was or guest.pending or guest.deletes:
        yield f"web-{index} is restored, and its {key} is {guest.config.get(key)}"
    elif guest.run is None or guest.run.devices.get(key) not in was:
        yield f"web-{index} is restored, and does not run with what it was"
    elif not drama.is_well(vmid):
        yield f"web-{index} is restored, and not well"


def check_disks(drama: Drama) -> Iterator[str]:
    """Disks go back only where the manifest says so, and once for each bad judgment."""
    bad = Counter(one.index for one in judgments(drama) if one.judgment is Judgment.BAD)
    back: Counter[int] = Counter()
    intended = {
        (one.action, one.attempt): one for one in drama.new_records() if isinstance(one, Intended)
    }
    for record in drama.new_records():
        if not isinstance(record, Finished) or record.ending is not Ending.SUCCEEDED:
            continue
        action = intended.get((record.action, record.attempt))
        if action is not None and action.verb is Verb.ROLLBACK:
            back[action.index] += 1
    asked = [call for call in sent(drama) if call.endswith("/rollback")]
    if asked and not drama.case.rollback.disks:
        yield f"{asked} although no manifest says that disks may go back"
    for index, count in back.items():
        if count > bad[index]:
            yield f"web-{index} was rolled back {count} times, and judged bad {bad[index]} times"


def check_snapshots(drama: Drama) -> Iterator[str]:
    """What people made is there; what was made for a trial is not, or somebody needs it."""
    guests = drama.house.cluster.world.guests
    destroyed = {who for _, who, what in drama.blown if what is Mishap.DESTROYED}
    for vmid, name in drama.strange:
        if vmid not in destroyed and name not in guests[vmid].snapshots:
            yield f"snapshot {name} of {vmid}, which a person made, is gone"
        if any(
            call.startswith("DELETE") and f"/{vmid}/snapshot/{name}" in call
            for call in sent(drama)
        ):
            yield f"snapshot {name} of {vmid}, which a person made, was deleted"
    history = fold(drama.house.records)
    for index in range(1, drama.case.replicas + 1):
        vmid, place = drama.vmid(index), (WEB, index)
        left = {
            name
            for name in (guests[vmid].snapshots if vmid in guests else ())
            if name.startswith("qlop-") and (vmid, name) not in drama.strange
        }
        needed = place in history.lost or place in history.trials
        verdict = verdict_of(drama, index)
        cleared = isinstance(verdict, Converged) or (
            isinstance(verdict, Held) and verdict.reason is Hold.REVISION_BAD
        )
        if left and not needed and cleared:
            yield f"{left} of web-{index} is left, and nobody needs it: {verdict}"


def check_bad(drama: Drama) -> Iterator[str]:
    """A revision that turned out bad is not tried again, by no guest of the service."""
    bad: set[str] = set()
    for record in drama.house.records:
        if isinstance(record, Judged) and record.judgment is Judgment.BAD:
            bad.add(record.fingerprint)
        if not isinstance(record, Intended) or record.fingerprint not in bad:
            continue
        tries = is_visible(record.verb, record.impact) and record.part is not Part.UNDO
        if tries or record.verb in {Verb.CREATE, Verb.CLONE}:
            yield f"{record.action} ({record.summary}) brings about {record.fingerprint}, a bad one"


def revision(drama: Drama) -> str:
    return drama.house.desired.services[WEB].fingerprint


def tell(drama: Drama) -> list[str]:
    """How it went, for people who read a failed test."""
    told = [f"{when - drama.began_s:.1f} {who}: {what.name}" for when, who, what in drama.blown]
    for record in drama.new_records():
        at = record.at.timestamp() - drama.began_s
        match record:
            case Intended():
                told.append(f"{at:.1f} {record.summary} ({record.part.value})")
            case Finished() if record.ending is not Ending.SUCCEEDED:
                told.append(f"{at:.1f} {record.action}: {record.ending.value} {record.message}")
            case Judged():
                told.append(f"{at:.1f} {record.subject}: {record.judgment.value} {record.reason}")
            case _:
                pass
    return told + drama.house.left()


def count(drama: Drama) -> None:
    """Note what the law met."""
    judged = {one.judgment for one in judgments(drama)}
    for judgment in Judgment:
        REACH.note(judgment.value, when=judgment in judged)
    REACH.note("disks", when=any(call.endswith("/rollback") for call in sent(drama)))
    REACH.note("killed", when=bool(drama.case.kills) and bool(judged))
    REACH.note("befallen", when=bool(drama.blown) and bool(judged))
    reasons = {
        verdict.reason
        for index in range(1, drama.case.replicas + 1)
        if isinstance(verdict := verdict_of(drama, index), Held)
    }
    for reason in reasons:
        REACH.note(reason.value)


async def _lived(case: Case) -> None:
    drama = staged(case)
    await drama.play()
    house = drama.house
    house.invariants.check_end()
    broken = [*house.invariants.broken, *house.errors]
    for check in (check_end, check_health, check_blame, check_disks, check_snapshots, check_bad):
        broken += check(drama)
    assert not broken, "\n".join([*broken, "", *tell(drama)])
    count(drama)


@pytest.mark.slow  # builds a service and changes it, some dozens of times
@pytest.mark.timeout(300)
@reaching(REACH, bad=3, restored=2, disks=1, befallen=2, killed=1)
@given(cases())
@hypothesis.settings(max_examples=max(50, hypothesis.settings().max_examples // 4))
def test_a_trial_ends_in_health_or_held_with_a_reason(case: Case) -> None:
    REACH.note("drawn")
    with structlog.testing.capture_logs():
        virtual_time.run(_lived(case))
