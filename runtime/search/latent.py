"""The latent view: search by sparse codes."""

from __future__ import annotations

import numpy as np

from ...arrays import IntArray
from .inverted_lists import InvertedLists
from .query import Query, RankedRows, cosines
from .view import CachedView, read_new_codes


class LatentView(CachedView[InvertedLists]):
    """Search by the cosine of the steered code with the codes of documents; see `InvertedLists`."""

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return the documents with the nearest codes; see `View.search`."""
        ranked = self.index.search(query.steered.change, k, allowed, idf=query.idf)
        # Weighted by document frequency they are no cosines.
        return ranked if query.idf else cosines(ranked)

    def _load(self) -> InvertedLists | None:
        fits = self._store.is_origin_of
        return InvertedLists.load(self._source.folder, n_latents=self._bundle.n_latents, fits=fits)

    def _new(self) -> InvertedLists:
        return InvertedLists(np.empty(0, np.int64), [], self._bundle.n_latents)

    def _add(self, index: InvertedLists, rows: IntArray) -> None:
        index.add(rows, read_new_codes(self._store, rows))

    def _matches_store(self, index: InvertedLists, rows: IntArray) -> bool:
        return index.has(rows, *self._store.codes_of(rows))
