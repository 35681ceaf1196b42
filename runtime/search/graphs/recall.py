"""The recall of an approximate search, measured by the index on its own vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ....arrays import FloatArray
from .shared_nodes import RADIUS

DEPTH = 10
"""Recall is that of the ten nearest."""
_NOISE = 0.5
_AMID = 8
_SEED = 1_000_003
# Two vectors are near from this share of the way between the usual cosine and 1. Sentences that differ in a number are
# at .7 to .95, questions about similar diseases at .3 to .7.
_NEAR = 0.8
_SHARED = 1 - RADIUS**2 / 2
# A score this close to the last of the nearest counts as found: the products below are rounded in another order.
_SAME = 1e-5


def queries_of(sample: FloatArray) -> FloatArray:
    """Return a query for each of an even number of distinct vectors, shape (n, d_in), the same ones every time.

    The first half are vectors with noise, at a cosine of about .9, so that they are not found trivially. Each of the
    others lies amid eight vectors, as a question does that no document answers: those lose their way more easily.
    """
    half, rng = len(sample) // 2, np.random.default_rng(_SEED)
    noise = rng.standard_normal((half, sample.shape[1])) / np.sqrt(sample.shape[1])
    amid = sample[rng.integers(0, len(sample), (half, _AMID))].mean(axis=1)
    rows = np.concatenate([sample[:half] + _NOISE * noise, amid + 0.1 * _NOISE * noise])
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


def crowded_share(sample: FloatArray, blocks: Iterable[FloatArray], most: int) -> float:
    """Return the share of a sample (n, d_in), n > 1, that has more than `most` near vectors in `blocks`.

    If there are more than an insertion compares, they link to each other alone, and a search may not find its way out.
    Those that share a node do not count.
    """
    usual = float(np.median((sample @ sample.T)[np.triu_indices(len(sample), 1)]))
    near = usual + _NEAR * (1 - usual)
    counts = np.zeros(len(sample), np.int64)
    for rows in blocks:
        cosines = rows @ sample.T
        counts += np.count_nonzero((cosines >= near) & (cosines < _SHARED), axis=0)
    return float(np.mean(counts > most))
