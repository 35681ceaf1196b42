"""`Query`: a steered query as every view takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from ...arrays import FloatArray, IntArray
from ..steering.steered_query import SteeredQuery

RankedRows: TypeAlias = tuple[IntArray, FloatArray]
"""Row ids and scores, best first, ties by row id."""
Fusion: TypeAlias = Literal["rrf"] | Mapping[str, float]
"""`"rrf"`, or a weight for each of the views `dense`, `latent` and `words`; omitted views are not searched."""


@dataclass(frozen=True)
class Query:
    """A steered query with the options of its search."""

    steered: SteeredQuery
    fusion: Fusion = "rrf"
    """Fusion method of `hybrid`."""
    idf: bool = False
    """Weigh latents by their inverse document frequency, in the latent view."""

    @property
    def alone(self) -> Query:
        """The same query without concepts as conditions."""
        return replace(self, steered=self.steered.alone)

    @property
    def unsteered(self) -> Query:
        """The same query without steering."""
        return replace(self, steered=self.steered.unsteered)


def cosines(ranked: RankedRows) -> RankedRows:
    """Return ranked rows whose scores are cosines: the product of two unit rows of float32 may be 1.0000001."""
    rows, scores = ranked
    return rows, np.clip(scores, np.float32(-1), np.float32(1))


def best_rows(rows: IntArray, scores: FloatArray, k: int) -> RankedRows:
    """Return the `k` best scores, best first, ties by row; fewer if there are fewer."""
    k = min(k, len(rows))
    if k == 0:
        return rows[:0], scores[:0]
    cut = np.partition(scores, len(scores) - k)[len(scores) - k]
    # All ties with the last place, so that they break by row and not at random.
    kept = np.flatnonzero(scores >= cut)
    order = kept[np.lexsort((rows[kept], -scores[kept]))][:k]
    return rows[order], scores[order]
