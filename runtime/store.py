"""The documents of an index, in SQLite: the only truth; matrices and graphs beside it are caches."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError, IndexFolderError, StorageError
from ..metrics import IntArray
from .checks import METADATA, State, check_part, remember_commit, row_checks
from .checks import with_metadata as checks_with_metadata
from .database import chunks, create_database
from .reader import StoreReader, known_ids
from .records import (
    check_documents,
    check_strings,
    decode_metadata,
    encode_json,
    encode_rows,
    short,
)
from .schema import RESERVED, fill_schema, watermark_of
from .writer import WriterLock


class DocumentStore(StoreReader):
    """Documents with metadata, vectors and sparse codes. Make one with `create` or `open`; use it in ``with``.

    Threads may share a store. Any number of processes may read while one writes: every write is one durable
    transaction, and a second writer gets an IndexLockedError at once. Reads see what is committed when they run;
    `snapshot` holds several of them to one state.
    """

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
