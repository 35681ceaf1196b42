"""The reconstruction view: search by decoded codes, as in the paper."""

from __future__ import annotations

import numpy as np

from ...arrays import FloatArray, IntArray, unit_rows
from .query import Query, RankedRows, best_rows, cosines
from .view import Source, View, read_new_codes


class ReconstructionView(View):
    """Search by ``cos(q_hat', d_hat)``: the decoded steered code of the query against decoded documents.

    The paper uses the inner product. A reconstruction is shorter the less of a text it captures; the cosine, at no
    extra cost, does not penalise long texts for that.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._rows: IntArray = np.empty(0, np.int64)
        self._matrix: FloatArray = np.empty((0, 0), np.float32)

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return the documents with the nearest reconstructions; see `View.search`. Codes may be negative."""
        change = query.steered.change
        decoded = unit_rows(self._bundle.decode(change.latents[None], change.after[None]))[0]
        scores = self._matrix @ decoded
        keep = slice(None) if allowed is None else np.isin(self._rows, allowed)
        return cosines(best_rows(self._rows[keep], scores[keep], k))

    def _update(self) -> None:
        rows = self._store.rowids()
        matrix, start = np.empty((len(rows), self._bundle.d_in), np.float32), 0
        for indices, values in read_new_codes(self._store, rows):
            matrix[start : start + len(indices)] = unit_rows(self._bundle.decode(indices, values))
            start += len(indices)
        self._rows, self._matrix = rows, matrix
