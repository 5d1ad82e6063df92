"""Keep the journal in one SQLite file.

WAL with ``synchronous=FULL``: a record is on the disk when ``append`` returns, and the
command line can read while the daemon writes. A file that is damaged, or newer than this
qlop, is refused and left exactly as it is.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO

from qlop.journal import compact, record
from qlop.model.history import JournalRecord
from qlop.ports import ErrorKind, PortError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x716C6F70
"""``qlop`` in ASCII, in the header of the file: what tells our files from others."""

BUSY_TIMEOUT_S = 5.0
"""How long to wait for a reader that checkpoints; nobody else writes."""

COMPACT_AT_LEAST = 200
"""Fewer forgettable records than this are not worth a rewrite."""

_SCHEMA = f"""
    CREATE TABLE record (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {SCHEMA_VERSION};
"""


class SqliteJournal:
    """The daemon's journal: one writer, any number of readers.

    It holds an open file and a lock until ``close``.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal at ``path``, or begin one where there is no file.

        Raises:
            PortError: ``CONFLICT`` if another qlop has it open for writing, ``INVALID``
                if the file is damaged, foreign or newer, ``DENIED`` if it may not be
                written, ``TRANSIENT`` if the disk is full.
        """
        self._path = path
        with contextlib.ExitStack() as undo, _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = undo.enter_context(_locked(path))
            if not path.exists():
                _begin(path)
            # Without the right to write, so that what is refused stays as it is: even
            # closing a writer would move the write-ahead log into a damaged file.
            with contextlib.closing(_open_read_only(path)) as reader:
                _check(reader, path)
            connection = undo.enter_context(
                contextlib.closing(
                    sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
                )
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._connection = connection
            self._lock = lock
            self._undo = undo.pop_all()

    def append(self, entry: JournalRecord) -> None:
        """Write ``entry`` durably.

        Raises:
            PortError: ``TRANSIENT`` if it could not be written.
        """
        body = record.encode(entry)
        with _explained(self._path):
            self._connection.execute("INSERT INTO record (body) VALUES (?)", (body,))

    def records(self) -> Sequence[JournalRecord]:
        """Return every record that was not forgotten, oldest first.

        Raises:
            PortError: ``INVALID`` if one can't be read.
        """
        return [entry for _, entry in _read(self._connection, self._path)]

    def forget(self, keep_after: datetime) -> int:
        """Drop what ended before ``keep_after`` and no longer matters; return how many.

        Raises:
            PortError: ``TRANSIENT`` if the disk is too full even for that.
        """
        numbered = _read(self._connection, self._path)
        gone = compact.forgettable([entry for _, entry in numbered], keep_after)
        if len(gone) < COMPACT_AT_LEAST:
            return 0
        with _explained(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "DELETE FROM record WHERE number = ?", [(numbered[place][0],) for place in gone]
            )
        with _explained(self._path):
            self._connection.execute("VACUUM")
        return len(gone)

    def close(self) -> None:
        """Let go of the file and the lock. What was appended is safe without it."""
        self._undo.close()


def read(path: Path) -> Sequence[JournalRecord]:
    """Return the records of the journal at ``path`` without writing a byte.

    It works while a daemon writes, and also where the caller may only read the file.

    Raises:
        PortError: ``NOT_FOUND`` if there is no journal, ``INVALID`` if it is damaged,
            foreign or newer, ``DENIED`` if it may not be read.
    """
    if not path.exists():
        raise PortError(
            ErrorKind.NOT_FOUND, f"{path}: there is no journal; nothing was ever done from here"
        )
    with _explained(path), contextlib.closing(_open_read_only(path)) as connection:
        _check(connection, path)
        return [entry for _, entry in _read(connection, path)]


def _open_read_only(path: Path) -> sqlite3.Connection:
    """Open ``path`` for reading.

    Without the right to create the ``-shm`` file beside it, SQLite reads a WAL database
    only if told that nobody writes; no ``-wal`` file means just that.
    """
    where = path.absolute().as_uri()
    connection = sqlite3.connect(f"{where}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        return sqlite3.connect(f"{where}?mode=ro&immutable=1", uri=True)
    return connection


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Hold the lock file beside ``path``: SQLite's own locks are not held between writes."""
    with path.with_name(path.name + ".lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read(20).strip() or "another process"
            raise PortError(
                ErrorKind.CONFLICT,
                f"{path}: the journal is in use by process {owner}; "
                "only one qlop may act on a cluster",
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock


def _begin(path: Path) -> None:
    """Make an empty journal aside and move it into place, so that none is ever half made."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not a sound journal of a known version. Reads only."""
    if path.stat().st_size == 0:
        raise _refused(path, "it is empty, and no qlop leaves it so")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise _refused(path, "it is an SQLite file, but no journal of qlop")
    if version > SCHEMA_VERSION:
        raise _refused(
            path, f"its schema version is {version}, this qlop reads up to {SCHEMA_VERSION}"
        )
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise _refused(path, f"it is damaged: {verdict}")


def _read(connection: sqlite3.Connection, path: Path) -> list[tuple[int, JournalRecord]]:
    found: list[tuple[int, JournalRecord]] = []
    with _explained(path):
        for number, body in connection.execute("SELECT number, body FROM record ORDER BY number"):
            try:
                found.append((number, record.decode(body)))
            except record.RecordError as error:
                raise _refused(path, f"record {number}: {error}") from error
    return found


def _refused(path: Path, why: str) -> PortError:
    return PortError(
        ErrorKind.INVALID,
        f"{path}: this journal can't be used: {why}. Nothing was changed in it. Restore it "
        "from a copy, or move it and its -wal file away to begin anew: qlop then knows its "
        "guests by their marks, but not what was under way",
    )


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into errors that name the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise _port_error(path, error) from error
    except PermissionError as error:
        raise PortError(ErrorKind.DENIED, f"{path}: {error.strerror}") from error
    except OSError as error:
        raise PortError(ErrorKind.TRANSIENT, f"{path}: {error.strerror}") from error


def _port_error(path: Path, error: sqlite3.Error) -> PortError:
    # The low byte is the code; the rest says more of the same.
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _refused(path, str(error))
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return PortError(ErrorKind.DENIED, f"{path}: the journal can't be opened: {error}")
        case _:
            return PortError(
                ErrorKind.TRANSIENT,
                f"{path}: the journal can't be written: {error}; nothing is sent until it can",
            )
