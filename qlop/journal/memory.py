"""Keep a journal in memory, for dry runs and for tests of a crash at any record."""

from collections.abc import Iterable, Sequence

from qlop.model.history import JournalRecord


class MemoryJournal:
    """A journal that is gone with the process."""

    def __init__(self, records: Iterable[JournalRecord] = ()) -> None:
        self._records = list(records)

    def append(self, record: JournalRecord) -> None:
        """Take ``record`` in; it never fails."""
        self._records.append(record)

    def records(self) -> Sequence[JournalRecord]:
        """Return every record, oldest first."""
        return tuple(self._records)
