"""The recall of an approximate search, measured by the index on its own vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np

from ....arrays import FloatArray, IntArray
from ..exact import ExactIndex
from ..mapped_rows import BLOCK
from .shared_nodes import RADIUS

DEPTH = 10
"""Recall is that of the ten nearest."""
_QUERIES = (24, 200)
_SURE = 0.985
_CROWD = 100
_NOISE = 0.5
_AMID = 8
_SEED = 1_000_003
# Two vectors are near from this share of the way between the usual cosine and 1. Sentences that differ in a number are
# at .7 to .95, questions about similar diseases at .3 to .7.
_NEAR = 0.8
_SHARED = 1 - RADIUS**2 / 2

Search: TypeAlias = Callable[[FloatArray], FloatArray]
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


def recall_of(search: Search, exact: ExactIndex, distinct: IntArray) -> float:
    """Return the mean share of the ten nearest that a search finds, for an even sample of an index.

    Takes one query for every 200 vectors, from 24 to 200 of them, and four times as many if the recall is doubtful.

    Args:
        search: Takes a query (d_in,) and returns the scores of the ten best that it finds.
        exact: All vectors.
        distinct: Row ids of distinct vectors, those that a sample is taken from.
    """
    rowids, recall = exact.rowids, 1.0
    order = np.random.default_rng(0).permutation(np.intersect1d(distinct, rowids, assume_unique=True))
    count = int(np.clip(len(order) // 200, *_QUERIES))
    for number in (count, 4 * count):
        sample = order[: min(number, len(order)) // 2 * 2]
        if len(sample):
            recall = found_share(search, _blocks(exact, rowids), queries_of(exact.vectors_of(sample)))
        if recall >= _SURE:
            break
    return recall


def found_share(search: Search, blocks: Iterable[FloatArray], queries: FloatArray) -> float:
    """Return the mean share of the ten nearest vectors of `blocks`, each (m, d_in), that a search finds."""
    nearest = np.full((len(queries), 0), -np.inf, np.float32)
    for rows in blocks:
        scores = np.concatenate([nearest, queries @ rows.T], axis=1)
        # (n, at most ten)
        nearest = np.partition(scores, -DEPTH, axis=1)[:, -DEPTH:] if scores.shape[1] > DEPTH else scores
    least = nearest.min(axis=1) - _SAME
    found = [np.count_nonzero(search(query) >= low) for query, low in zip(queries, least, strict=True)]
    return float(np.mean(found)) / nearest.shape[1]


def crowded_share(exact: ExactIndex, most: int) -> float:
    """Return the share of the vectors that have more than `most` near ones, from a sample of 100; at least two vectors.

    If there are more than an insertion compares, they link to each other alone, and a search may not find its way out.
    Those that share a node do not count.
    """
    rowids = exact.rowids
    sample = exact.vectors_of(np.random.default_rng(0).permutation(rowids)[:_CROWD])
    usual = float(np.median((sample @ sample.T)[np.triu_indices(len(sample), 1)]))
    near = usual + _NEAR * (1 - usual)
    counts = np.zeros(len(sample), np.int64)
    for rows in _blocks(exact, rowids):
        cosines = rows @ sample.T
        counts += np.count_nonzero((cosines >= near) & (cosines < _SHARED), axis=0)
    return float(np.mean(counts > most))


def _blocks(exact: ExactIndex, rowids: IntArray) -> Iterator[FloatArray]:
    for start in range(0, len(rowids), BLOCK):
        yield exact.vectors_of(rowids[start : start + BLOCK])
