"""Scores of labels: how well a label predicts, on held-out documents, where its latent fires.

The documents of a latent's test are those on which it fires, near misses and random ones; the score is an AUC. Its
p-value says how likely a meaningless label is to score as well, which matters for latents that fire on few documents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, WideArray
from ..bundle.interpretation import Score
from .encoded_documents import EncodedDocuments

MIN_NEGATIVES = 20
"""Near misses, and random negatives: against fewer, a feature that fires on one document could not stand out."""
MAX_POSITIVES = 100
"""More would change a score by less than another random choice of them does."""
NEIGHBOURS = 64
"""Nearest documents of each document among which near misses are looked for."""
MAX_EXACT = 10
"""Positives up to which the distribution of the AUC is exact; beyond, the normal one is within .003 of it."""
BLOCK = 512


@dataclass(frozen=True)
class EvaluationSet:
    """The documents of one latent's test, by row."""

    positives: IntArray
    near_misses: IntArray
    random: IntArray

    @property
    def negatives(self) -> IntArray:
        """Near misses, then random ones."""
        return np.concatenate([self.near_misses, self.random])


@dataclass(frozen=True)
class EvaluationSplit:
    """The evaluation sets of one latent in both halves of the documents."""

    held_out: EvaluationSet
    """Scores come from these documents; labels and patterns were not made from them."""
    training: EvaluationSet
    """Thresholds are chosen on these documents. A rare latent may fire on none of them."""

    def project(self, rows: FloatArray, direction: FloatArray) -> FloatArray:
        """Return ``rows @ direction`` for the documents of both sets and zero for the others, shape (n,).

        The sets hold at most 600 documents, a corpus may hold many thousands.
        """
        sets = (self.held_out, self.training)
        needed = np.concatenate([part for each in sets for part in (each.positives, each.negatives)])
        values = np.zeros(len(rows), np.float32)
        values[needed] = rows[needed] @ direction
        return values


def select_splits(documents: EncodedDocuments, seed: int = 0) -> list[EvaluationSplit | None]:
    """Select the evaluation sets of every latent; None for one that fires on no held-out document."""
    neighbours = nearest_in_same_half(documents)
    splits: list[EvaluationSplit | None] = []
    for latent in range(documents.n_latents):
        rng = np.random.default_rng((seed, latent))
        active = np.zeros(len(documents), bool)
        active[documents.active[latent][0]] = True
        fires = documents.firing[latent][0]
        held_out, training = (
            select_evaluation_set(fires, active, half, neighbours, documents.embeddings, rng)
            for half in (documents.held_out, ~documents.held_out)
        )
        if held_out and training and len(held_out.positives):
            splits.append(EvaluationSplit(held_out, training))
        else:
            splits.append(None)
    return splits


def select_evaluation_set(
    fires: IntArray,
    active: BoolArray,
    half: BoolArray,
    neighbours: IntArray,
    embeddings: FloatArray,
    rng: np.random.Generator,
) -> EvaluationSet | None:
    """Select the documents of one latent's test.

    Args:
        fires: Rows on which the latent fires.
        active: Where it is active, shape (n,): such documents are no negatives.
        half: The documents to select from, shape (n,).
        neighbours: Rows of the nearest documents in the same half, nearest first, shape (n, m).
        embeddings: Unit rows, shape (n, d_in).
        rng: Chooses the random negatives.

    Returns:
        At most `MAX_POSITIVES` positives, possibly none. For each of them its near misses, the nearest documents on
        which the latent is not active: one, or as many as make `MIN_NEGATIVES` in all. As many random negatives. None
        when the latent is active on all documents.
    """
    positives = fires[half[fires]]
    if len(positives) > MAX_POSITIVES:
        positives = rng.choice(positives, MAX_POSITIVES, replace=False)
    negatives = np.flatnonzero(half & ~active)
    if not len(negatives):
        return None
    each = -(-MIN_NEGATIVES // max(len(positives), 1))
    inactive = ~active[neighbours[positives]]  # (positives, m)
    near = neighbours[positives][inactive & (inactive.cumsum(1) <= each)]
    # Where the latent is active on all neighbours, every document of the half is compared.
    if len(without := positives[~inactive.any(1)]):
        near = np.append(near, negatives[(embeddings[without] @ embeddings[negatives].T).argmax(1)])
    count = min(max(len(near), MIN_NEGATIVES), len(negatives))
    return EvaluationSet(positives, near, rng.choice(negatives, count, replace=False))


def nearest_in_same_half(documents: EncodedDocuments, block: int = BLOCK) -> IntArray:
    """Return the rows of the nearest documents in the same half, nearest first, shape (n, up to `NEIGHBOURS`).

    One pass serves all latents: the near miss of a document is its first neighbour on which the latent is not active.
    """
    halves = [np.flatnonzero(half) for half in (documents.held_out, ~documents.held_out)]
    count = max(1, min(NEIGHBOURS, *(len(rows) - 1 for rows in halves)))
    nearest = np.zeros((len(documents), count), np.int64)
    for rows in halves:
        candidates = np.ascontiguousarray(documents.embeddings[rows])
        for start in range(0, len(rows), block):
            queries = rows[start : start + block]
            closeness = documents.embeddings[queries] @ candidates.T
            closeness[np.arange(len(queries)), np.arange(start, start + len(queries))] = -np.inf
            best = np.argpartition(-closeness, count - 1, axis=1)[:, :count]
            order = np.argsort(-np.take_along_axis(closeness, best, 1), axis=1, kind="stable")
            nearest[queries] = rows[np.take_along_axis(best, order, 1)]
    return nearest


def score(predicted: FloatArray, evaluated: EvaluationSet, tuning: EvaluationSet) -> Score:
    """Score a prediction.

    Args:
        predicted: One number per document, shape (n,), higher where the latent is expected to fire.
        evaluated: Documents that the prediction was not made from, at least one positive among them.
        tuning: Documents that the threshold is chosen on.
    """
    up, near, random = (predicted[rows] for rows in (evaluated.positives, evaluated.near_misses, evaluated.random))
    negatives = predicted[evaluated.negatives]
    threshold = best_threshold(predicted[tuning.positives], predicted[tuning.negatives])
    hits, false_alarms = float((up >= threshold).mean()), float((negatives >= threshold).mean())
    area = auc(up, negatives)
    return Score(
        auc=area,
        auc_near=auc(up, near),
        auc_random=auc(up, random),
        p_value=auc_p_value(area, len(up), len(negatives)),
        precision=hits / max(hits + false_alarms, 1e-12),
        recall=hits,
        positives=len(up),
    )


def score_directions(
    splits: list[EvaluationSplit | None], rows: FloatArray, directions: Sequence[FloatArray | None] | FloatArray
) -> list[Score | None]:
    """Score ``rows @ direction``, rows (n, d_in) and a direction (d_in,) per latent, None if nothing is to score."""
    return [
        None
        if split is None or direction is None
        else score(split.project(rows, direction), split.held_out, split.training)
        for split, direction in zip(splits, directions, strict=True)
    ]


def auc(positives: FloatArray, negatives: FloatArray) -> float:
    """Return the area under the ROC curve: the share of pairs in the right order; ties count half."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    not_above = np.searchsorted(ordered, positives, side="right")
    return float((below + not_above).mean() / (2 * len(negatives)))


def best_threshold(positives: FloatArray, negatives: FloatArray) -> float:
    """Return the threshold with the best F1, positives and negatives weighted equally; the lowest of several.

    Without any positive it is the first value above all negatives.
    """
    if not len(positives):
        return float(np.nextafter(negatives.max(), np.inf))
    candidates = np.unique(positives)
    recall = (positives[None, :] >= candidates[:, None]).mean(1)
    false_alarms = (negatives[None, :] >= candidates[:, None]).mean(1)
    f1 = 2 * recall / (1 + recall + false_alarms)
    return float(candidates[int(f1.argmax())])


def auc_p_value(auc: float, positives: int, negatives: int) -> float:
    """Return the one-sided p-value of an AUC: the chance of at least this value if all orders are equally likely.

    Args:
        auc: Share of pairs in the right order; pairs with equal values count half.
        positives: How many, at least 1.
        negatives: How many, at least 1.

    References:
        Mann, Whitney 1947, "On a test of whether one of two random variables is stochastically larger".
    """
    pairs = positives * negatives
    ordered = auc * pairs
    if positives <= MAX_EXACT:
        # An odd number of ties leaves half a pair: rounding down never makes a label look better.
        return float(_order_distribution(positives, negatives)[math.floor(ordered + 1e-6) :].sum())
    spread = math.sqrt(pairs * (positives + negatives + 1) / 12)
    return 0.5 * math.erfc((ordered - 0.5 - pairs / 2) / spread / math.sqrt(2))


@lru_cache(maxsize=1024)
def _order_distribution(positives: int, negatives: int) -> WideArray:
    """Return the share of the orders with 0, 1, … pairs in the right order: a Gaussian binomial's coefficients."""
    counts = np.zeros(positives * negatives + 1)
    counts[0] = 1.0
    # Multiply by (1 - x^(negatives + i)) and divide by (1 - x^i).
    for i in range(1, positives + 1):
        counts[negatives + i :] -= counts[: -(negatives + i)].copy()
        for start in range(i):
            counts[start::i] = counts[start::i].cumsum()
    counts /= counts.sum()
    return counts
