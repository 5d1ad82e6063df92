"""What ended after the look began counts as in flight for that look."""

from datetime import datetime, timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import LONGEST_LOOK, JournalRecord
from qlop.model.unseen import as_seen
from tests import builders as b

SOON = b.NOW + timedelta(seconds=1)
LONG_AGO = b.NOW - LONGEST_LOOK - timedelta(seconds=1)


def life(service: str, at: datetime, *, succeeded: bool = True) -> list[JournalRecord]:
    begun = b.intended(Verb.START, service=service, at=at)
    return [begun, b.finished(Verb.START, service=service, at=at, succeeded=succeeded)]


@pytest.mark.parametrize(
    ("records", "flying"),
    [
        pytest.param([], {}, id="nothing-ever-happened"),
        pytest.param(life("web", b.NOW), {}, id="it-ended-when-the-look-began"),
        pytest.param(life("web", SOON), {"web": SOON}, id="it-ended-during-the-look"),
        pytest.param(
            life("web", SOON, succeeded=False), {"web": SOON}, id="so-it-is-with-a-failure"
        ),
        pytest.param(
            [*life("web", SOON), *life("db", b.NOW)], {"web": SOON}, id="others-are-judged"
        ),
        pytest.param(
            [*life("web", SOON), b.intended(Verb.SHUTDOWN, at=SOON)],
            {"web": None},
            id="what-really-is-in-flight-comes-first",
        ),
        pytest.param(
            life("web", b.NOW + LONGEST_LOOK + timedelta(seconds=1)),
            {},
            id="no-look-lasts-so-long-the-clock-was-set-back",
        ),
    ],
)
def test_in_flight(records: list[JournalRecord], flying: dict[str, datetime | None]) -> None:
    seen = as_seen(fold(records), b.NOW)

    assert {name: one.ended_at for name, one in seen.inflight.items()} == flying


def test_a_history_that_is_older_than_the_look_is_the_same_value() -> None:
    history = fold(life("web", b.NOW))

    assert as_seen(history, b.NOW) is history


def test_ends_are_forgotten_when_no_look_can_be_so_old() -> None:
    history = fold([*life("web", LONG_AGO), *life("db", b.NOW)])

    assert list(history.ended) == ["db"]
