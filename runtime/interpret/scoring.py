"""Is a label true? On documents that it was not made from: can one tell by the label alone where the feature fires?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...arrays import BoolArray, FloatArray, IntArray
from ..bundle.interpretation import Score
from .reading import Reading

MIN_NEGATIVES = 20
"""Of either kind: against fewer, the one document on which a rare feature fires could not stand out."""
MAX_POSITIVES = 100
"""More would not change a score by as much as another choice of them does."""


@dataclass(frozen=True)
class Trial:
    """The documents of one feature's test, by row."""

    positives: IntArray
    near: IntArray
    random: IntArray


def make_trial(
    fires: IntArray,
    active: BoolArray,
    among: BoolArray,
    neighbours: IntArray,
    embeddings: FloatArray,
    rng: np.random.Generator,
) -> Trial | None:
    """Choose the documents of a test.

    Args:
        fires: Rows on which the feature fires.
        active: Where it is active at all, shape (n,): such documents are no negatives.
        among: Documents to use, shape (n,).
        neighbours: Rows of the nearest documents of the same side, nearest first, shape (n, m).
        embeddings: Unit rows, shape (n, d_in).
        rng: Chooses the random negatives.

    Returns:
        At most `MAX_POSITIVES` positives, possibly none; for each of them its near misses, the nearest documents
        without the feature: one, or as many as make `MIN_NEGATIVES`; as many random ones. None when it is active on
        all documents.
    """
    positives = fires[among[fires]]
    if len(positives) > MAX_POSITIVES:
        positives = rng.choice(positives, MAX_POSITIVES, replace=False)
    negatives = np.flatnonzero(among & ~active)
    if not len(negatives):
        return None
    each = -(-MIN_NEGATIVES // max(len(positives), 1))
    quiet = ~active[neighbours[positives]]  # (positives, m)
    near = neighbours[positives][quiet & (quiet.cumsum(1) <= each)]
    if len(lost := positives[~quiet.any(1)]):  # it is active on all neighbours: look at every document
        near = np.append(near, negatives[(embeddings[lost] @ embeddings[negatives].T).argmax(1)])
    count = min(max(len(near), MIN_NEGATIVES), len(negatives))
    return Trial(positives, near, rng.choice(negatives, count, replace=False))


def score(predicted: FloatArray, held_out: Trial, others: Trial) -> Score:
    """Score a prediction.

    Args:
        predicted: One number per document, shape (n,), higher where the feature is expected to fire.
        held_out: Documents that the prediction was not made from, at least one positive among them.
        others: Documents that it may have been made from: the threshold is chosen on them.
    """
    up, near, far = (predicted[rows] for rows in (held_out.positives, held_out.near, held_out.random))
    negatives = np.concatenate([near, far])
    threshold = best_threshold(predicted[others.positives], predicted[np.concatenate([others.near, others.random])])
    hits, wrong = float((up >= threshold).mean()), float((negatives >= threshold).mean())
    found = auc(up, negatives)
    return Score(
        auc=found,
        auc_near=auc(up, near),
        auc_random=auc(up, far),
        p_value=chance_of(found, len(up), len(negatives)),
        precision=hits / max(hits + wrong, 1e-12),
        recall=hits,
        positives=len(up),
    )


def auc(positives: FloatArray, negatives: FloatArray) -> float:
    """Area under the ROC curve: the share of pairs in the right order, ties count half (Mann, Whitney 1947)."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    not_above = np.searchsorted(ordered, positives, side="right")
    return float((below + not_above).mean() / (2 * len(negatives)))


def best_threshold(positives: FloatArray, negatives: FloatArray) -> float:
    """The value from which on to say yes, so that F1 is best when both kinds are equally many.

    Without any positive it is the first value above all negatives.
    """
    if not len(positives):
        return float(np.nextafter(negatives.max(), np.inf))
    candidates = np.unique(positives)
    recall = (positives[None, :] >= candidates[:, None]).mean(1)
    wrong = (negatives[None, :] >= candidates[:, None]).mean(1)
    f1 = 2 * recall / (1 + recall + wrong)
    return float(candidates[int(f1.argmax())])


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


NEIGHBOURS = 64


@dataclass(frozen=True)
class Pair:
    """Documents of one latent on both sides."""

    held_out: Trial
    """Labels and patterns were not made from these: scores come from here."""
    seen: Trial
    """Thresholds are chosen on these. A rare latent may fire on none of them."""

    def along(self, rows: FloatArray, direction: FloatArray) -> FloatArray:
        """``rows @ direction`` for the documents of both trials, zero elsewhere, shape (n,).

        They are at most 600, where a corpus may have many thousands.
        """
        needed = np.concatenate([part for side in (self.held_out, self.seen) for part in vars(side).values()])
        values = np.zeros(len(rows), np.float32)
        values[needed] = rows[needed] @ direction
        return values


def choose_trials(reading: Reading, seed: int = 0) -> list[Pair | None]:
    """One pair of trials per latent; None for a latent that fires on no held-out document."""
    neighbours = nearest_of_the_same_side(reading)
    pairs: list[Pair | None] = []
    for latent in range(reading.n_latents):
        rng = np.random.default_rng((seed, latent))
        active = np.zeros(len(reading), bool)
        active[reading.active[latent][0]] = True
        fires = reading.firing[latent][0]
        held_out, seen = (
            make_trial(fires, active, side, neighbours, reading.embeddings, rng)
            for side in (reading.held_out, ~reading.held_out)
        )
        pairs.append(Pair(held_out, seen) if held_out and seen and len(held_out.positives) else None)
    return pairs


def nearest_of_the_same_side(reading: Reading, block: int = 512) -> IntArray:
    """Rows of the `NEIGHBOURS` nearest documents among those on the same side, nearest first, shape (n, at most that).

    One pass for all latents: the near miss of a document is the first of them without the feature.
    """
    sides = [np.flatnonzero(side) for side in (reading.held_out, ~reading.held_out)]
    count = max(1, min(NEIGHBOURS, *(len(rows) - 1 for rows in sides)))
    found = np.zeros((len(reading), count), np.int64)
    for rows in sides:
        candidates = np.ascontiguousarray(reading.embeddings[rows])
        for start in range(0, len(rows), block):
            mine = rows[start : start + block]
            closeness = reading.embeddings[mine] @ candidates.T
            closeness[np.arange(len(mine)), np.arange(start, start + len(mine))] = -np.inf
            best = np.argpartition(-closeness, count - 1, axis=1)[:, :count]
            order = np.argsort(-np.take_along_axis(closeness, best, 1), axis=1, kind="stable")
            found[mine] = rows[np.take_along_axis(best, order, 1)]
    return found


def score_directions(
    pairs: list[Pair | None], rows: FloatArray, directions: Sequence[FloatArray | None] | FloatArray
) -> list[Score | None]:
    """Score predictions of the form ``rows @ direction``.

    Args:
        pairs: One per latent.
        rows: What stands for each document, shape (n, d_in).
        directions: One per latent, shape (d_in,); None when there is nothing to score.
    """
    scores: list[Score | None] = []
    for pair, direction in zip(pairs, directions, strict=True):
        if pair is None or direction is None:
            scores.append(None)
        else:
            scores.append(score(pair.along(rows, direction), pair.held_out, pair.seen))
    return scores
