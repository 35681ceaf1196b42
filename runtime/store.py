"""The documents of an index, in SQLite: the only truth; matrices and graphs beside it are caches."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import ArrayLike

from ..errors import DataError, IndexFolderError, IndexLockedError, StorageError
from ..metrics import FloatArray, IntArray
from .database import Database, chunks, create_database
from .filters import compile_filter
from .records import Record, check_strings, decode_codes, decode_metadata, decode_vectors, encode_rows, is_unicode

APPLICATION_ID = 0x73746565
"""ASCII "stee" in the header of the file, so that another program's database is refused."""
FORMAT_VERSION = 1
_RESERVED = ("format_version", "d_in", "generation")

# metadata stands before text: a filter then reads the beginning of a long row and not all of its overflow pages.
# AUTOINCREMENT: a rowid is never used again, so that it can be the label of a vector in an approximate index.
_SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)",
    """CREATE TABLE documents (
        rowid INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        metadata TEXT NOT NULL,
        text TEXT NOT NULL,
        vector BLOB NOT NULL,
        latents BLOB NOT NULL,
        values_ BLOB NOT NULL
    )""",
)


class DocumentStore:
    """Documents with metadata, vectors and sparse codes. Make one with `create` or `open`; use it in ``with``.

    Threads may share a store. Any number of processes may read while one writes: every write is one durable
    transaction, and a second writer gets an IndexLockedError at once. Reads see what is committed when they run;
    `snapshot` holds several of them to one state.
    """

    def __init__(self, database: Database, d_in: int) -> None:
        self._database = database
        self.path = database.path
        """The SQLite file."""
        self.d_in = d_in
        """Width of the vectors."""
        self.readonly = database.readonly
        """Whether writes are refused."""
        self._writer = threading.RLock()
        self._file_lock = _file_lock(self.path)

    @classmethod
    def create(cls, path: Path, *, d_in: int, meta: Mapping[str, str]) -> "DocumentStore":
        """Make an empty store and open it.

        Args:
            path: The SQLite file, which must not exist; its folder is made when missing.
            d_in: Width of the vectors, at least 1.
            meta: What else to remember; `format_version`, `d_in` and `generation` are the store's own.

        Raises:
            IndexFolderError: There is a file at `path` already.
            DataError: `d_in` or `meta` cannot be used.
            StorageError: The file cannot be written; nothing is left behind.
        """
        if d_in < 1:
            raise DataError(f"d_in is {d_in}: vectors need at least one number")
        _check_meta(meta)
        entries = {**meta, "format_version": str(FORMAT_VERSION), "d_in": str(d_in), "generation": "0"}

        def write(database: Database) -> None:
            for statement in _SCHEMA:
                database.rows(statement)
            database.many("INSERT INTO meta VALUES (?, ?)", list(entries.items()))

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
        with _locked(_file_lock(path)):
            if path.exists():
                raise IndexFolderError(f"{path} exists already: open it, or choose another folder")
            create_database(path, write)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> "DocumentStore":
        """Open a store.

        Raises:
            IndexFolderError: The file is missing, damaged, not a store, or newer than this version of steersearch.
        """
        if not path.is_file():
            raise IndexFolderError(f"{path} does not exist: make an index first, or check the folder's name")
        database = Database(path, readonly=readonly)
        try:
            if database.rows("PRAGMA application_id") != [(APPLICATION_ID,)]:
                raise IndexFolderError(f"{path} is not a database of steersearch: choose the folder of an index")
            meta = dict(database.rows("SELECT key, value FROM meta"))
            try:
                version, d_in, _ = (int(meta[key]) for key in _RESERVED)
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(path, f"no valid {error} in its meta table") from error
            if version > FORMAT_VERSION:
                raise IndexFolderError(
                    f"{path} has format_version {version} and this steersearch reads up to {FORMAT_VERSION}: "
                    "pip install --upgrade steersearch"
                )
            return cls(database, d_in)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._database.close()

    def __enter__(self) -> "DocumentStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        count: int = self._database.rows("SELECT count(*) FROM documents")[0][0]
        return count

    @property
    def meta(self) -> dict[str, str]:
        """Everything that is remembered beside the documents, as it is committed now."""
        return dict(self._database.rows("SELECT key, value FROM meta"))

    @property
    def generation(self) -> int:
        """How often the documents were changed, as it is committed now, by whichever process.

        `set_meta` does not count: caches of the documents stay valid.
        """
        return int(self._database.rows("SELECT value FROM meta WHERE key = 'generation'")[0][0])

    def set_meta(self, key: str, value: str) -> None:
        """Remember one more thing.

        Raises:
            DataError: The key is the store's own, or key or value is not text.
            IndexLockedError, StorageError: As in `put`.
        """
        _check_meta({key: value})
        with self.writing(), self._database.transaction():
            self._database.rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer of the folder; re-entrant. Other threads of this store wait, other writers are refused.

        Raises:
            IndexLockedError: Another process, or another store of this process, is writing.
            StorageError: The store is read-only, or the lock file cannot be written.
        """
        self._database.check_writable()
        with self._writer, _locked(self._file_lock):
            yield

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all reads inside ``with`` see one committed state; writing inside it is refused."""
        return self._database.snapshot()

    def put(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[Mapping[str, object]],
        vectors: ArrayLike,
        latents: ArrayLike,
        values: ArrayLike,
    ) -> IntArray:
        """Add documents, replacing those whose id is there, in one durable transaction.

        Args:
            ids: n different, non-empty strings.
            texts: n strings.
            metadata: n mappings of string keys to JSON values; tuples become lists.
            vectors: Shape (n, d_in), float32, finite.
            latents: Shape (n, k), integers >= 0; k may be 0.
            values: Shape (n, k), float32, finite.

        Returns:
            The rowids, shape (n,), int64: new ones, greater than all before, also for replaced documents.

        Raises:
            DataError: Something is not as above; the first culprit is named.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full or cannot be written. In all cases nothing was changed.
        """
        rows = encode_rows(ids, texts, metadata, vectors, latents, values, d_in=self.d_in)
        if not rows:
            return np.empty(0, np.int64)
        with self.writing(), self._database.transaction():
            last = self._database.rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'documents'")[0][
                0
            ]
            self._delete([row[0] for row in rows])
            numbered = [(last + 1 + i, *row) for i, row in enumerate(rows)]
            self._database.many("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", numbered)
            self._next_generation()
        return np.arange(last + 1, last + 1 + len(rows), dtype=np.int64)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents in one durable transaction; unknown ids are passed over.

        Returns:
            How many there were.

        Raises:
            DataError: `ids` is not a list of strings.
            IndexLockedError, StorageError: As in `put`.
        """
        known = _ids(ids)
        with self.writing(), self._database.transaction():
            removed = self._delete(known)
            if removed:
                self._next_generation()
        return removed

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The documents of `ids`, in that order, None where there is none."""
        found: dict[str, Record] = {}
        with self.snapshot():
            for marks, part in chunks(_ids(ids)):
                found |= {record.id: record for record in self._records(f"id IN ({marks})", part)}
        return [found.get(id) for id in ids]

    def by_rowid(self, rowids: ArrayLike) -> list[Record]:
        """The documents of `rowids`, in that order; one that is gone (deleted a moment ago) is left out."""
        wanted = _rowid_list(rowids)
        found: dict[int, Record] = {}
        with self.snapshot():
            for marks, part in chunks(wanted):
                found |= {record.rowid: record for record in self._records(f"rowid IN ({marks})", part)}
        return [found[rowid] for rowid in wanted if rowid in found]

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """The vectors of `rowids`, in that order, shape (n, d_in).

        Raises:
            DataError: A rowid is not there.
        """
        return self._vectors(self._columns(_rowid_list(rowids), "vector"))

    def codes_of(self, rowids: ArrayLike) -> tuple[IntArray, FloatArray]:
        """The sparse codes of `rowids`, in that order.

        Returns:
            Indices (n, k) and values (n, k); where documents differ in k, shorter codes end in latent 0 with value 0.

        Raises:
            DataError: A rowid is not there.
        """
        return self._codes(self._columns(_rowid_list(rowids), "latents, values_"))

    def rowids(self) -> IntArray:
        """All rowids, ascending."""
        return _sorted(self._database.rows("SELECT rowid FROM documents"))

    def rowids_where(self, filter: Mapping[str, object] | None) -> IntArray:
        """The rowids of the documents that match a metadata filter (see `filters`), ascending.

        Raises:
            FilterError: The filter has a syntax error.
        """
        expression, parameters = compile_filter(filter)
        return _sorted(self._database.rows(f"SELECT d.rowid FROM documents d WHERE {expression}", parameters))

    def iter_vectors(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, FloatArray]]:
        """Blocks of (rowids, vectors), rowids ascending. Wrap in `snapshot` when others may write meanwhile."""
        for rowids, rows in self._blocks("vector", after_rowid, batch):
            yield rowids, self._vectors(rows)

    def iter_codes(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        """Blocks of (rowids, indices, values), rowids ascending; indices and values as in `codes_of`."""
        for rowids, rows in self._blocks("latents, values_", after_rowid, batch):
            yield rowids, *self._codes(rows)

    def _delete(self, ids: list[str]) -> int:
        removed = 0
        for marks, part in chunks(ids):
            self._database.rows(f"DELETE FROM documents WHERE id IN ({marks})", part)
            removed += self._database.rows("SELECT changes()")[0][0]
        return removed

    def _next_generation(self) -> None:
        self._database.rows("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")

    def _records(self, where: str, parameters: Sequence[object]) -> list[Record]:
        rows = self._database.rows(f"SELECT rowid, id, text, metadata FROM documents WHERE {where}", parameters)
        try:
            return [Record(rowid, id, text, decode_metadata(metadata)) for rowid, id, text, metadata in rows]
        except ValueError as error:
            raise _damaged(self.path, error) from error

    def _columns(self, rowids: list[int], columns: str) -> list[tuple[bytes, ...]]:
        found: dict[int, tuple[bytes, ...]] = {}
        with self.snapshot():
            for marks, part in chunks(rowids):
                sql = f"SELECT rowid, {columns} FROM documents WHERE rowid IN ({marks})"
                found |= {row[0]: row[1:] for row in self._database.rows(sql, part)}
        for rowid in rowids:
            if rowid not in found:
                raise DataError(f"there is no document with rowid {rowid} in {self.path}: it may have been deleted")
        return [found[rowid] for rowid in rowids]

    def _blocks(self, columns: str, after: int, batch: int) -> Iterator[tuple[IntArray, list[tuple[bytes, ...]]]]:
        sql = f"SELECT rowid, {columns} FROM documents WHERE rowid > ? ORDER BY rowid LIMIT ?"
        while rows := self._database.rows(sql, (after, batch)):
            after = rows[-1][0]
            yield np.array([row[0] for row in rows], np.int64), [row[1:] for row in rows]

    def _vectors(self, rows: list[tuple[bytes, ...]]) -> FloatArray:
        try:
            return decode_vectors([vector for (vector,) in rows], self.d_in)
        except ValueError as error:
            raise _damaged(self.path, error) from error

    def _codes(self, rows: list[tuple[bytes, ...]]) -> tuple[IntArray, FloatArray]:
        try:
            return decode_codes(rows)
        except ValueError as error:
            raise _damaged(self.path, error) from error


def _damaged(path: Path, what: object) -> IndexFolderError:
    return IndexFolderError(f"{path} is damaged ({what}): restore it from a copy, or index the documents again")


def _file_lock(path: Path) -> FileLock:
    return FileLock(path.with_name("write.lock"), timeout=0, thread_local=False)


@contextmanager
def _locked(lock: FileLock) -> Iterator[None]:
    try:
        lock.acquire()
    except Timeout as error:
        folder = Path(lock.lock_file).parent
        raise IndexLockedError(f"another process is writing to {folder}: wait until it is done, or stop it") from error
    except OSError as error:
        raise StorageError(f"cannot write {lock.lock_file}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _check_meta(meta: Mapping[str, str]) -> None:
    check_strings("meta", [*meta.keys(), *meta.values()])
    for key in _RESERVED:
        if key in meta:
            raise DataError(f"meta has the key {key!r}, which the store keeps itself: choose another")


def _ids(ids: Sequence[str]) -> list[str]:
    """The distinct ids that can be in a store at all: a lone surrogate cannot, and SQLite cannot bind it."""
    if isinstance(ids, str) or not all(isinstance(id, str) for id in ids):
        raise DataError(f"ids is {ids!r:.80}: expected a list of strings")
    return [id for id in dict.fromkeys(ids) if is_unicode(id)]


def _rowid_list(rowids: ArrayLike) -> list[int]:
    array = np.asarray(rowids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(f"rowids has shape {array.shape} and dtype {array.dtype}: expected (n,) integers")
    return list(map(int, array.astype(np.int64)))


def _sorted(rows: list[tuple[int]]) -> IntArray:
    return np.sort(np.fromiter((row[0] for row in rows), np.int64, len(rows)))
