"""The cosines of texts to their nearest documents, kept while those documents are there."""

from __future__ import annotations

import numpy as np

from ...arrays import FloatArray
from ..store.documents import DocumentStore
from .backends import VectorIndex

KEPT = 512
"""Rows whose nearest document is kept: reference words and phrases."""


class Nearest:
    """The nearest document of rows that are asked for again and again; the caller holds a snapshot of the store.

    A removal takes away only what was nearest to a row. After an addition, and after a write by another process, every
    row is searched for again.
    """

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self._revision: str | None = None
        self._last_row = 0
        self._found: dict[bytes, tuple[int, float]] = {}

    def of(self, index: VectorIndex, rows: FloatArray) -> FloatArray:
        """Return the cosine of each unit row (n, d_in) to its nearest document, shape (n,); empty without documents."""
        self._update()
        return np.array([score for row in rows for score in self._one(index, row)], np.float32)

    def _one(self, index: VectorIndex, row: FloatArray) -> list[float]:
        key = row.tobytes()
        if key not in self._found:
            rowids, scores = index.search(row, 1)
            if not len(rowids):
                return []
            if len(self._found) >= KEPT:
                self._found.clear()
            self._found[key] = int(rowids[0]), float(scores[0])
        return [self._found[key][1]]

    def _update(self) -> None:
        removed, last_row = self._store.removed_since(self._revision), self._store.origin.last_row
        if removed is None or last_row != self._last_row:
            self._found.clear()
        elif len(removed):
            gone = set(removed.tolist())
            self._found = {key: pair for key, pair in self._found.items() if pair[0] not in gone}
        self._revision, self._last_row = self._store.revision, last_row
