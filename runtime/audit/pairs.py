"""Pairs of documents about the same, one with an attribute and one without, and queries that lean to neither."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from .measures import words_of

MOST_PAIRS = 400
FEWEST_PAIRS = 30
"""With fewer no preference below seven in ten could be told from chance."""
QUERY_WORDS, FEWEST_SHARED = 4, 2
SAME_TEXT = 0.999
"""Cosine from which two documents are copies, whose order says nothing."""
COMMON = 0.2
"""Share of documents from which a word is too common to search with."""


@dataclass(frozen=True)
class Pairs:
    """Pairs with their queries; arrays have one entry for each comparison of a pair by a query."""

    high: IntArray
    """Places of the documents that have the attribute, shape (m,)."""
    low: IntArray
    """Places of their partners, shape (m,)."""
    queries: FloatArray
    """Unit rows, shape (m, d_in)."""
    group: IntArray
    """Comparisons of one group count as one, shape (m,): those of one query, where there are given ones."""

    def __len__(self) -> int:
        return len(np.unique(self.group))

    def take(self, chosen: IntArray) -> Pairs:
        """Return some of the comparisons."""
        return Pairs(self.high[chosen], self.low[chosen], self.queries[chosen], self.group[chosen])

    def halves(self) -> tuple[Pairs, Pairs]:
        """Return the pairs to learn from and those to measure; no group is in both."""
        odd = self.group % 2 == 1
        return self.take(np.flatnonzero(~odd)), self.take(np.flatnonzero(odd))


def match(vectors: FloatArray, high: IntArray, low: IntArray, most: int = MOST_PAIRS) -> tuple[IntArray, IntArray]:
    """Pair documents with their nearest of the other kind, the nearest pairs first, each document once.

    Args:
        vectors: Unit rows, shape (n, d_in).
        high: Places of one kind.
        low: Of the other.
        most: Pairs.

    Returns:
        Places of either kind, shape (m,), m <= most.
    """
    few, many, turned = (high, low, False) if len(high) <= len(low) else (low, high, True)
    few = few[:: max(1, len(few) // (2 * most))]
    near = vectors[few] @ vectors[many].T  # (few, many)
    near[near > SAME_TEXT] = -1
    tried = min(20, near.shape[1])
    best = np.argpartition(-near, tried - 1, axis=1)[:, :tried] if tried else np.zeros((len(few), 0), np.int64)
    rows = np.repeat(np.arange(len(few)), tried)
    columns = best.ravel()
    order = np.argsort(-near[rows, columns], kind="stable")
    used_few, used_many = np.zeros(len(few), np.bool_), np.zeros(len(many), np.bool_)
    found: list[tuple[int, int]] = []
    for at in order.tolist():
        row, column = int(rows[at]), int(columns[at])
        if near[row, column] > 0 and not used_few[row] and not used_many[column]:
            used_few[row] = used_many[column] = True
            found.append((int(few[row]), int(many[column])))
            if len(found) == most:
                break
    a, b = np.array(found, np.int64).reshape(-1, 2).T
    return (b, a) if turned else (a, b)


class SharedWords:
    """Queries of the rare words that two documents share, so that they lean to neither.

    Args:
        texts: All documents that are compared.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(word for word in words_of(text) if len(word) > 3) for text in texts]
        self._spread = Counter(word for count in self._counts for word in count)

    def query(self, one: int, other: int) -> str:
        """Return the words that distinguish two documents from others, at most four; empty with fewer than two."""
        first, second = self._counts[one], self._counts[other]
        n = len(self._counts)
        weights = {
            word: min(first[word], second[word]) * math.log(n / self._spread[word])
            for word in first
            if word in second and self._spread[word] <= max(2, COMMON * n)
        }
        words = sorted(weights, key=lambda word: (-weights[word], word))[:QUERY_WORDS]
        return " ".join(words) if len(words) >= FEWEST_SHARED else ""


def wins(vectors: FloatArray, pairs: Pairs, queries: WideArray | FloatArray | None = None) -> WideArray:
    """Return of each group the share of its comparisons that documents with the attribute win, ties half, shape (g,).

    Args:
        vectors: Unit rows, shape (n, d_in).
        pairs: What is compared.
        queries: In place of the pairs' own, shape (m, d_in).
    """
    asked = (pairs.queries if queries is None else queries).astype(np.float64)
    gap = np.einsum("ij,ij->i", asked, vectors[pairs.high].astype(np.float64) - vectors[pairs.low])
    won = np.where(np.abs(gap) < 1e-9, 0.5, gap > 0)
    groups, place = np.unique(pairs.group, return_inverse=True)
    found: WideArray = np.bincount(place, won, len(groups)) / np.bincount(place, minlength=len(groups))
    return found


def sign_test(shares: WideArray) -> float:
    """Return the two-sided probability that as many groups lean to one side by chance; 1 without groups that lean."""
    more, less = int(np.sum(shares > 0.5)), int(np.sum(shares < 0.5))
    n, extreme = more + less, max(more, less)
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(extreme, n + 1)]
    return min(1.0, 2 * sum(math.exp(log - n * math.log(2)) for log in logs))


def corrected(probabilities: Sequence[float]) -> list[float]:
    """Return probabilities corrected for their number.

    References:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    order = sorted(range(len(probabilities)), key=lambda i: probabilities[i])
    made, highest = [1.0] * len(probabilities), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, probabilities[i] * (len(probabilities) - rank)))
        made[i] = highest
    return made
