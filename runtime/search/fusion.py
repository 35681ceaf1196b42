"""Hybrid search: one ranking from the dense, the latent and the words view."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError
from .latent import best_rows

Fusion: TypeAlias = Literal["rrf"] | Mapping[str, float]
"""`"rrf"`, or a weight for each of the views `dense`, `latent` and `words`; one that is left out is not searched."""
Found: TypeAlias = tuple[IntArray, FloatArray]
Search: TypeAlias = Callable[[str, int, IntArray | None], Found]
"""(view, k, allowed) -> row ids and scores, best first."""

FUSED = ("dense", "latent", "words")
DEPTH = 100
"""Documents that each view puts forward, or k where that is more."""
RRF_K = 60
_LOWEST = {"dense": -1.0, "latent": 0.0, "words": 0.0}
"""Least score that a view gives to an unsteered query; documents that steering pushes below it count as that."""


def check_fusion(fusion: Fusion) -> None:
    """Raise unless a fusion is one.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(fusion, Mapping):
        named = all(view in FUSED for view in fusion)
        if named and all(_is_weight(weight) for weight in fusion.values()) and any(fusion.values()):
            return
    elif fusion == "rrf":
        return
    raise ConfigError(
        f"fusion is {fusion!r}: give 'rrf', or weights of at least 0, not all 0, for example "
        "{'dense': 0.6, 'latent': 0.2, 'words': 0.2}"
    )


def fuse(search: Search, fusion: Fusion, k: int, allowed: IntArray | None) -> Found:
    """Search several views and put their documents into one order.

    `"rrf"` is reciprocal rank fusion, ``sum_view 1 / (60 + rank)`` over the views that put a document forward. Weights
    make a convex combination of scores that are normalised to 0 to 1 by ``(score - lowest) / (best - lowest)``, where
    the lowest is the least that the view can give, not the least that was found: -1 for cosines of embeddings, 0 for
    cosines of codes (which are not negative) and for BM25. Every view scores the documents that the others put forward.

    Returns:
        Row ids and fused scores, best first, equal scores by row id.

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
            lowest = _LOWEST[view]
            span = float(scores[0]) - lowest
            ranked, scores = search(view, len(rows), rows)
            if span > 0:
                parts = np.maximum(scores.astype(np.float64) - lowest, 0) / span
                total[np.searchsorted(rows, ranked)] += weight * parts
    return best_rows(rows, total.astype(np.float32), k)


def _shares(weights: Mapping[str, float] | str) -> dict[str, float]:
    """The weights above 0, in a fixed order, made to add up to 1."""
    assert isinstance(weights, Mapping)
    total = math.fsum(weights.values())
    return {view: weights[view] / total for view in FUSED if weights.get(view)}


def _is_weight(weight: object) -> bool:
    number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
    return number and math.isfinite(float(weight)) and float(weight) >= 0  # type: ignore[arg-type]
