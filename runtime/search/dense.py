"""The dense view: search by embeddings, the default."""

from __future__ import annotations

from ...arrays import IntArray
from .backends import VectorIndex, build_index, open_index, sync
from .query import Query, RankedRows, cosines
from .view import SavedView


class DenseView(SavedView[VectorIndex]):
    """Search by the cosine of the steered query with the vectors of documents."""

    needs_bundle = False

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return the documents with the nearest vectors; see `View.search`."""
        assert self._index is not None, "synced before it is searched"
        return cosines(self._index.search(query.steered.vector, k, allowed))

    def rebuild(self) -> None:
        """Rebuild the index of the vectors."""
        self.close()
        with self._store.snapshot():
            self._index = build_index(self._store, self._source.backend)
            self._stamp()

    def close(self) -> None:
        """Stop building, and release the mapped file."""
        if self._index is not None:
            self._index.close()
        self._index, self.generation = None, None

    def _forget(self) -> None:
        self.close()

    def _update(self) -> None:
        if self._index is None:
            self._index = open_index(self._store, self._source.folder, self._source.backend)
        sync(self._index, self._store, self._store.removed_since(self._revision))
