"""Trials are folded from what ended and what was judged, from any prefix alike."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import EXPECTS_COMPLETION, EXPECTS_OWNER, Intended, JournalRecord
from qlop.model.ids import ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.trial import BAD_KEPT, Changed, Judgment, Part, Trial
from tests import builders as b
from tests.planner.trio import ended, judged, tried, vmid

PLACE = (ServiceName("web"), 1)
WEB = ServiceName("web")
SNAPSHOT = "qlop-cafe0001"


def test_a_trial_is_what_was_written_snapshotted_and_applied() -> None:
    history = fold(tried())

    assert history.trials == {
        PLACE: Trial(
            fingerprint="cafe0001",
            vmid=vmid(1),
            before={"cores": "2"},
            applied_at=b.NOW,
            snapshot=SNAPSHOT,
        )
    }
    assert history.leftovers == {PLACE: frozenset({SNAPSHOT})}
    assert history.changes == {PLACE: Changed(fingerprint="cafe0001", at=b.NOW)}


def test_one_that_pve_took_and_that_failed_may_have_taken_effect() -> None:
    trial = fold(tried(succeeded=False)).trials[PLACE]

    assert (trial.applied_at, trial.failed) == (b.NOW, True)


def test_one_that_was_never_sent_has_not() -> None:
    *written, intended, _, finished = tried(succeeded=False)

    assert fold([*written, intended, finished]).trials[PLACE].applied_at is None


def test_a_later_write_says_all_that_is_to_be_undone() -> None:
    again = ended(Verb.CONFIGURE, part=Part.WRITE, before={"cores": "2", "memory": "512"})

    assert fold([*tried(), *again]).trials[PLACE].before == {"cores": "2", "memory": "512"}


def test_good_ends_it() -> None:
    history = fold([*tried(), judged(Judgment.GOOD)])

    assert (history.trials, history.bad) == ({}, {})


def test_bad_begins_the_undoing_and_marks_the_revision() -> None:
    history = fold([*tried(), judged(Judgment.BAD)])

    assert history.trials[PLACE].bad == judged(Judgment.BAD)
    assert history.bad == {WEB: (judged(Judgment.BAD),)}


def test_undone_is_when_the_last_of_it_ended() -> None:
    later = b.NOW + timedelta(minutes=1)
    back = ended(Verb.ROLLBACK, part=Part.UNDO, at=b.NOW)
    start = ended(Verb.START, part=Part.UNDO, at=later)

    trial = fold([*tried(), judged(Judgment.BAD), *back, *start]).trials[PLACE]

    assert (trial.undone_at, trial.rolled_back) == (later, True)


def test_restored_and_lost_end_it_and_the_mark_stays() -> None:
    restored = fold([*tried(), judged(Judgment.BAD), judged(Judgment.RESTORED)])
    lost = fold([*tried(), judged(Judgment.BAD), judged(Judgment.LOST)])

    assert (restored.trials, restored.lost, len(restored.bad[WEB])) == ({}, frozenset(), 1)
    assert (lost.trials, lost.lost) == ({}, frozenset({PLACE}))


def test_another_attempt_ends_being_lost() -> None:
    again = ended(Verb.REBOOT, part=Part.APPLY, fingerprint="cafe0002")

    assert fold([*tried(), judged(Judgment.LOST), *again]).lost == frozenset()


def test_a_bad_revision_is_remembered_once_and_only_so_many() -> None:
    many = [judged(Judgment.BAD, fingerprint=f"{n:08x}") for n in (*range(10), 9)]

    kept = [one.fingerprint for one in fold(many).bad[WEB]]

    assert kept == [f"{n:08x}" for n in range(10 - BAD_KEPT, 10)]


def test_a_deleted_snapshot_is_no_leftover() -> None:
    deleted = ended(Verb.DELETE_SNAPSHOT, snapshot=SNAPSHOT)

    assert fold([*tried(), *deleted]).leftovers == {}


def test_a_guest_that_is_destroyed_takes_it_all_along() -> None:
    history = fold([*tried(), judged(Judgment.LOST), *ended(Verb.DESTROY)])

    assert (history.trials, history.changes, history.leftovers, history.lost) == (
        {},
        {},
        {},
        frozenset(),
    )


def made(verb: Verb, number: int, **more: object) -> list[JournalRecord]:
    """Something that was done to a guest of ``web-1``'s place, whatever its VMID is."""
    intended, *rest = ended(verb, **more)  # type: ignore[arg-type]  # of the record
    assert isinstance(intended, Intended)
    return [replace(intended, vmid=VmId(number)), *rest]


ADOPTS = {EXPECTS_OWNER: "ours"}


@pytest.mark.parametrize(
    ("then", "is_known"),
    [
        pytest.param(made(Verb.CLONE, 10001), False, id="made-anew"),
        pytest.param(made(Verb.DESTROY, 10001), False, id="destroyed"),
        pytest.param(made(Verb.CLONE, 10009), True, id="an-heir-beside-it"),
        pytest.param(made(Verb.DESTROY, 10009), True, id="a-former-one-destroyed"),
    ],
)
def test_what_was_tried_with_a_guest_goes_with_it(
    then: list[JournalRecord], *, is_known: bool
) -> None:
    history = fold([*tried(), judged(Judgment.BAD), *then])

    assert (PLACE in history.trials, PLACE in history.leftovers) == (is_known, is_known)
    assert (PLACE in history.changes) is is_known
    assert history.bad[WEB] == (judged(Judgment.BAD),), "the revision stays bad"


@pytest.mark.parametrize("expects", [{EXPECTS_COMPLETION: "heir"}, ADOPTS])
def test_nor_does_it_stay_with_one_that_took_its_place(expects: dict[str, str]) -> None:
    start, *rest = made(Verb.START if EXPECTS_COMPLETION in expects else Verb.CONFIGURE, 10009)
    assert isinstance(start, Intended)

    history = fold([*tried(), replace(start, expects=expects, impact=Impact.NONE), *rest])

    assert (history.trials, history.leftovers) == ({}, {})
