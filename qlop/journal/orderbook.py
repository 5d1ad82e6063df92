"""Keep people's orders in one SQLite file beside the journal.

Several may write: the command line gives orders while the daemon reads them. Who may is
a matter of the file's permissions. A file that can't be read, or holds an order that is
not understood, is an error in every cycle: it may say that nothing may be done.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from qlop.journal import order_record
from qlop.journal.record import RecordError
from qlop.model.orders import Order, Orders, fold
from qlop.ports import ErrorKind, PortError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x716C6F72
"""``qlor`` in ASCII, in the header of the file: what tells it from a journal."""

BUSY_TIMEOUT_S = 2.0
"""How long to wait for another writer, who needs milliseconds."""

MODE = 0o660
"""Its owner and group may give orders; whoever else is refused by the kernel."""


def identity(path: Path) -> str:
    """Return by what the book at ``path`` is known, whether it is there yet or not.

    The same for all paths that lead to one file, through links and mounts. Where its
    folder is not there it is the path alone.
    """
    try:
        folder = path.parent.stat()
    except OSError:
        return str(path.absolute())
    return f"{folder.st_dev}:{folder.st_ino}/{path.name}"


class SqliteOrderBook:
    """An order book in a file. Nothing is held but an open connection for reading.

    There need be no file before the first order; then there are no orders.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._lasts = True
        self._seen: list[Order] = []
        self._number = 0
        self._orders = Orders()

    def append(self, order: Order) -> None:
        """Write ``order`` durably, into a new file if there is none.

        Raises:
            PortError: ``DENIED`` if the caller may give no orders, ``TRANSIENT`` if the
                disk is full or the file is busy, ``INVALID`` if it is no order book.
        """
        body = order_record.encode(order)
        with _explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _make(self._path)
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            with contextlib.closing(connection):
                _begin(connection, self._path)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("INSERT INTO orders (body) VALUES (?)", (body,))

    def records(self) -> Sequence[Order]:
        """Return every order ever given, oldest first.

        Raises:
            PortError: if they can't be read.
        """
        self._read()
        return tuple(self._seen)

    def orders(self) -> Orders:
        """Return what they amount to; the same value until there is a new one.

        Raises:
            PortError: if it can't be known.
        """
        self._read()
        return self._orders

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self) -> None:
        """Take in what is new since the last time: one query by the primary key."""
        if not self._opened():
            return
        assert self._connection is not None
        with _explained(self._path):
            rows = self._connection.execute(
                "SELECT number, body FROM orders WHERE number > ? ORDER BY number",
                (self._number,),
            ).fetchall()
        if not self._lasts:
            self.close()
        if not rows:
            return
        fresh: list[Order] = []
        for number, body in rows:
            try:
                fresh.append(order_record.decode(body))
            except RecordError as error:
                raise _refused(self._path, f"order {number}: {error}") from error
        self._seen += fresh
        self._number = rows[-1][0]
        self._orders = fold(self._seen)

    def _opened(self) -> bool:
        """Open the file if there is one, and begin anew if it is another than before."""
        with _explained(self._path):
            try:
                inode = self._path.stat().st_ino
            except FileNotFoundError:
                if self._seen:
                    raise _refused(self._path, "it was there and is gone") from None
                return False
            if inode != self._inode:
                self.close()
                self._seen, self._number, self._orders = [], 0, Orders()
                self._inode = inode
            if self._connection is None:
                connection, self._lasts = _open_read_only(self._path)
                with contextlib.ExitStack() as undo:
                    undo.callback(connection.close)
                    if _is_begun(connection, self._path):
                        self._connection = connection
                        undo.pop_all()
        return self._connection is not None


class MemoryOrderBook:
    """An order book that is gone with the process, for tests and dry runs."""

    def __init__(self, orders: Sequence[Order] = ()) -> None:
        self._records = list(orders)
        self._orders = fold(self._records)

    def append(self, order: Order) -> None:
        """Take ``order`` in; it never fails."""
        self._records.append(order)
        self._orders = fold(self._records)

    def records(self) -> Sequence[Order]:
        """Return every order, oldest first."""
        return tuple(self._records)

    def orders(self) -> Orders:
        """Return what they amount to; the same value until there is a new one."""
        return self._orders


def _make(path: Path) -> None:
    """Make an empty file that its group may write to, whatever the umask, if there is none."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, MODE)
    finally:
        os.close(descriptor)


def _begin(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table unless it is there; two first orders at once make one table."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_begun(connection, path):
            connection.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, body TEXT)")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _open_read_only(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open for reading, and say whether the connection will see what is written later.

    Where the caller may not create the ``-shm`` file beside it, SQLite reads only if told
    that nobody writes; no ``-wal`` file means just that, for the moment.
    """
    where = path.absolute().as_uri()
    connection = sqlite3.connect(f"{where}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        return sqlite3.connect(f"{where}?mode=ro&immutable=1", uri=True), False
    return connection, True


def _is_begun(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the table is there; refuse what is no order book."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return False
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise _refused(path, "it is an SQLite file, but no order book of qlop")
    if version > SCHEMA_VERSION:
        raise _refused(
            path, f"its schema version is {version}, this qlop reads up to {SCHEMA_VERSION}"
        )
    return True


def _refused(path: Path, why: str) -> PortError:
    return PortError(
        ErrorKind.INVALID,
        f"{path}: {why}; nothing is done until this is resolved, since it may forbid it",
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
            return PortError(ErrorKind.DENIED, f"{path}: you may give no orders: {error}")
        case _:
            return PortError(ErrorKind.TRANSIENT, f"{path}: {error}")
