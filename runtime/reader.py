"""Reading a document store: nothing that comes back was altered on the disk since it was written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError, IndexFolderError
from ..metrics import FloatArray, IntArray
from .checks import CODE, METADATA, TEXT, VECTOR, State, check_part
from .database import Database, chunks, damaged
from .filters import compile_filter
from .records import Record, decode_codes, decode_metadata, decode_vectors, is_unicode
from .schema import check_schema
from .writer import WriterLock

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
