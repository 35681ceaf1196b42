"""How likely is it that a label that says nothing does as well? The fewer documents, the better it has to be."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

EXACT = 10
"""Up to so many positives the distribution is counted; from there on the normal one is within .003 of it."""


def chance_of(auc: float, positives: int, negatives: int) -> float:
    """One-sided p-value of an AUC (Mann, Whitney 1947): the chance of at least this value if all orders are as likely.

    Args:
        auc: Share of pairs in the right order; pairs with equal values count half.
        positives: How many, at least 1.
        negatives: How many, at least 1.
    """
    pairs = positives * negatives
    ordered = auc * pairs
    if positives <= EXACT:
        # An odd number of ties leaves half a pair: rounding down never makes a label look better.
        return float(_orders(positives, negatives)[math.floor(ordered + 1e-6) :].sum())
    spread = math.sqrt(pairs * (positives + negatives + 1) / 12)
    return 0.5 * math.erfc((ordered - 0.5 - pairs / 2) / spread / math.sqrt(2))


@lru_cache(maxsize=1024)
def _orders(positives: int, negatives: int) -> NDArray[np.float64]:
    """Share of the orders with 0, 1, … pairs in the right order: the coefficients of a Gaussian binomial."""
    counts = np.zeros(positives * negatives + 1)
    counts[0] = 1.0
    for i in range(1, positives + 1):  # times (1 - x^(negatives + i)), divided by (1 - x^i)
        counts[negatives + i :] -= counts[: -(negatives + i)].copy()
        for start in range(i):
            counts[start::i] = counts[start::i].cumsum()
    counts /= counts.sum()
    return counts
