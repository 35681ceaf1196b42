"""`VectorCache`: vectors of embedders from outside in one file on the disk, so that none is paid for twice."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ....arrays import FloatArray
from ....forks import lock_for_forks, never_free, renew_after_fork

logger = logging.getLogger(__name__)

NAME = "vectors-1.sqlite"
"""The number is the version of its format: another one has a file of its own."""
LIMIT = 2**31
"""Bytes of the file at most, 350,000 vectors of 1,536 numbers. The longest unused go first."""
DAY = 86_400.0
TRIES = 10
_PATIENCE = 10.0
_AT_ONCE = 500
"""Keys of one question; SQLite takes 999 and more."""
_SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, row BLOB NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_use ON vectors (used);
CREATE TABLE IF NOT EXISTS checked (key BLOB PRIMARY KEY, at REAL NOT NULL);
"""


class VectorCache:
    """Unit rows by key. Threads and processes may share the file; a part of it that is damaged counts as missing.

    It never stands in the way: where the file cannot be read or written, a warning of the log says so once, and nothing
    is remembered.

    Args:
        folder: Made when missing.
        limit: Bytes of the file at most.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.path, self._limit = folder / NAME, limit
        self._open: list[sqlite3.Connection] = []
        self._broken = False
        self._lock = lock_for_forks()
        weakref.finalize(self, _close, self._open)
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Leave the connection to the parent."""
        while self._open:
            never_free(self._open.pop())

    def get(self, keys: Sequence[bytes], width: int) -> dict[bytes, FloatArray]:
        """Return the rows of those keys that are there, shape (width,), float32."""
        found: dict[bytes, FloatArray] = {}

        def read(db: sqlite3.Connection) -> None:
            now, old = time.time(), []
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, row, used in db.execute(f"SELECT key, row, used FROM vectors WHERE key IN ({marks})", some):
                    if len(row) == 4 * width + 4 and zlib.crc32(row[:-4]) == int.from_bytes(row[-4:], "little"):
                        found[key] = np.frombuffer(row, "<f4", width).astype(np.float32, copy=False)
                        if now - used > DAY:
                            old.append((now, key))
            if old:
                with db:
                    db.executemany("UPDATE vectors SET used = ? WHERE key = ?", old)

        self._do(read)
        return found

    def put(self, rows: Mapping[bytes, FloatArray]) -> None:
        """Keep rows; they are in the file when this returns."""

        def write(db: sqlite3.Connection) -> None:
            now = time.time()
            made = []
            for key, row in rows.items():
                data = np.ascontiguousarray(row, "<f4").tobytes()
                made.append((key, data + zlib.crc32(data).to_bytes(4, "little"), now))
            with db:
                db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", made)
            self._shrink(db)

        self._do(write)

    def checked(self, key: bytes, seconds: float) -> bool:
        """Return whether `check` was called with this key within so many seconds."""
        found: list[float] = []
        self._do(lambda db: found.extend(at for (at,) in db.execute("SELECT at FROM checked WHERE key = ?", (key,))))
        return bool(found) and 0 <= time.time() - found[0] < seconds

    def check(self, key: bytes) -> None:
        """Note that something was checked now."""

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute("DELETE FROM checked WHERE at < ?", (time.time() - 30 * DAY,))
                db.execute("INSERT OR REPLACE INTO checked VALUES (?, ?)", (key, time.time()))

        self._do(write)

    def _shrink(self, db: sqlite3.Connection) -> None:
        """Delete the longest unused tenth of the rows where the file is above the limit."""
        (pages,), (size,), (free,) = (
            db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size", "freelist_count")
        )
        if (pages - free) * size <= self._limit:
            return
        with db:
            (count,) = db.execute("SELECT COUNT(*) FROM vectors").fetchone()
            oldest = "SELECT key FROM vectors ORDER BY used LIMIT ?"
            db.execute(f"DELETE FROM vectors WHERE key IN ({oldest})", (count // 10 + 1,))
        db.execute("PRAGMA incremental_vacuum").fetchall()

    def _do(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                try:
                    work(self._database())
                except sqlite3.OperationalError:
                    raise
                except sqlite3.DatabaseError as error:
                    # No database any more: it is made again, since everything in it can be.
                    logger.warning("the cache %s is damaged (%s): it is made again", self.path, error)
                    _close(self._open)
                    for ending in ("", "-wal", "-shm"):
                        self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
                    work(self._database())
            except (OSError, sqlite3.Error) as error:
                if "locked" in str(error):
                    # Another process writes for longer than anybody waits. The next call may get through.
                    logger.info("%s is locked by another process: passed over", self.path)
                    return
                self._broken = True
                logger.warning("no vectors are kept in %s (%s): every text is embedded anew", self.path, error)

    def _database(self) -> sqlite3.Connection:
        if not self._open:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
            try:
                _prepare(db)
            except BaseException:
                db.close()
                raise
            self._open.append(db)
        return self._open[0]


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables. SQLite does not wait for others while it changes to a log, so that this is tried again."""
    for attempt in range(TRIES):
        try:
            db.executescript(_SCHEMA)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == TRIES - 1:
                raise
            time.sleep(0.05 * (attempt + 1))


def key_of(space: str, side: str, text: str) -> bytes:
    """Return the key of a text: a digest of the space of its vector, of its side, and of itself."""
    digest = hashlib.sha256(b"steersearch vector 1")
    for part in (space, side, text):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        with suppress(sqlite3.Error):
            connections.pop().close()
