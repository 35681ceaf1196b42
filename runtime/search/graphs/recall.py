"""The recall of an approximate search, measured by the index on its own vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ....arrays import FloatArray

DEPTH = 10
"""Recall is that of the ten nearest."""
_NOISE = 0.5
_SEED = 1_000_003
# A score this close to the last of the nearest counts as found: the products below are rounded in another order.
_SAME = 1e-5


def queries_of(sample: FloatArray) -> FloatArray:
    """Return a query for each of an even number of distinct vectors, shape (n, d_in), the same ones every time.

    The first half are vectors with noise, at a cosine of about .9, so that they are not found trivially. The others lie
    in the middle of two vectors, as a question does that no document answers: those lose their way most easily.
    """
    half, rng = len(sample) // 2, np.random.default_rng(_SEED)
    noise = rng.standard_normal((half, sample.shape[1])) / np.sqrt(sample.shape[1])
    one, other = sample[half : 2 * half], sample[:half]
    rows = np.concatenate([sample[:half] + _NOISE * noise, one + other + 1e-3 * noise])
    queries: FloatArray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return queries


def recall_of(search: Callable[[FloatArray], FloatArray], blocks: Iterable[FloatArray], queries: FloatArray) -> float:
    """Return the mean share of the ten nearest vectors that a search finds.

    Args:
        search: Takes a query (d_in,) and returns the scores of the ten best that it finds.
        blocks: All vectors, in blocks of shape (m, d_in).
        queries: Shape (n, d_in).
    """
    nearest = np.full((len(queries), 0), -np.inf, np.float32)
    for rows in blocks:
        scores = np.concatenate([nearest, queries @ rows.T], axis=1)
        # (n, at most ten)
        nearest = np.partition(scores, -DEPTH, axis=1)[:, -DEPTH:] if scores.shape[1] > DEPTH else scores
    least = nearest.min(axis=1) - _SAME
    found = [np.count_nonzero(search(query) >= low) for query, low in zip(queries, least, strict=True)]
    return float(np.mean(found)) / nearest.shape[1]
