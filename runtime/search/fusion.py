"""The hybrid view: rank fusion of the dense, latent and words views."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from ...arrays import IntArray
from ...errors import ConfigError
from ...text import shown
from .query import Fusion, Query, RankedRows, best_rows
from .terms import search_terms
from .view import View

Search: TypeAlias = Callable[[str, int, IntArray | None], RankedRows]
"""(view, k, allowed) -> row ids and scores, best first."""

FUSED = ("dense", "latent", "words")
DEPTH = 100
"""Candidates of each view, or k if that is more."""
RRF_K = 60
_LOWEST = {"dense": -1.0, "latent": 0.0, "words": 0.0}
"""Lowest score of a query without terms in each view; a moved query may go below it, which counts as the lowest."""
_NOTHING = dict.fromkeys(FUSED, 0.0)


class HybridView(View):
    """Search the dense, latent and words views and fuse the results; see `fuse`."""

    needs_words = True
    joins_views = True
    allows_post_filter = False

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return the best documents of all views together; see `View.search`."""
        best: dict[str, float] = {}

        def search(view: str, k: int, allowed: IntArray | None) -> RankedRows:
            searched = self._source.view(view)
            if not query.steered.terms:
                return searched.search(query, k, allowed)
            rows, scores = search_terms(searched, self._source, query, k, allowed)
            # Of logarithms, relative to the best of the view: however far below 0 all are, they stay apart.
            top = best.setdefault(view, float(scores[0]) if len(scores) else 0.0)
            return rows, np.exp(scores - np.float32(top))

        return fuse(search, query.fusion, k, allowed, _NOTHING if query.steered.terms else _LOWEST)

    def _update(self) -> None:
        """Do nothing: the fused views are synced when they are searched."""


def check_fusion(fusion: Fusion) -> None:
    """Check the fusion method of `hybrid`; ConfigError if it is invalid."""
    if isinstance(fusion, Mapping):
        named = all(view in FUSED for view in fusion)
        if named and all(_is_weight(weight) for weight in fusion.values()) and any(fusion.values()):
            return
    elif isinstance(fusion, str) and fusion == "rrf":
        return
    raise ConfigError(
        f"fusion is {shown(fusion)}: give 'rrf', or weights of at least 0, not all 0, for example "
        "{'dense': 0.6, 'latent': 0.2, 'words': 0.2}"
    )


def fuse(
    search: Search, fusion: Fusion, k: int, allowed: IntArray | None, lowest_of: Mapping[str, float] = _LOWEST
) -> RankedRows:
    """Search several views and fuse their rankings.

    `"rrf"` is reciprocal rank fusion, ``sum_view 1 / (60 + rank)`` over the views that return a document. Weights make
    a convex combination of scores normalised to 0 to 1 by ``(score - lowest) / (best - lowest)``, where the lowest is
    the theoretical minimum of the view: -1 for cosines of embeddings, 0 for cosines of codes (which are not negative)
    and for BM25. Each view scores the documents that the others return.

    A query with terms is ranked by them in every view, so that what one view takes away no other brings back.

    References:
        Cormack, Clarke and Buettcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
        Methods", SIGIR; Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS
        (theoretical minimum, scores filled in).
    """
    weights = dict.fromkeys(FUSED, 1.0) if fusion == "rrf" else _shares(fusion)
    found = {view: search(view, max(k, DEPTH), allowed) for view in weights}
    rows = np.unique(np.concatenate([some for some, _ in found.values()]))
    total = np.zeros(len(rows))
    for view, weight in weights.items():
        ranked, scores = found[view]
        if fusion == "rrf":
            total[np.searchsorted(rows, ranked)] += 1 / (RRF_K + np.arange(1, len(ranked) + 1))
        elif len(ranked):
            lowest = lowest_of[view]
            span = float(scores[0]) - lowest
            ranked, scores = search(view, len(rows), rows)
            if span > 0:
                parts = np.maximum(scores.astype(np.float64) - lowest, 0) / span
                total[np.searchsorted(rows, ranked)] += weight * parts
    return best_rows(rows, total.astype(np.float32), k)


def _shares(weights: Mapping[str, float] | str) -> dict[str, float]:
    """Return the positive weights in a fixed order, normalised to a sum of 1."""
    assert isinstance(weights, Mapping)
    total = math.fsum(weights.values())
    return {view: weights[view] / total for view in FUSED if weights.get(view)}


def _is_weight(weight: object) -> bool:
    number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
    try:
        return number and math.isfinite(float(weight)) and float(weight) >= 0  # type: ignore[arg-type]
    except OverflowError:  # an integer beyond every float
        return False
