"""The journal file survives what happens to files, and is never made worse."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from qlop.journal import sqlite
from qlop.journal.sqlite import SqliteJournal
from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import Intended, JournalRecord
from qlop.ports import ErrorKind, PortError
from tests.journal.records import START, dispatched, finished, intended

FIRST = intended(0, Verb.CLONE)
RECORDS: list[JournalRecord] = [FIRST, dispatched(1, FIRST), finished(2, FIRST)]


@pytest.fixture(name="path")
def journal_path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture(name="journal")
def open_journal(path: Path) -> Iterator[SqliteJournal]:
    with closing(SqliteJournal(path)) as journal:
        yield journal


def filled(path: Path, records: list[JournalRecord] | None = None) -> Path:
    with closing(SqliteJournal(path)) as journal:
        for entry in RECORDS if records is None else records:
            journal.append(entry)
    return path


def test_records_are_there_after_reopening(path: Path) -> None:
    filled(path)

    with closing(SqliteJournal(path)) as journal:
        assert journal.records() == RECORDS


def test_a_reader_sees_what_the_daemon_has_written_so_far(
    path: Path, journal: SqliteJournal
) -> None:
    journal.append(RECORDS[0])
    before = sqlite.read(path)
    journal.append(RECORDS[1])

    assert (before, sqlite.read(path)) == (RECORDS[:1], RECORDS[:2])


def test_reading_is_possible_when_no_daemon_runs(path: Path) -> None:
    assert sqlite.read(filled(path)) == RECORDS


NOBODY = 65534


@contextmanager
def readable_by_all() -> Iterator[Path]:
    """Give a directory in which everybody may read and only its owner write."""
    with TemporaryDirectory() as directory:
        where = Path(directory)
        try:
            yield where
        finally:
            where.chmod(0o700)


@contextmanager
def without_the_right_to_write(where: Path) -> Iterator[None]:
    where.chmod(0o555)
    former = os.geteuid()
    if former == 0:
        os.seteuid(NOBODY)  # Root may write everywhere.
    try:
        yield
    finally:
        os.seteuid(former)


def test_reading_needs_no_right_to_write() -> None:
    with readable_by_all() as where:
        path = filled(where / "journal.db")
        with without_the_right_to_write(where):
            records = sqlite.read(path)

    assert records == RECORDS


def test_reading_a_journal_that_is_not_there_says_so(path: Path) -> None:
    with pytest.raises(PortError, match="there is no journal") as refusal:
        sqlite.read(path)

    assert refusal.value.kind is ErrorKind.NOT_FOUND
    assert not path.exists()


@pytest.mark.usefixtures("journal")
def test_a_second_writer_is_refused_and_told_who_the_first_is(path: Path) -> None:
    with pytest.raises(PortError, match=f"in use by process {os.getpid()};") as refusal:
        SqliteJournal(path)

    assert refusal.value.kind is ErrorKind.CONFLICT


def torn_page(content: bytes) -> bytes:
    return content[:4096] + b"\xff" * 4096 + content[8192:]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        pytest.param(lambda _: b"", "it is empty", id="emptied"),
        pytest.param(lambda old: old[:6000], "malformed|damaged", id="cut-short"),
        pytest.param(torn_page, "malformed|damaged", id="torn-page"),
        pytest.param(lambda _: b"kind: Service\n" * 99, "not a database", id="another-file"),
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(
    path: Path, damage: Callable[[bytes], bytes], complaint: str
) -> None:
    damaged = damage(filled(path, RECORDS * 20).read_bytes())
    path.write_bytes(damaged)

    with pytest.raises(PortError, match=complaint) as refusal:
        SqliteJournal(path)

    assert refusal.value.kind is ErrorKind.INVALID
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("PRAGMA user_version = 2", "schema version is 2, this qlop reads up to 1"),
        ("PRAGMA application_id = 1", "no journal of qlop"),
        ("INSERT INTO record (body) VALUES ('{\"format\":9}')", "record 4: format 9 is newer"),
    ],
)
def test_a_file_of_another_program_or_a_later_qlop_is_refused(
    path: Path, statement: str, complaint: str
) -> None:
    with closing(sqlite3.connect(filled(path))) as other:
        other.execute(statement)
        other.commit()

    with (
        pytest.raises(PortError, match=complaint) as refusal,
        closing(SqliteJournal(path)) as journal,
    ):
        journal.records()

    assert refusal.value.kind is ErrorKind.INVALID


def append_until_refused(journal: SqliteJournal, written: list[JournalRecord]) -> None:
    while len(written) < 100:
        journal.append(FIRST)
        written.append(FIRST)


def test_a_full_disk_is_named_and_passes_when_there_is_room_again(
    path: Path, journal: SqliteJournal
) -> None:
    connection = journal._connection  # noqa: SLF001 - SQLite's own way to simulate a full disk
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    written: list[JournalRecord] = []
    with pytest.raises(PortError, match=f"{path}: .*full; nothing is sent") as refusal:
        append_until_refused(journal, written)
    while_full = journal.records()
    connection.execute("PRAGMA max_page_count = 1000000")
    journal.append(FIRST)

    assert refusal.value.kind is ErrorKind.TRANSIENT
    assert (while_full, journal.records()) == (written, [*written, FIRST])


def test_forgetting_keeps_what_counts(path: Path, journal: SqliteJournal) -> None:
    for entry in RECORDS:
        journal.append(entry)
    for attempt in range(1, 101):
        shutdown = intended(attempt, Verb.SHUTDOWN, attempt=attempt)
        journal.append(shutdown)
        journal.append(finished(attempt, shutdown))
    before = fold(journal.records())

    forgotten = journal.forget(START + timedelta(days=1))

    assert (forgotten, journal.records()) == (200, RECORDS)
    assert fold(sqlite.read(path)).reservations == before.reservations


def test_a_few_old_records_are_not_worth_a_rewrite(journal: SqliteJournal) -> None:
    shutdown = intended(0, Verb.SHUTDOWN)
    journal.append(shutdown)
    journal.append(finished(1, shutdown))

    assert journal.forget(START + timedelta(days=1)) == 0


WRITER = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from qlop.journal.sqlite import SqliteJournal
from tests.journal.records import intended
journal = SqliteJournal(Path(sys.argv[1]))
for number in range(10**6):
    journal.append(intended(0, attempt=number))
    print(number, flush=True)
"""


@pytest.mark.slow  # starts an interpreter, to kill it
def test_what_was_appended_survives_a_kill(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        said += [int(line) for line in writer.stdout.read().split()]
        writer.wait()

    with closing(SqliteJournal(path)) as journal:
        attempts = [entry.attempt for entry in journal.records() if isinstance(entry, Intended)]

    assert attempts[: said[-1] + 1] == list(range(said[-1] + 1))
    assert len(attempts) <= said[-1] + 2
