"""Is a label true? On documents that it was not made from: can one tell by the label alone where the feature fires?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...metrics import FloatArray, IntArray
from .chance import chance_of

BoolArray = NDArray[np.bool_]
MIN_NEGATIVES = 20
"""Of either kind: against fewer, the one document on which a rare feature fires could not stand out."""
MAX_POSITIVES = 100
"""More would not change a score by as much as another choice of them does."""


@dataclass(frozen=True)
class Score:
    """How well something predicts where a feature fires, on held-out documents."""

    auc: float
    """Chance that a document on which it fires is put above one on which it does not. Half of the negatives are near
    misses, half are random; 0.5 is chance."""
    auc_near: float
    """Against near misses only."""
    auc_random: float
    """Against random documents only."""
    p_value: float
    """Chance that a label which says nothing has this AUC or a better one."""
    precision: float
    """Among equally many positives and negatives, at the threshold with the best F1 on the other documents."""
    recall: float
    positives: int
    """Held-out documents on which it fires."""


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
