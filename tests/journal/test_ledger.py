"""The ledger's history is the fold of its journal, whatever happens while writing."""

from collections.abc import Sequence

import pytest

from qlop.journal.ledger import Ledger
from qlop.journal.memory import MemoryJournal
from qlop.model.folding import fold
from qlop.model.history import JournalRecord
from qlop.ports import ErrorKind, PortError
from tests.journal.records import dispatched, finished, intended

RECORDS = (START := intended(0), dispatched(1, START), finished(2, START))


class FullDisk:
    """A journal with no room."""

    def append(self, _record: JournalRecord) -> None:
        raise PortError(ErrorKind.TRANSIENT, "database or disk is full")

    def records(self) -> Sequence[JournalRecord]:
        return RECORDS[:1]


@pytest.mark.parametrize("length", range(len(RECORDS) + 1))
def test_opening_a_journal_gives_its_fold(length: int) -> None:
    ledger = Ledger(MemoryJournal(RECORDS[:length]))

    assert ledger.history() == fold(RECORDS[:length])


def test_appending_writes_and_folds() -> None:
    journal = MemoryJournal()
    ledger = Ledger(journal)

    for entry in RECORDS:
        ledger.append(entry)

    assert (journal.records(), ledger.history()) == (RECORDS, fold(RECORDS))


def test_what_was_not_written_is_not_remembered() -> None:
    ledger = Ledger(FullDisk())

    with pytest.raises(PortError):
        ledger.append(RECORDS[1])

    assert ledger.history() == fold(RECORDS[:1])
