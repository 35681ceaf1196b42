"""A SQLite connection that threads can share, with SQLite's errors translated to those of the project."""

import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ...errors import DataError, FilterError, IndexFolderError, IndexLockedError, SteersearchError, StorageError
from ...files import make_temporary, sync_folder
from ...forks import lock_for_forks, never_free, renew_after_fork
from ...text import one_line

logger = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""Time to wait for a lock of SQLite, which a checkpoint or another program may hold."""

T = TypeVar("T")

_CHUNK = 500  # before 3.32 the limit is 999 parameters
_STORAGE = ("disk is full", "readonly", "disk i/o error", "unable to open")
_DAMAGED = ("malformed", "not a database", "no such table", "no such column")


def damaged(path: Path, what: object) -> IndexFolderError:
    """Return the error for a damaged file, with its cure."""
    # The message of SQLite may quote a whole table.
    return IndexFolderError(
        f"{path} is damaged ({one_line(str(what), 300)}): restore it from a copy, or index the documents again"
    )


def is_writable(path: Path) -> bool:
    """Return whether this user may write a database: the file itself, and new files beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def is_shared(path: Path) -> bool:
    """Return whether a database has a second name, as ``cp -al`` gives it: each name would have a log and a lock."""
    try:
        return path.stat().st_nlink > 1
    except OSError:
        return False


# A class, because a generator would take three times as long.
class sqlite_errors(AbstractContextManager[None]):
    """Translate SQLite's errors to those of the project.

    Raises:
        StorageError: The disk is full, failing, or not writable.
        IndexLockedError: The database stayed locked for `BUSY_SECONDS`.
        DataError: A text or an array exceeds SQLite's limit of 1 GB.
        IndexFolderError: The file is damaged, or SQLite failed in another way.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _translated(self._path, error) from error


class damage_errors(AbstractContextManager[None]):
    """Report undecodable content as a damaged file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | LookupError | TypeError | AttributeError):
            raise damaged(self._path, error) from error


def _translated(path: Path, error: sqlite3.Error) -> SteersearchError:
    text = str(error).lower()
    if "closed database" in text:
        return IndexFolderError(f"{path} was closed: open it again")
    if any(part in text for part in _STORAGE):
        return StorageError(
            f"cannot write {path}: {error}; free space on the disk or mend its permissions. "
            "Everything that was committed is still there"
        )
    if "locked" in text or "busy" in text:
        return IndexLockedError(
            f"{path} stayed locked by another program for {BUSY_SECONDS:g} s: close that program and try again"
        )
    if "too big" in text:
        return DataError(f"a document is too big for {path}: {error}; split it")
    if "parser stack" in text:
        return FilterError("the filter is nested too intricately for SQLite: use fewer levels, or $in")
    if any(part in text for part in _DAMAGED):
        return damaged(path, error)
    return IndexFolderError(f"{path} cannot be used: {one_line(str(error), 300)}")


class Database:
    """A connection in autocommit mode with explicit transactions; every call holds one re-entrant lock.

    Args:
        path: The file, which must exist.
        readonly: Never write. On a read-only disk, where SQLite's WAL mode cannot create a file, a database with an
            empty log is opened as immutable.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path, self.readonly = path, readonly
        self.lock = lock_for_forks()
        self._reader: int | None = None
        self._facts: dict[str, Any] = {}
        # Before the file is opened: one that replaces it meanwhile is then taken for another, never for the same.
        self._file = _identity(path)
        with sqlite_errors(path):
            self._connection, self._frozen = _connect(path, readonly)
        self._inherited = False
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Refuse to be used in a forked child: SQLite allows no connection of the parent there."""
        never_free(self._connection)
        self._inherited, self.lock = True, lock_for_forks()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        self._check_process()
        with self.lock, sqlite_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        """Run one statement once per row of parameters."""
        self._check_process()
        with self.lock, sqlite_errors(self.path):
            self._connection.executemany(sql, parameters)

    def fact(self, sql: str) -> Any:
        """Return the one value of a statement, read once per snapshot, during which it cannot change."""
        if self._reader != threading.get_ident():
            return self.rows(sql)[0][0]
        if sql not in self._facts:
            self._facts[sql] = self.rows(sql)[0][0]
        return self._facts[sql]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Show all reads inside ``with`` one committed state; other threads of this connection wait."""
        with self.lock:
            # A snapshot or a write of this thread is already one state.
            if self._in_transaction():
                yield
                return
            self._thaw()
            self.rows("BEGIN")
            self._reader, self._facts = threading.get_ident(), {}
            try:
                yield
            finally:
                self._reader = None
                self._end("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes inside ``with`` durably, or none of them; errors as in `sqlite_errors`."""
        with self.lock:
            self.rows("BEGIN IMMEDIATE")
            try:
                yield
                self.rows("COMMIT")
            except BaseException:
                self._end("ROLLBACK")
                raise

    def check_writable(self) -> None:
        """Check that a write can succeed, before any lock is acquired.

        Raises:
            StorageError: The database was opened read-only.
            IndexLockedError: This thread is inside `snapshot`, where waiting for other writers could deadlock.
        """
        if self.readonly:
            cure = "open it without readonly=True to write"
            if not is_writable(self.path):
                cure = "this user cannot write it; mend the permissions of its folder, or write to a copy"
            elif is_shared(self.path):
                cure = "it has a second name, a hard link, whose content would change too; write to a copy (cp -r)"
            raise StorageError(f"{self.path} was opened read-only: {cure}")
        if self._reader == threading.get_ident():
            raise IndexLockedError(f"{self.path} is being read inside snapshot(): leave it before writing")

    @property
    def free_bytes(self) -> int:
        """Space inside the file that removed rows left, in bytes."""
        (pages,), (size,) = self.rows("PRAGMA freelist_count") + self.rows("PRAGMA page_size")
        return int(pages) * int(size)

    @property
    def in_place(self) -> bool:
        """Whether the path still names the file that was opened; SQLite goes on with a file that nobody else sees."""
        return self._file is not None and self._file == _identity(self.path)

    def check_in_place(self) -> None:
        """Check that a write would reach the file at the path; an IndexFolderError otherwise."""
        if not self.in_place:
            raise IndexFolderError(
                f"{self.path} was moved, replaced or deleted after it was opened, so nothing was written: open it again"
            )

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        if self._inherited:
            return
        with self.lock, sqlite_errors(self.path):
            self._connection.close()

    def _check_process(self) -> None:
        if self._inherited:
            raise IndexFolderError(f"{self.path} was opened before this process was forked: open it again here")

    def _thaw(self) -> None:
        """Open an immutable file again if its owner has written to it, for SQLite would mix old and new pages."""
        # A file that replaced this one is another database; this one stays as it is then.
        if self._frozen is None or not self.in_place or self._frozen == _version(self.path):
            return
        with sqlite_errors(self.path):
            self._connection.close()
            self._connection, self._frozen = _connect(self.path, self.readonly)

    def _in_transaction(self) -> bool:
        with sqlite_errors(self.path):
            return self._connection.in_transaction

    def _end(self, statement: str) -> None:
        """End a transaction that SQLite may have ended itself; an error here must not hide the original one."""
        try:
            if self._in_transaction():
                self.rows(statement)
        except SteersearchError as error:
            logger.warning("%s failed on %s: %s", statement, self.path, error)


def chunks(items: list[T]) -> Iterator[tuple[str, list[T]]]:
    """Split a list into parts that fit the parameters of one statement; yield the question marks with each part."""
    for start in range(0, len(items), _CHUNK):
        part = items[start : start + _CHUNK]
        yield ", ".join("?" * len(part)), part


def create_database(path: Path, write: Callable[[Database], None]) -> None:
    """Create a database, filled by `write` in one transaction, that appears under its name only once it is complete.

    Raises:
        StorageError: The file cannot be written; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        temporary = make_temporary(path)
        database = Database(temporary)
        try:
            with database.transaction():
                write(database)
            # Last, so that there is no log yet: on a full disk it would not be copied into the file when that is
            # closed, and no error says so.
            if database.rows("PRAGMA journal_mode = WAL") != [("wal",)]:
                raise StorageError(f"{path.parent} does not allow the WAL mode of SQLite: choose another folder")
        finally:
            database.close()
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, SteersearchError):
            raise
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal") if temporary else ():
            # Most do not exist, and an error in progress must not be hidden.
            with suppress(OSError):
                Path(f"{temporary}{suffix}").unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _version(path: Path) -> tuple[object, ...]:
    """Return what changes when a database is written to, with its log."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size, Path(f"{path}-wal").exists()


def _connect(path: Path, readonly: bool) -> tuple[sqlite3.Connection, tuple[object, ...] | None]:
    """Return a connection, and the `_version` of the file if it is opened as immutable."""

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
            # The file may be of somebody else: no function of its schema has side effects, and a page whose cells are
            # of impossible sizes is an error.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            if sys.version_info >= (3, 12):
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
            # Reads the header, and the log if there is one.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    if not readonly:
        return connect("mode=rw"), None
    try:
        return connect("mode=ro"), None
    except sqlite3.OperationalError as error:
        if os.access(path.parent, os.W_OK):
            raise
        version, log = _version(path), Path(f"{path}-wal")
        if log.exists() and log.stat().st_size > 0:
            raise StorageError(
                f"{path} has a log that its last writer left behind, and this user cannot write its folder: open it "
                "once as its owner, or copy the folder"
            ) from error
        return connect("mode=ro&immutable=1"), version
