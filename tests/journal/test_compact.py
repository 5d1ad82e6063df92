"""Forgetting old records never changes what the journal amounts to."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from qlop.journal.compact import forgettable
from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import (
    EXPECTS_CLOUD_INIT,
    EXPECTS_SEAL,
    Ending,
    History,
    Intended,
    JournalRecord,
)
from tests.journal.records import (
    START,
    at,
    dispatched,
    finished,
    intended,
    reprieve,
    tombstone,
)

LATER = START + timedelta(days=365)
FINAL = (Ending.SUCCEEDED, Ending.FAILED, Ending.SUPERSEDED)


def kept(records: list[JournalRecord], minute: float) -> list[JournalRecord]:
    gone = forgettable(records, at(minute))
    return [entry for place, entry in enumerate(records) if place not in gone]


def whole(of: Intended, ending: Ending = Ending.SUCCEEDED) -> list[JournalRecord]:
    minute = (of.at - START) / timedelta(minutes=1)
    return [of, dispatched(minute + 0.1, of), finished(minute + 0.2, of, ending)]


def test_what_ended_long_ago_and_left_no_trace_is_forgotten() -> None:
    shutdown, again = intended(0, Verb.SHUTDOWN), intended(1, Verb.SHUTDOWN, attempt=2)

    assert kept([*whole(shutdown), *whole(again)], 5) == []


def test_what_ended_lately_is_kept_for_people_to_read() -> None:
    shutdown, again = intended(0, Verb.SHUTDOWN), intended(9, Verb.SHUTDOWN, attempt=2)

    assert kept([*whole(shutdown), *whole(again)], 5) == whole(again)


def test_the_place_of_a_guest_is_kept_as_long_as_it_exists() -> None:
    create = whole(intended(0, Verb.CREATE))

    assert kept([*create, *whole(intended(1, Verb.SHUTDOWN))], 5) == create


def test_a_row_of_failures_is_kept_whole() -> None:
    failures = [
        entry
        for attempt in range(1, 5)
        for entry in whole(intended(attempt, Verb.MIGRATE, attempt=attempt), Ending.FAILED)
    ]

    assert kept([*whole(intended(0, Verb.MIGRATE, fingerprint="b2")), *failures], 9) == failures


def test_a_failure_outlives_an_attempt_that_was_never_sent() -> None:
    failed = whole(intended(0, Verb.MIGRATE), Ending.FAILED)
    unsent = whole(intended(1, Verb.MIGRATE, attempt=2), Ending.SUPERSEDED)

    assert kept([*failed, *unsent], 5) == failed


def test_what_is_in_flight_is_kept() -> None:
    flying: list[JournalRecord] = [intended(0, Verb.MIGRATE)]

    assert kept(flying, 9) == flying


def test_a_creation_that_broke_off_is_kept_until_one_under_its_vmid_ends_well() -> None:
    broken = whole(intended(0, Verb.CLONE), Ending.FAILED)
    again = whole(intended(1, Verb.CLONE, attempt=2))

    assert fold(kept(broken, 9)).half_made == fold(broken).half_made
    assert list(fold(broken).half_made) == [10001]
    assert kept([*broken, *again], 9) == again


def test_a_tombstone_that_stands_is_kept_and_no_other() -> None:
    records: list[JournalRecord] = [
        tombstone(0), reprieve(1), tombstone(2), tombstone(3, 2), tombstone(4, 3), reprieve(5, 3)
    ]  # fmt: skip

    assert kept(records, 99) == [tombstone(2), tombstone(3, 2)]


def test_the_tombstone_of_a_guest_that_was_destroyed_goes_and_stays_gone() -> None:
    records = [tombstone(0), *whole(intended(1, Verb.DESTROY))]

    assert not any(one in kept(records, 99) for one in records[:1])
    assert fold(kept(records, 99)).tombstones == {}


@st.composite
def lives(draw: st.DrawFn) -> list[JournalRecord]:
    """Draw a journal as an executor writes it: one action per guest at a time."""
    records: list[JournalRecord] = []
    attempts: dict[str, int] = {}
    for minute in range(draw(st.integers(0, 25))):
        index = draw(st.integers(1, 2))
        expects = draw(st.sampled_from([{}, {EXPECTS_SEAL: "1"}, {EXPECTS_CLOUD_INIT: "1"}]))
        bare = intended(
            minute,
            draw(st.sampled_from(Verb)),
            subject=f"simrs-{index}",
            index=index,
            fingerprint=draw(st.sampled_from(["a1", "b2"])),
            expects=expects,
        )
        attempts[bare.action] = attempts.get(bare.action, 0) + 1
        action = replace(bare, attempt=attempts[bare.action])
        records.append(action)
        if draw(st.booleans()):
            records.append(dispatched(minute + 0.1, action))
        if draw(st.booleans()):
            records.append(finished(minute + 0.2, action, Ending.UNKNOWN))
        records.append(finished(minute + 0.3, action, draw(st.sampled_from(FINAL))))
        notice = draw(st.sampled_from([None, None, tombstone, reprieve]))
        if notice is not None:
            records.append(notice(minute + 0.4, draw(st.integers(1, 2))))
    cut = draw(st.integers(0, len(records)))
    return records[:cut]


@given(lives())
def test_the_history_is_the_same_without_what_is_forgotten(records: list[JournalRecord]) -> None:
    before, after = fold(records), fold(kept(records, 1000))

    assert _standing(after) == _standing(before)


def _standing(history: History) -> History:
    """What is left of it for an observation that begins long after."""
    return replace(history, attempts={}, repetitions={}, ended={})


@given(lives(), st.integers(0, 30))
def test_a_journal_stays_small_however_long_it_is_kept(
    records: list[JournalRecord], minute: int
) -> None:
    left = kept(records, minute)
    needless = kept(left, minute)

    assert needless == left
    assert all(entry in left for entry in records if entry.at >= at(minute))
