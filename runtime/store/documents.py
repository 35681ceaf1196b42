"""Reading a document store: nothing that comes back was altered on the disk since it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import FloatArray, IntArray
from ...errors import DataError, IndexFolderError, StorageError
from .checksums import CODE, METADATA, TEXT, VECTOR, State, check_part, remember_commit, row_checks
from .checksums import with_metadata as checks_with_metadata
from .filters import compile_filter
from .row_encoding import (
    Record,
    check_documents,
    check_strings,
    decode_codes,
    decode_metadata,
    decode_vectors,
    encode_json,
    encode_rows,
    is_unicode,
    short,
)
from .schema import RESERVED, check_schema, fill_schema, watermark_of
from .sqlite import Database, chunks, create_database, damaged
from .write_lock import WriterLock

S = TypeVar("S", bound="StoreReader")

_FILTERS = 16  # results of filters that are kept


class StoreReader:
    """The reading half of `DocumentStore`.

    Every part of a document has a checksum that is compared when the part is read; what finds documents (the list of
    rowids, the index over ids, the metadata that filters see) is compared with what was committed before it is used.
    """

    def __init__(self, database: Database, d_in: int) -> None:
        self._database = database
        self.path = database.path
        """The SQLite file."""
        self.d_in = d_in
        """Width of the vectors."""
        self.readonly = database.readonly
        """Whether writes are refused."""
        self.lock = WriterLock(self.path.parent)
        """Held while something is written."""
        self._filtered: dict[tuple[object, ...], IntArray] = {}  # what the last filters found, by commit
        self._checked_ids = False
        self._checked_metadata = 0  # the last rowid whose metadata was compared with its checksum

    @classmethod
    def open(cls: type[S], path: Path, *, readonly: bool = False) -> S:
        """Open a store.

        Raises:
            IndexFolderError: The file is missing, damaged, not a store, or newer than this version of steersearch.
        """
        if not path.is_file():
            raise IndexFolderError(f"{path} does not exist: make an index first, or check the folder's name")
        database = Database(path, readonly=readonly)
        try:
            return cls(database, check_schema(database))
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._database.close()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._state().documents

    @property
    def meta(self) -> dict[str, str]:
        """Everything that is remembered beside the documents, as it is committed now."""
        return {key: value for key, value in self._database.rows("SELECT key, value FROM meta") if key != "state"}

    @property
    def generation(self) -> int:
        """How often the documents were changed, as it is committed now, by whichever process.

        `set_meta` and `update_metadata` do not count: caches of the vectors stay valid.
        """
        with self._damage():
            return int(self._database.rows("SELECT value FROM meta WHERE key = 'generation'")[0][0])

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all reads inside ``with`` see one committed state; writing inside it is refused."""
        return self._database.snapshot()

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the structure of the file: reads all of it."""
        return [line for (line,) in self._database.rows("PRAGMA integrity_check") if line != "ok"]

    @property
    def free_bytes(self) -> int:
        """Space inside the file that removed documents have left, in bytes."""
        (pages,), (size,) = self._database.rows("PRAGMA freelist_count") + self._database.rows("PRAGMA page_size")
        return int(pages) * int(size)

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The documents of `ids`, in that order, None where there is none."""
        found: dict[str, Record] = {}
        with self.snapshot():
            self._check_ids()
            for marks, part in chunks(known_ids(ids)):
                found |= {record.id: record for record in self._records(f"id IN ({marks})", part)}
        return [found.get(id) for id in ids]

    def by_rowid(self, rowids: ArrayLike) -> list[Record]:
        """The documents of `rowids`, in that order; one that is gone (deleted a moment ago) is left out."""
        wanted = _rowid_list(rowids)
        found: dict[int, Record] = {}
        with self.snapshot():
            for marks, part in chunks(wanted):
                found |= {record.rowid: record for record in self._records(f"rowid IN ({marks})", part)}
            if len(found) < len(set(wanted)) and not set(wanted).isdisjoint({*self.rowids().tolist()} - {*found}):
                raise damaged(self.path, "a document cannot be found")
        return [found[rowid] for rowid in wanted if rowid in found]

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """The vectors of `rowids`, in that order, shape (n, d_in).

        Raises:
            DataError: A rowid is not there.
        """
        return self._vectors(self._columns(_rowid_list(rowids), "vector", VECTOR))

    def vectors_by_id(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """The vectors of the documents of `ids`, in that order, shape (d_in,) each, None where there is none."""
        wanted, found = known_ids(ids), dict[str, bytes]()
        with self.snapshot(), self._damage():
            self._check_ids()
            for marks, part in chunks(wanted):
                sql = f"SELECT rowid, checks, id, metadata, vector FROM documents WHERE id IN ({marks})"
                for rowid, checks, id, metadata, vector in self._database.rows(sql, part):
                    check_part(rowid, checks, METADATA, id, metadata)
                    check_part(rowid, checks, VECTOR, vector)
                    found[id] = vector
        rows = dict(zip(found, self._vectors([(vector,) for vector in found.values()]), strict=True))
        return [rows.get(id) for id in ids]

    def codes_of(self, rowids: ArrayLike) -> tuple[IntArray, FloatArray]:
        """The sparse codes of `rowids`, in that order.

        Returns:
            Indices (n, k) and values (n, k); where documents differ in k, shorter codes end in latent 0 with value 0.

        Raises:
            DataError: A rowid is not there.
        """
        return self._codes(self._columns(_rowid_list(rowids), "latents, values_", CODE))

    def rowids(self) -> IntArray:
        """All rowids, ascending."""
        with self.snapshot():
            rowids, state = _sorted(self._database.rows("SELECT rowid FROM documents")), self._state()
        if (len(rowids), int(rowids.sum())) != (state.documents, state.rowids):
            raise damaged(self.path, f"{len(rowids)} of {state.documents} documents are listed")
        return rowids

    def rowids_where(self, filter: Mapping[str, object] | None) -> IntArray:
        """The rowids of the documents that match a metadata filter (see `filters`), ascending.

        Raises:
            FilterError: The filter has a syntax error.
        """
        expression, parameters = compile_filter(filter)
        with self.snapshot():
            key = (self._state().commits, expression, *parameters)
            if key not in self._filtered:  # a filter reads all metadata: 0.2 s for 60,000 documents
                self._check_metadata()
                sql = f"SELECT d.rowid FROM documents d WHERE {expression}"
                self._filtered[key] = _sorted(self._database.rows(sql, parameters))
                self._filtered[key].flags.writeable = False
                while len(self._filtered) > _FILTERS:
                    del self._filtered[next(iter(self._filtered))]
            return self._filtered[key]

    def knows_where(self, filter: Mapping[str, object]) -> bool:
        """Whether `rowids_where` has the answer already."""
        expression, parameters = compile_filter(filter)
        return (self._state().commits, expression, *parameters) in self._filtered

    def matching(self, rowids: IntArray, filter: Mapping[str, object]) -> IntArray:
        """Those of `rowids` that match a metadata filter, in that order; reads no other document.

        Raises:
            FilterError: The filter has a syntax error.
        """
        expression, parameters = compile_filter(filter)
        found: set[int] = set()
        with self.snapshot():
            self._columns(_rowid_list(rowids), "id, metadata", METADATA)  # none of them is damaged
            for marks, some in chunks(_rowid_list(rowids)):
                sql = f"SELECT d.rowid FROM documents d WHERE d.rowid IN ({marks}) AND {expression}"
                found |= {row for (row,) in self._database.rows(sql, [*some, *parameters])}
        return rowids[[row in found for row in rowids.tolist()]]

    def iter_vectors(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, FloatArray]]:
        """Blocks of (rowids, vectors), rowids ascending. Wrap in `snapshot` when others may write meanwhile."""
        for rowids, rows in self._blocks("vector", VECTOR, after_rowid, batch):
            yield rowids, self._vectors(rows)

    def iter_codes(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        """Blocks of (rowids, indices, values), rowids ascending; indices and values as in `codes_of`."""
        for rowids, rows in self._blocks("latents, values_", CODE, after_rowid, batch):
            yield rowids, *self._codes(rows)

    def iter_texts(self, after_rowid: int = 0, batch: int = 1024) -> Iterator[tuple[IntArray, list[str]]]:
        """Blocks of (rowids, texts), rowids ascending."""
        for rowids, rows in self._blocks("text", TEXT, after_rowid, batch):
            yield rowids, [text for (text,) in rows]

    def iter_rows(self, batch: int = 1024) -> Iterator[list[tuple[Any, ...]]]:
        """Blocks of whole rows as they are in the file, unchecked: rowid, checks, id, metadata, text, vector, code."""
        columns = "rowid, checks, id, metadata, text, vector, latents, values_"
        sql = f"SELECT {columns} FROM documents WHERE rowid > ? ORDER BY rowid LIMIT ?"
        for _, rows in self._ordered(sql, 0, batch):
            yield rows

    def check_lists(self) -> list[str]:
        """Compare the list of rowids and the index over ids with what was committed; returns what is wrong."""
        problems = []
        for check in (self.rowids, self._check_ids):
            try:
                check()
            except IndexFolderError as error:
                problems.append(str(error))
        return problems

    def _state(self) -> State:
        with self._damage():
            return State.parse(self._database.rows("SELECT value FROM meta WHERE key = 'state'")[0][0])

    def _check_ids(self) -> None:
        """Compare the index over ids with what was committed, once: a damaged one says that a document is not there."""
        if self._checked_ids:
            return
        with self.snapshot(), self._damage():
            last, seen, expected = "", State(), self._state()
            sql = "SELECT rowid, id FROM documents WHERE id > ? ORDER BY id LIMIT 4096"
            while seen.documents <= expected.documents and (rows := self._database.rows(sql, (last,))):
                seen, last = seen.after(rows), rows[-1][1]
            if seen[1:] != expected[1:]:
                raise ValueError("its index of ids is not what was stored")
        self._checked_ids = True

    def _check_metadata(self) -> None:
        """Compare all metadata with its checksums, once: a filter would pass over a damaged one and say nothing."""
        first, seen = self._checked_metadata, 0
        last = first
        for rowids, rows in self._blocks("id, metadata", METADATA, first, 4096):
            seen, last = seen + len(rows), int(rowids[-1])
        if first == 0 and seen != len(self):
            raise damaged(self.path, f"{seen} of {len(self)} documents can be read")
        self._checked_metadata = last

    def _records(self, where: str, parameters: Sequence[object]) -> list[Record]:
        sql = f"SELECT rowid, checks, id, text, metadata FROM documents WHERE {where}"
        records = []
        with self._damage():
            for rowid, checks, id, text, metadata in self._database.rows(sql, parameters):
                check_part(rowid, checks, METADATA, id, metadata)
                check_part(rowid, checks, TEXT, text)
                records.append(Record(rowid, id, text, decode_metadata(metadata)))
        return records

    def _columns(self, rowids: list[int], columns: str, part: int) -> list[tuple[bytes, ...]]:
        found: dict[int, tuple[bytes, ...]] = {}
        with self.snapshot():
            for marks, some in chunks(rowids):
                sql = f"SELECT rowid, checks, {columns} FROM documents WHERE rowid IN ({marks})"
                rows = self._database.rows(sql, some)
                found |= zip((row[0] for row in rows), self._checked(rows, part), strict=True)
        for rowid in rowids:
            if rowid not in found:
                raise DataError(f"there is no document with rowid {rowid} in {self.path}: it may have been deleted")
        return [found[rowid] for rowid in rowids]

    def _blocks(
        self, columns: str, part: int, after: int, batch: int
    ) -> Iterator[tuple[IntArray, list[tuple[Any, ...]]]]:
        sql = f"SELECT rowid, checks, {columns} FROM documents WHERE rowid > ? ORDER BY rowid LIMIT ?"
        for rowids, rows in self._ordered(sql, after, batch):
            yield rowids, self._checked(rows, part)

    def _ordered(self, sql: str, after: int, batch: int) -> Iterator[tuple[IntArray, list[tuple[Any, ...]]]]:
        while rows := self._database.rows(sql, (after, batch)):
            rowids = np.array([row[0] for row in rows], np.int64)
            if rowids[0] <= after or np.any(rowids[1:] <= rowids[:-1]):
                raise damaged(self.path, "its documents are out of order")
            after = int(rowids[-1])
            yield rowids, rows

    def _checked(self, rows: list[tuple[Any, ...]], part: int) -> list[tuple[Any, ...]]:
        """The columns of rows (rowid, checks, *columns) that are as they were stored."""
        with self._damage():
            for rowid, checks, *columns in rows:
                check_part(rowid, checks, part, *columns)
        return [row[2:] for row in rows]

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """What cannot be decoded is a damaged file."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise damaged(self.path, error) from error

    def _vectors(self, rows: list[tuple[bytes, ...]]) -> FloatArray:
        with self._damage():
            return decode_vectors([vector for (vector,) in rows], self.d_in)

    def _codes(self, rows: list[tuple[bytes, ...]]) -> tuple[IntArray, FloatArray]:
        with self._damage():
            return decode_codes(rows)


def known_ids(ids: Sequence[str]) -> list[str]:
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


class DocumentStore(StoreReader):
    """Documents with metadata, vectors and sparse codes. Make one with `create` or `open`; use it in ``with``.

    Threads may share a store. Any number of processes may read while one writes: every write is one durable
    transaction, and a second writer gets an IndexLockedError at once. Reads see what is committed when they run;
    `snapshot` holds several of them to one state.
    """

    @classmethod
    def create(cls, path: Path, *, d_in: int, meta: Mapping[str, str]) -> DocumentStore:
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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
        with WriterLock(path.parent).held():
            if path.exists():
                raise IndexFolderError(f"{path} exists already: open it, or choose another folder")
            watermark_of(path).unlink(missing_ok=True)  # of a store that was here before
            create_database(path, lambda database: fill_schema(database, d_in, meta))
        return cls.open(path)

    def set_meta(self, key: str, value: str) -> None:
        """Remember one more thing.

        Raises:
            DataError: The key is the store's own, or key or value is not text.
            IndexLockedError, StorageError: As in `put`.
        """
        _check_meta({key: value})
        with self._committing():
            self._database.rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            self._commit(self._state().after())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer of the folder; re-entrant. Other threads of this store wait, other writers are refused.

        Raises:
            IndexLockedError: Another process, or another store of this process, is writing.
            StorageError: The store is read-only, or the lock file cannot be written.
        """
        self._database.check_writable()
        with self.lock.held():
            yield

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
        with self._committing():
            sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'documents'"
            last = self._database.rows(sql)[0][0]
            removed = self._delete([row[0] for row in rows])
            numbered = [(last + 1 + i, row) for i, row in enumerate(rows)]
            self._database.many(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(rowid, row[0], row_checks(rowid, row), *row[1:]) for rowid, row in numbered],
            )
            self._next_generation()
            self._commit(self._state().after([(rowid, row[0]) for rowid, row in numbered], removed))
        return np.arange(last + 1, last + 1 + len(rows), dtype=np.int64)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents in one durable transaction; unknown ids are passed over.

        Returns:
            How many there were.

        Raises:
            DataError: `ids` is not a list of strings.
            IndexLockedError, StorageError: As in `put`.
        """
        known = known_ids(ids)
        with self._committing():
            removed = self._delete(known)
            if removed:
                self._next_generation()
                self._commit(self._state().after(removed=removed))
        return len(removed)

    def update_metadata(self, ids: Sequence[str], metadata: Sequence[Mapping[str, object]], *, replace: bool) -> None:
        """Change the metadata of documents in one durable transaction; vectors and rowids stay as they are.

        Args:
            ids: n different ids of documents.
            metadata: n mappings of string keys to JSON values.
            replace: Put them in the place of what is there; else they are merged into it, key by key.

        Raises:
            DataError: Something is not as above, or there is no such document.
            IndexLockedError, StorageError: As in `put`. In all cases nothing was changed.
        """
        new = dict(zip(ids, check_documents(ids, [""] * len(ids), metadata), strict=True))
        with self._committing():
            for marks, part in chunks(list(new)):
                sql = f"SELECT id, rowid, checks, metadata FROM documents WHERE id IN ({marks})"
                found = {row[0]: row[1:] for row in self._database.rows(sql, part)}
                changed = []
                for id in part:
                    if id not in found:
                        raise DataError(f"there is no document {short(id)} in {self.path}: add it first")
                    rowid, checks, old = found[id]
                    with self._damage():
                        check_part(rowid, checks, METADATA, id, old)
                        both = new[id] if replace else encode_json(decode_metadata(old) | decode_metadata(new[id]))
                        changed.append((both, checks_with_metadata(checks, rowid, id, both), rowid))
                self._database.many("UPDATE documents SET metadata = ?, checks = ? WHERE rowid = ?", changed)
            if new:
                self._commit(self._state().after())

    def compact(self) -> None:
        """Give the space of removed documents back to the disk, which needs as much free space as the file has.

        Raises:
            IndexLockedError: Another process is writing.
            StorageError: The disk is full; nothing was changed.
        """
        with self.writing():
            self._database.rows("VACUUM")
            self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """One transaction of the only writer, which begins with a look at the index over ids."""
        with self.writing():
            with self._database.transaction():
                self._check_ids()
                yield
                commits = self._state().commits
            remember_commit(watermark_of(self.path), commits)

    def _commit(self, state: State) -> None:
        self._database.rows("UPDATE meta SET value = ? WHERE key = 'state'", (str(state),))

    def _delete(self, ids: list[str]) -> list[tuple[int, str]]:
        removed: list[tuple[int, str]] = []
        for marks, part in chunks(ids):
            removed += self._database.rows(f"SELECT rowid, id FROM documents WHERE id IN ({marks})", part)
            self._database.rows(f"DELETE FROM documents WHERE id IN ({marks})", part)
        return removed

    def _next_generation(self) -> None:
        self._database.rows("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")


def _check_meta(meta: Mapping[str, str]) -> None:
    check_strings("meta", [*meta.keys(), *meta.values()])
    for key in RESERVED:
        if key in meta:
            raise DataError(f"meta has the key {key!r}, which the store keeps itself: choose another")
