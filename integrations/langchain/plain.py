"""A durable store without a bundle: the vectors of any embedder, searched by cosine, until a bundle is given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from ...arrays import FloatArray
from ...errors import ConfigError, DataError, IndexFolderError, IndexLockedError, StorageError
from ...runtime.bundle.bundle import Bundle
from ...runtime.index import DATABASE, Hit
from ...runtime.search.dense import Backend, VectorIndex, check_backend, open_index, sync
from ...runtime.store.documents import DocumentStore
from ...runtime.store.row_encoding import Record
from .embeddings import SAME_SPACE

BATCH = 512
_CODED = "model_digest"
"""In the database's meta once documents have codes; a `SteerableIndex` opens then."""


def is_plain(folder: Path) -> bool:
    """Whether there is a store at `folder` whose documents have no codes.

    Raises:
        IndexFolderError: The database is damaged.
    """
    if not (folder / DATABASE).is_file():
        return False
    with DocumentStore.open(folder / DATABASE) as store:
        return _CODED not in store.meta


class PlainIndex:
    """Documents and unit vectors in a folder, with the methods of `SteerableIndex` that need no bundle.

    Args:
        folder: Made when missing.
        d_in: Width of the vectors; None takes that of a store that is there.
        backend: As in `SteerableIndex.create`.

    Raises:
        IndexFolderError: Something else is at `folder`, or it is damaged.
        StorageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, d_in: int | None, backend: Backend) -> None:
        check_backend(backend)
        if d_in is not None:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise IndexFolderError(f"{folder} exists and is not an index: choose another folder")
            DocumentStore.create(folder / DATABASE, d_in=d_in, meta={}).close()
        self.path, self._backend = folder, backend
        self._store = DocumentStore.open(folder / DATABASE)
        self._lock = RLock()
        self._vectors: VectorIndex | None = None
        self._generation = -1

    def __len__(self) -> int:
        return len(self._store)

    def add(
        self,
        texts: Sequence[str],
        ids: Sequence[str],
        metadata: Sequence[Mapping[str, Any]],
        *,
        embeddings: FloatArray,
    ) -> list[str]:
        """Add documents in one transaction; an id that is there already is replaced."""
        self._check(embeddings)
        codes = np.empty((len(texts), 0))
        self._store.put(ids, texts, metadata, embeddings, codes.astype(np.int64), codes)
        return list(ids)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents; returns how many there were."""
        return self._store.delete(ids)

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The stored documents, None where there is none."""
        return self._store.get(ids)

    def search(
        self,
        query: FloatArray,
        k: int,
        *,
        boost: object = None,
        clamp: object = None,
        keep: object = None,
        protect: object = None,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """The best documents by cosine; `keep` and `protect` mean nothing without a boost.

        Raises:
            ConfigError: k is out of range, or there is something to steer.
            FilterError: The filter has a syntax error.
            DataError: The query has another width.
        """
        if boost or clamp:
            raise ConfigError(f"{self.path} has no bundle, so it cannot be steered: open it with bundle=")
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ConfigError(f"k is {k!r}: it must be a whole number of at least 1")
        self._check(query[None])
        allowed = self._store.rowids_where(filter) if filter else None
        with self._lock:
            if self._vectors is None:
                self._vectors = open_index(self._store, self.path / "cache", self._backend)
            self._generation = sync(self._vectors, self._store)
            rows, scores = self._vectors.search(query, int(k), allowed)
            records = {record.rowid: record for record in self._store.by_rowid(rows)}
        pairs = [(records[int(row)], float(s)) for row, s in zip(rows, scores, strict=True) if int(row) in records]
        return [Hit(rank, doc.id, score, doc.text, doc.metadata) for rank, (doc, score) in enumerate(pairs, 1)]

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """The unit vectors of documents, None where there is none."""
        return self._store.vectors_by_id(ids)

    def encode(self, bundle: Bundle) -> None:
        """Give every document its code, so that a `SteerableIndex` can open the folder; can be repeated after a kill.

        Raises:
            ConfigError: The vectors have another width, or the first text has another vector under the bundle.
            IndexLockedError, StorageError: As in `SteerableIndex.add`.
        """
        if self._store.d_in != bundle.d_in:
            raise ConfigError(
                f"{self.path} holds vectors of {self._store.d_in} numbers and the bundle {bundle.path} takes "
                f"{bundle.d_in}: use the bundle of the embedder that made them, or add the documents to a new folder"
            )
        rows = self._store.rowids()
        if len(rows):
            first = self._store.by_rowid(rows[:1])[0]
            cosine = float(bundle.embed([first.text])[0] @ self._store.vectors_of(rows[:1])[0])
            if cosine < SAME_SPACE:
                raise ConfigError(
                    f"{self.path}: the vector of document {first.id!r} and the bundle's embedding of its text have "
                    f"cosine {cosine:.2f}, expected at least {SAME_SPACE}: use the bundle of the embedder that made it"
                )
        for start in range(0, len(rows), BATCH):  # in their order, which `put` keeps
            part = rows[start : start + BATCH]
            records, vectors = self._store.by_rowid(part), self._store.vectors_of(part)
            columns = [r.id for r in records], [r.text for r in records], [r.metadata for r in records]
            self._store.put(*columns, vectors, *bundle.encode(vectors))
        self._store.set_meta("k", str(bundle.k))
        self._store.set_meta("bundle", os.path.relpath(bundle.path.resolve(), self.path.resolve()))
        self._store.set_meta(_CODED, bundle.manifest.model_digest)  # the last: from here on it is a steerable index

    def close(self) -> None:
        """Write the cache if it can be written, then let go of the folder; harmless twice."""
        if self._vectors is not None:
            with suppress(IndexLockedError, StorageError), self._store.writing():
                self._vectors.save(self.path / "cache", self._generation)
            self._vectors = None
        self._store.close()

    def _check(self, rows: FloatArray) -> None:
        if rows.ndim != 2 or rows.shape[1] != self._store.d_in:
            raise DataError(
                f"the vectors have {rows.shape[-1]} numbers and {self.path} holds {self._store.d_in}: "
                "use the embedder that it was made with"
            )
