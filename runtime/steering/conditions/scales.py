"""`Scales`: how similar documents are to a direction, as standard deviations from the average document."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray
from ....bounded_cache import BoundedCache

SAMPLE = 1_000
"""Documents of an index that are measured."""
FEW = 16
"""As many documents as the prior weighs: of an index with fewer, the prior decides."""
HUNDREDTH = 0.01
NEAR = 0.05
"""Share of the sample that says which words of a query are about what it is about."""
CACHED = 512
PRIOR_TOP = 2.7
"""How far the most similar hundredth of normally distributed documents stands out."""
PRIOR = 0.1
"""Deviation of the prior. Of queries and documents of one field, MiniLM's cosines have deviations of .08 to .12."""


class Scales:
    """Mean and deviation of similarities to documents, from a sample of them.

    The mean cosine of a query with all documents, and its deviation, depend on the query, the corpus and the embedder.
    ``z = (direction . d - mean) / deviation`` does not: it says how far a document stands out.

    Args:
        rows: Vectors of documents, unit length, shape (n, d_in); None or empty if there are none.
        prior_mean: The mean of the reference corpus, shape (d_in,), which counts as much as `FEW` documents.
    """

    def __init__(self, rows: FloatArray | None, prior_mean: FloatArray) -> None:
        n = 0 if rows is None else len(rows)
        self._share = n / (n + FEW)
        self._centred: FloatArray = np.zeros((0, len(prior_mean)), np.float32)
        self.mean: WideArray = prior_mean.astype(np.float64)
        """Of documents, shape (d_in,)."""
        self.concepts: BoundedCache[tuple[bytes, bytes], Any] = BoundedCache(CACHED)
        """What was measured of a concept, by its latents and amounts."""
        if rows is not None and n:
            mean = rows.mean(0, dtype=np.float64)
            self._centred = np.ascontiguousarray(rows - mean.astype(np.float32))
            self.mean = self._share * mean + (1 - self._share) * self.mean

    def along(self, direction: WideArray) -> FloatArray:
        """Return how far the documents of the sample lie along a direction, beside their mean, shape (n,)."""
        found: FloatArray = self._centred @ direction.astype(np.float32)
        return found

    def measured(
        self, direction: WideArray, least: float = 1e-9, along: FloatArray | None = None
    ) -> tuple[WideArray, float]:
        """Return a direction in standard deviations, and how far the most similar documents stand out along it.

        Args:
            direction: Of any length, shape (d_in,).
            least: Deviation below which it is taken as this, so that what is hardly there stays small.
            along: What `along` returns, if it is known.

        Returns:
            The direction divided by its deviation, so that ``result . (d - mean)`` is z, and the mean z of the most
            similar hundredth of the documents.
        """
        variance, best = (1 - self._share) * PRIOR**2 * float(direction @ direction), 0.0
        if n := len(self._centred):
            z = self.along(direction) if along is None else along
            variance += self._share * float(z @ z) / n
            count = max(1, round(HUNDREDTH * n))
            best = float(np.partition(z, n - count)[n - count :].mean())
        deviation = max(float(np.sqrt(variance)), least)
        result: WideArray = direction / deviation
        return result, self._share * best / deviation + (1 - self._share) * PRIOR_TOP

    @staticmethod
    def nearest(along: FloatArray) -> IntArray:
        """Return the places in the sample of the documents that lie farthest along a direction, shape (m,)."""
        count = min(len(along), max(1, round(NEAR * len(along))))
        found: IntArray = np.sort(np.argpartition(-along, count - 1)[:count]) if count else np.zeros(0, np.int64)
        return found

    def correlations(self, directions: WideArray) -> WideArray:
        """Return the correlations of standardised directions (m, d_in) over documents, -1 to 1, shape (m, m)."""
        found: WideArray = (1 - self._share) * PRIOR**2 * (directions @ directions.T)
        if n := len(self._centred):
            z = (self._centred @ directions.T.astype(np.float32)).astype(np.float64)  # (n, m)
            found += self._share / n * (z.T @ z)
        return np.clip(found, -1, 1)
