"""Hold a journal and its running fold together, so that they can't disagree."""

from qlop.model.folding import Folding
from qlop.model.history import History, JournalRecord
from qlop.ports import Journal


class Ledger:
    """A journal whose fold is always at hand.

    Opening one reads the journal through once; afterwards a record costs one write and
    one step of the fold.
    """

    def __init__(self, journal: Journal) -> None:
        """Fold what ``journal`` holds.

        Raises:
            PortError: if it can't be read.
        """
        self._journal = journal
        self._folding = Folding()
        for record in journal.records():
            self._folding.add(record)

    def append(self, record: JournalRecord) -> None:
        """Write ``record`` durably, then take it into the history.

        Raises:
            PortError: if it could not be written; the history is then what it was.
        """
        self._journal.append(record)
        self._folding.add(record)

    def history(self) -> History:
        """Return what the journal amounts to; the same value until the next record."""
        return self._folding.history()
