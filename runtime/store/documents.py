"""`DocumentStore`: documents in one SQLite file, verified against checksums on every read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import FloatArray, IntArray
from ...bounded_cache import BoundedCache
from ...errors import DataError, IndexFolderError, StorageError
from .checksums import (
    CODE,
    METADATA,
    TEXT,
    VECTOR,
    State,
    check_part,
    checks_with_metadata,
    row_checks,
    save_commit_count,
)
from .commits import Commits
from .epochs import Origin
from .filters import compile_filter
from .owners import made_up_by, owners_of, remove_owners, set_owners
from .row_encoding import (
    Record,
    ascending_rows,
    check_documents,
    check_ids,
    check_strings,
    decode_codes,
    decode_metadata,
    decode_vectors,
    encode_json,
    encode_rows,
    is_unicode,
    rowid_list,
    short,
    storable_ids,
)
from .schema import RESERVED, check_meta, check_schema, fill_schema, watermark_of
from .sqlite import Database, chunks, create_database, damage_errors, damaged
from .write_lock import WriterLock

FILTERS = 16  # results that are cached


class DocumentStore:
    """Documents with metadata, vectors and sparse codes; made by `create` or `open`, and a context manager.

    Threads may share a store. Any number of processes may read while one writes: every write is a durable transaction,
    and a second writer gets an IndexLockedError at once. Reads see the latest commit; `snapshot` holds several of them
    to one state.

    Every part of a document has a checksum that is verified when the part is read. The lists of row ids, of ids and of
    the metadata that filters read are compared with the committed totals before they are used.
    """

    def __init__(self, database: Database, d_in: int) -> None:
        self._database, self.d_in = database, d_in
        self.path, self.readonly = database.path, database.readonly
        self.lock = WriterLock(self.path.parent)
        """Held during writes."""
        self._filtered: BoundedCache[tuple[object, ...], IntArray] = BoundedCache(FILTERS)
        self._commits = Commits(database)
        self._checked_ids = False
        self._checked_metadata = 0  # last row id with verified metadata

    @classmethod
    def create(cls, path: Path, *, d_in: int, meta: Mapping[str, str]) -> DocumentStore:
        """Create an empty store and open it.

        Args:
            path: The SQLite file, which must not exist; its folder is created if missing.
            d_in: Width of the vectors, at least 1.
            meta: Further values to keep, with keys outside `RESERVED`.

        Raises:
            IndexFolderError: A file exists at `path`.
            DataError: `d_in` or `meta` is invalid.
            StorageError: The file cannot be written; nothing is left behind.
        """
        if d_in < 1:
            raise DataError(f"d_in is {d_in}: vectors need at least one number")
        check_meta(meta)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {path.parent}: {error.strerror or error}") from error
        with WriterLock(path.parent).held():
            if path.exists():
                raise IndexFolderError(f"{path} exists already: open it, or choose another folder")
            watermark_of(path).unlink(missing_ok=True)  # of an earlier store
            create_database(path, lambda database: fill_schema(database, d_in, meta))
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> DocumentStore:
        """Open a store; an IndexFolderError if the file is missing, or as in `check_schema`."""
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

    def __enter__(self) -> DocumentStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._commits.state.documents

    @property
    def meta(self) -> dict[str, str]:
        """The values kept next to the documents, as committed now."""
        rows = self._database.rows("SELECT key, value FROM meta")
        return {key: value for key, value in rows if key not in RESERVED[3:]}

    @property
    def generation(self) -> int:
        """Number of committed changes to the documents, without those that leave caches of the vectors valid."""
        return self._commits.generation

    @property
    def revision(self) -> str | None:
        """The name of the latest commit; None if an older version made it."""
        with self.snapshot():
            return self._commits.revision

    @property
    def metadata_changes(self) -> str:
        """A name that changes whenever the metadata of documents that were there does."""
        with self.snapshot():
            return self._commits.metadata_changes

    def removed_since(self, revision: str | None) -> IntArray | None:
        """Return the row ids that were removed after a revision; see `Revisions.removed_since`."""
        with self.snapshot():
            return self._commits.removed_since(revision)

    @property
    def origin(self) -> Origin:
        """What a cache that is made now is made of."""
        with self.snapshot():
            return self._commits.origin

    def is_origin_of(self, facts: Mapping[str, Any]) -> bool:
        """Return whether a cache was made of this store, or of a copy that had the same documents.

        Args:
            facts: The sidecar of the cache, which holds the fields of an `Origin`.
        """
        return self._commits.epochs.include(facts)

    def snapshot(self) -> AbstractContextManager[None]:
        """Show all reads inside ``with`` one committed state; writing inside it is refused."""
        return self._database.snapshot()

    def problems(self) -> list[str]:
        """Return the structural faults that SQLite finds; reads the whole file."""
        return [line for (line,) in self._database.rows("PRAGMA integrity_check") if line != "ok"]

    @property
    def free_bytes(self) -> int:
        """Space inside the file that removed documents left, in bytes."""
        return self._database.free_bytes

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the documents of `ids`, in that order; None for an unknown id."""
        ids, found = check_ids(ids), dict[str, Record]()
        with self.snapshot():
            self._check_ids()
            for marks, part in chunks(storable_ids(ids)):
                found |= {record.id: record for record in self._records(f"id IN ({marks})", part)}
        return [found.get(id) for id in ids]

    def owners_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the documents of `ids` whose id a source made up: id -> the prefix of that source."""
        return owners_of(self._database, storable_ids(ids))

    def made_up_by(self, source: str) -> list[str]:
        """Return the ids that the source with this prefix made up."""
        return made_up_by(self._database, source)

    def without_epoch(self, ids: Sequence[str]) -> list[str]:
        """Return those of `ids` whose documents were added before the first known epoch, by an older version."""
        begun = self._commits.epochs.oldest
        return [r.id for r in self.get(ids) if r is not None and (begun is None or r.rowid < begun)]

    def has_prefix(self, prefix: str) -> bool:
        """Return whether the id of a document begins with `prefix`."""
        found = self._database.rows("SELECT id FROM documents WHERE id >= ? ORDER BY id LIMIT 1", (prefix,))
        return bool(found) and str(found[0][0]).startswith(prefix)

    def ids_beginning(self, prefix: str) -> list[str]:
        """Return the ids that begin with `prefix`, ascending; `prefix` is not empty."""
        if not is_unicode(prefix):
            return []
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        with self.snapshot():
            self._check_ids()
            found = self._database.rows("SELECT id FROM documents WHERE id >= ? AND id < ? ORDER BY id", (prefix, end))
        return [id for (id,) in found]

    def by_rowid(self, rowids: ArrayLike) -> list[Record]:
        """Return the documents of `rowids`, in that order, without those that were deleted meanwhile."""
        wanted = rowid_list(rowids)
        found: dict[int, Record] = {}
        with self.snapshot():
            for marks, part in chunks(wanted):
                found |= {record.rowid: record for record in self._records(f"rowid IN ({marks})", part)}
            if len(found) < len(set(wanted)) and not set(wanted).isdisjoint({*self.rowids().tolist()} - {*found}):
                raise damaged(self.path, "a document cannot be found")
        return [found[rowid] for rowid in wanted if rowid in found]

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """Return the vectors of `rowids`, in that order, shape (n, d_in); a DataError for an unknown one."""
        return self._vectors(self._columns(rowid_list(rowids), "vector", VECTOR))

    def vectors_by_id(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the vectors of `ids`, in that order, shape (d_in,) each; None for an unknown id."""
        ids = check_ids(ids)
        found = {id: vector for id, _, vector in zip(*self.located(ids), strict=True)}
        return [found.get(id) for id in ids]

    def located(self, ids: Sequence[str]) -> tuple[list[str], IntArray, FloatArray]:
        """Return those of `ids` that are known, each once, their row ids (n,), and their vectors (n, d_in)."""
        ids, found = check_ids(ids), dict[str, tuple[int, bytes]]()
        with self.snapshot(), self._damage_errors():
            self._check_ids()
            for marks, part in chunks(storable_ids(ids)):
                sql = f"SELECT rowid, checks, id, metadata, vector FROM documents WHERE id IN ({marks})"
                for rowid, checks, id, metadata, vector in self._database.rows(sql, part):
                    check_part(rowid, checks, METADATA, id, metadata)
                    check_part(rowid, checks, VECTOR, vector)
                    found[id] = rowid, vector
        known = [id for id in dict.fromkeys(ids) if id in found]
        rowids = np.array([found[id][0] for id in known], np.int64)
        return known, rowids, self._vectors([(found[id][1],) for id in known])

    def codes_of(self, rowids: ArrayLike) -> tuple[IntArray, FloatArray]:
        """Return the sparse codes of `rowids`, in that order: indices and values, (n, k) each.

        Codes shorter than k are padded with latent 0, value 0. A row id that does not exist is a DataError.
        """
        return self._codes(self._columns(rowid_list(rowids), "latents, values_", CODE))

    def rowids(self) -> IntArray:
        """Return all row ids, ascending."""
        with self.snapshot():
            rowids, state = ascending_rows(self._database.rows("SELECT rowid FROM documents")), self._commits.state
        if (len(rowids), int(rowids.sum())) != (state.documents, state.rowids):
            raise damaged(self.path, f"{len(rowids)} of {state.documents} documents are listed")
        return rowids

    def rowids_after(self, rowid: int) -> IntArray:
        """Return the row ids above one, ascending, without a check that none is missing."""
        return ascending_rows(self._database.rows("SELECT rowid FROM documents WHERE rowid > ?", (rowid,)))

    def rowids_where(
        self, filter: Mapping[str, object] | None, where: Callable[[str, Sequence[Any]], IntArray] | None = None
    ) -> IntArray:
        """Return the row ids of the documents that match a filter, ascending; errors as in `compile_filter`.

        `where` finds those for which an SQL expression with parameters holds; by default the documents are read.
        """
        expression, parameters = compile_filter(filter)
        with self.snapshot():
            key = (self._commits.state.commits, expression, *parameters)
            return self._filtered.get_or_make(key, lambda: (where or self._filter)(expression, parameters))

    def filter_is_cached(self, filter: Mapping[str, object]) -> bool:
        """Return whether the result of `rowids_where` for this filter is cached."""
        expression, parameters = compile_filter(filter)
        return (self._commits.state.commits, expression, *parameters) in self._filtered

    def matching(self, rowids: IntArray, filter: Mapping[str, object]) -> IntArray:
        """Return those of `rowids` that match, as `rowids_where`, in that order; reads no other document."""
        expression, parameters = compile_filter(filter)
        found: set[int] = set()
        with self.snapshot():
            self._columns(rowid_list(rowids), "id, metadata", METADATA)  # verifies the checksums
            for marks, some in chunks(rowid_list(rowids)):
                sql = f"SELECT d.rowid FROM documents d WHERE d.rowid IN ({marks}) AND {expression}"
                found |= {row for (row,) in self._database.rows(sql, [*some, *parameters])}
        return rowids[[row in found for row in rowids.tolist()]]

    def iter_vectors(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield blocks of (row ids, vectors), ascending; use inside `snapshot` if others may write."""
        for rowids, rows in self._blocks("vector", VECTOR, after_rowid, batch):
            yield rowids, self._vectors(rows)

    def iter_codes(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        """Yield blocks of (row ids, indices, values), ascending; indices and values as in `codes_of`."""
        for rowids, rows in self._blocks("latents, values_", CODE, after_rowid, batch):
            yield rowids, *self._codes(rows)

    def iter_texts(self, after_rowid: int = 0, batch: int = 1024) -> Iterator[tuple[IntArray, list[str]]]:
        """Yield blocks of (row ids, texts), ascending."""
        for rowids, rows in self._blocks("text", TEXT, after_rowid, batch):
            yield rowids, [text for (text,) in rows]

    def iter_metadata(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, list[str]]]:
        """Yield blocks of (row ids, metadata as JSON), ascending."""
        for rowids, rows in self._blocks("id, metadata", METADATA, after_rowid, batch):
            yield rowids, [metadata for _, metadata in rows]

    def iter_chunks(self) -> Iterator[tuple[str, int]]:
        """Yield (id, number) of every document whose id and metadata are those of a chunk, see `store.pieces`."""
        place = "json_extract(metadata, '$.chunk')"
        kinds = " AND ".join(f"json_type(metadata, '$.{name}') IS NOT NULL" for name in ("start", "end"))
        # The ids are in an index of their own, and rows without the sign are not read.
        marked = "SELECT rowid FROM documents WHERE instr(CAST(id AS BLOB), x'23')"
        sql = f"SELECT id, {place} FROM documents WHERE rowid IN ({marked}) AND {kinds}"
        for id, number in self._database.rows(f"{sql} AND json_type(metadata, '$.chunk') = 'integer'"):
            if id.endswith(f"#{number}"):
                yield id, number

    def ids_of(self, rowids: ArrayLike) -> list[str]:
        """Return the ids of `rowids`, in that order; a DataError for an unknown one."""
        return [str(id) for id, _ in self._columns(rowid_list(rowids), "id, metadata", METADATA)]

    def ids_with(self, words: str, limit: int) -> list[str]:
        """Return some ids that hold `words`, in the order in which they were added; for messages."""
        rows = self._database.rows("SELECT id FROM documents WHERE instr(id, ?) LIMIT ?", (words, limit))
        return [id for (id,) in rows]

    def iter_rows(self, batch: int = 1024) -> Iterator[list[tuple[Any, ...]]]:
        """Yield blocks of unverified rows: row id, checks, id, metadata, text, vector, latents, values."""
        columns = "rowid, checks, id, metadata, text, vector, latents, values_"
        sql = f"SELECT {columns} FROM documents WHERE rowid > ? ORDER BY rowid LIMIT ?"
        for _, rows in self._ordered(sql, 0, batch):
            yield rows

    def check_lists(self) -> list[str]:
        """Compare the row ids and the index over ids with the committed totals; return what is wrong."""
        problems = []
        for check in (self.rowids, self._check_ids):
            try:
                check()
            except IndexFolderError as error:
                problems.append(str(error))
        return problems

    def set_meta(self, key: str, value: str) -> None:
        """Keep one more value next to the documents.

        Raises:
            DataError: The key is reserved, or key or value is not text. Other errors as in `put`.
        """
        check_meta({key: value})
        with self._committing():
            self._database.rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            self._commits.record()

    def set_owners(self, owners: Mapping[str, str]) -> None:
        """Record of documents that a source made up their ids, as `made_up` of `put`, whose errors this has too."""
        with self._committing():
            set_owners(self._database, owners)
            self._commits.record()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write to the folder; re-entrant. Other threads of this store wait.

        Raises:
            IndexLockedError: Another process, or another store of this process, is writing.
            StorageError: The store is read-only, or the lock file cannot be written.
            IndexFolderError: The file was moved, replaced or deleted.
        """
        self._database.check_writable()
        # Before the lock, which would be made in another folder, and again after the wait for it.
        self._database.check_in_place()
        with self.lock.held():
            self._database.check_in_place()
            yield

    @property
    def in_place(self) -> bool:
        """Whether the path still names the file that was opened."""
        return self._database.in_place

    def put(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[Mapping[str, object]],
        vectors: ArrayLike,
        latents: ArrayLike,
        values: ArrayLike,
        made_up: Mapping[str, str] | None = None,
        remove: Sequence[str] = (),
    ) -> IntArray:
        """Add documents, replacing those with the same id, in one durable transaction.

        Args:
            ids: n different, non-empty strings.
            texts: n strings.
            metadata: n mappings of string keys to JSON values; tuples become lists.
            vectors: Shape (n, d_in), float32, finite.
            latents: Shape (n, k), integers >= 0; k may be 0.
            values: Shape (n, k), float32, finite.
            made_up: The ids that a source made up -> the prefix of that source, as `owners_of` returns them.
            remove: Ids of further documents that go in the same transaction, such as chunks of those.

        Returns:
            The row ids, shape (n,), int64: new ones, greater than all before, also for replaced documents.

        Raises:
            DataError: An argument is invalid; the message names the first offender.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full or not writable. In all cases nothing was changed.
        """
        rows = encode_rows(ids, texts, metadata, vectors, latents, values, d_in=self.d_in)
        if not rows:
            return np.empty(0, np.int64)
        with self._committing():
            last = self._commits.last_row
            self._commits.begin_epoch(last + 1)
            removed = self._delete(list(dict.fromkeys([*(row[0] for row in rows), *remove])))
            numbered = [(last + 1 + i, row) for i, row in enumerate(rows)]
            self._database.many(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(rowid, row[0], row_checks(rowid, row), *row[1:]) for rowid, row in numbered],
            )
            set_owners(self._database, made_up or {})
            self._commits.record([(rowid, row[0]) for rowid, row in numbered], removed)
        return np.arange(last + 1, last + 1 + len(rows), dtype=np.int64)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents in one durable transaction and return their number; errors as in `put`.

        Unknown ids are ignored.
        """
        known = storable_ids(ids)
        with self._committing():
            removed = self._delete(known)
            if removed:
                self._commits.record(removed=removed)
        return len(removed)

    def update_metadata(self, ids: Sequence[str], metadata: Sequence[Mapping[str, object]], *, replace: bool) -> None:
        """Change the metadata of documents in one durable transaction; vectors and row ids stay. Arguments as in `put`.

        Without `replace`, old and new metadata are merged key by key.

        Raises:
            DataError: An argument is invalid, or an id is unknown. Other errors as in `put`; nothing was changed.
        """
        ids = check_strings("ids", ids)
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
                    with self._damage_errors():
                        check_part(rowid, checks, METADATA, id, old)
                        both = new[id] if replace else encode_json(decode_metadata(old) | decode_metadata(new[id]))
                        changed.append((both, checks_with_metadata(checks, rowid, id, both), rowid))
                self._database.many("UPDATE documents SET metadata = ?, checks = ? WHERE rowid = ?", changed)
            if new:
                self._commits.record(metadata=True)

    def compact(self) -> None:
        """Return the space of removed documents to the disk, which needs as much free space as the file has."""
        with self.writing():
            self._database.rows("VACUUM")
            self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def _filter(self, expression: str, parameters: Sequence[Any]) -> IntArray:
        self._check_metadata()
        return ascending_rows(self._database.rows(f"SELECT d.rowid FROM documents d WHERE {expression}", parameters))

    def _check_ids(self) -> None:
        """Verify the index over ids once: a damaged one would hide documents."""
        if self._checked_ids:
            return
        with self.snapshot(), self._damage_errors():
            last, seen, expected = "", State(), self._commits.state
            sql = "SELECT rowid, id FROM documents WHERE id > ? ORDER BY id LIMIT 4096"
            while seen.documents <= expected.documents and (rows := self._database.rows(sql, (last,))):
                seen, last = seen.after(rows), rows[-1][1]
            if seen[1:] != expected[1:]:
                raise ValueError("its index of ids is not what was stored")
        self._checked_ids = True

    def _check_metadata(self) -> None:
        """Verify all metadata once: a filter would silently skip a damaged document."""
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
        with self._damage_errors():
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
        with self._damage_errors():
            for rowid, checks, *columns in rows:
                check_part(rowid, checks, part, *columns)
        return [row[2:] for row in rows]

    def _damage_errors(self) -> AbstractContextManager[None]:
        """Report undecodable content as a damaged file."""
        return damage_errors(self.path)

    def _vectors(self, rows: list[tuple[bytes, ...]]) -> FloatArray:
        with self._damage_errors():
            return decode_vectors([vector for (vector,) in rows], self.d_in)

    def _codes(self, rows: list[tuple[bytes, ...]]) -> tuple[IntArray, FloatArray]:
        with self._damage_errors():
            return decode_codes(rows)

    @contextmanager
    def _committing(self) -> Iterator[None]:
        with self.writing():
            with self._database.transaction():
                self._check_ids()
                yield
                commits = self._commits.state.commits
                self._database.check_in_place()
            # The number is of this file, and not of one that replaced it meanwhile.
            if self._database.in_place:
                save_commit_count(watermark_of(self.path), commits)

    def _delete(self, ids: list[str]) -> list[tuple[int, str]]:
        removed: list[tuple[int, str]] = []
        for marks, part in chunks(ids):
            removed += self._database.rows(f"SELECT rowid, id FROM documents WHERE id IN ({marks})", part)
            self._database.rows(f"DELETE FROM documents WHERE id IN ({marks})", part)
        remove_owners(self._database, [id for _, id in removed])
        return removed
