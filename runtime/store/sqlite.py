"""One SQLite connection that threads can share, with the errors of the project in place of SQLite's."""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ...errors import DataError, FilterError, IndexFolderError, IndexLockedError, SteersearchError, StorageError
from ...files import sync_folder

logger = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""How long to wait for a lock of SQLite's own, which a checkpoint or a foreign program may hold."""

T = TypeVar("T")

_CHUNK = 500  # SQLite before 3.32 takes at most 999 parameters
_STORAGE = ("disk is full", "readonly", "disk i/o error", "unable to open")
_DAMAGED = ("malformed", "not a database", "no such table", "no such column")


def damaged(path: Path, what: object) -> IndexFolderError:
    """The error for a file that is not what was written, and the cure."""
    return IndexFolderError(f"{path} is damaged ({what}): restore it from a copy, or index the documents again")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raise the project's errors for SQLite's.

    Raises:
        StorageError: The disk is full, broken, or cannot be written.
        IndexLockedError: The database stayed locked for `BUSY_SECONDS`.
        DataError: A text or an array is larger than SQLite can hold (1 GB).
        IndexFolderError: The file is damaged, or anything else went wrong in SQLite.
    """
    try:
        yield
    except sqlite3.Error as error:
        text = str(error).lower()
        if any(part in text for part in _STORAGE):
            raise StorageError(
                f"cannot write {path}: {error}; free space on the disk or mend its permissions. "
                "Everything that was committed is still there"
            ) from error
        if "locked" in text or "busy" in text:
            raise IndexLockedError(
                f"{path} stayed locked by another program for {BUSY_SECONDS:g} s: close that program and try again"
            ) from error
        if "too big" in text:
            raise DataError(f"a document is too big for {path}: {error}; split it") from error
        if "parser stack" in text:
            raise FilterError("the filter is nested too intricately for SQLite: use fewer levels, or $in") from error
        if any(part in text for part in _DAMAGED):
            raise damaged(path, error) from error
        raise IndexFolderError(f"{path} cannot be used: {error}") from error


class Database:
    """A connection in autocommit mode with explicit transactions; every call holds one re-entrant lock.

    Args:
        path: The file, which exists.
        readonly: Never write. A file on a read-only disk with nothing in its log is then opened as immutable, because
            SQLite's WAL mode otherwise wants to make a file beside it.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path, self.readonly = path, readonly
        self.lock = threading.RLock()
        self._reader: int | None = None
        with sqlite_errors(path):
            self._connection = _connect(path, readonly)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        with self.lock, sqlite_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        """Run one statement for every row of parameters."""
        with self.lock, sqlite_errors(self.path):
            self._connection.executemany(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads inside see one committed state; other threads of this connection wait meanwhile."""
        with self.lock:
            if self._in_transaction():  # a snapshot or a write of this thread: it is one state already
                yield
                return
            self.rows("BEGIN")
            self._reader = threading.get_ident()
            try:
                yield
            finally:
                self._reader = None
                self._end("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, durably, or nothing of it.

        Raises:
            StorageError: The disk failed; nothing was changed.
            IndexLockedError: Another program holds SQLite's lock.
        """
        with self.lock:
            self.rows("BEGIN IMMEDIATE")
            try:
                yield
                self.rows("COMMIT")
            except BaseException:
                self._end("ROLLBACK")
                raise

    def check_writable(self) -> None:
        """Raise where a write cannot work, before any lock is taken.

        Raises:
            StorageError: The database was opened read-only.
            IndexLockedError: This thread is inside `snapshot`; waiting for other writers here could wait forever.
        """
        if self.readonly:
            raise StorageError(f"{self.path} was opened read-only: open it without readonly=True to write")
        if self._reader == threading.get_ident():
            raise IndexLockedError(f"{self.path} is being read inside snapshot(): leave it before writing")

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self.lock, sqlite_errors(self.path):
            self._connection.close()

    def _in_transaction(self) -> bool:
        with sqlite_errors(self.path):
            return self._connection.in_transaction

    def _end(self, statement: str) -> None:
        """End a transaction that SQLite may have ended itself; an error here must not hide the one under way."""
        try:
            if self._in_transaction():
                self.rows(statement)
        except SteersearchError as error:
            logger.warning("%s failed on %s: %s", statement, self.path, error)


def chunks(items: list[T]) -> Iterator[tuple[str, list[T]]]:
    """Parts of a list of parameters that one statement can take, each with as many question marks."""
    for start in range(0, len(items), _CHUNK):
        part = items[start : start + _CHUNK]
        yield ", ".join("?" * len(part)), part


def create_database(path: Path, write: Callable[[Database], None]) -> None:
    """Make a database that appears under its name only when it is complete.

    Args:
        path: The file, which must not exist.
        write: Fills it; runs inside one transaction.

    Raises:
        StorageError: The file cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.touch()
        database = Database(temporary)
        try:
            database.rows("PRAGMA journal_mode = WAL")
            with database.transaction():
                write(database)
        finally:
            database.close()
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, SteersearchError):
            raise
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        for leftover in (temporary, *(Path(f"{temporary}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
            with suppress(OSError):  # most are not there; the error under way says more
                leftover.unlink()


def _connect(path: Path, readonly: bool) -> sqlite3.Connection:
    def connect(options: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # reads the header, and the log if any
        except BaseException:
            connection.close()
            raise
        return connection

    if not readonly:
        return connect("mode=rw")
    try:
        return connect("mode=ro")
    except sqlite3.OperationalError:
        log = Path(f"{path}-wal")
        if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size > 0):
            raise
        return connect("mode=ro&immutable=1")
