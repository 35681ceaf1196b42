"""What other systems make of clicks: from similarities to a query and clicked documents to scores.

References:
    Rocchio 1971, "Relevance feedback in information retrieval"; Qdrant 1.17, `lib/segment/src/vector_storage/query`:
    `feedback_query.rs` (strategy `naive`) and `reco_query.rs` (strategies `average_vector` and `best_score`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from sklearn.linear_model import LogisticRegression

from steersearch.arrays import FloatArray

RANDOM = 50
"""Random documents beside the dislikes in logistic regression, which needs two classes."""


@dataclass(frozen=True)
class Clicked:
    """Clicks of one user, and what they are to the documents that are searched."""

    likes: FloatArray
    """Unit rows, shape (l, d)."""
    dislikes: FloatArray
    """Unit rows, shape (m, d)."""
    others: FloatArray
    """Random documents, unit rows, shape (`RANDOM`, d)."""
    mean: FloatArray
    """Of all documents to learn from, shape (d,)."""
    documents: FloatArray
    """That are searched, unit rows, shape (n, d)."""

    @classmethod
    def of(
        cls, learn: FloatArray, clicks: Sequence[tuple[int, bool]], documents: FloatArray, rng: np.random.Generator
    ) -> Clicked:
        """Read clicks, as (row of `learn`, liked)."""
        liked = [row for row, like in clicks if like]
        disliked = [row for row, like in clicks if not like]
        others = rng.choice(len(learn), RANDOM, replace=False)
        return cls(learn[liked], learn[disliked], learn[others], learn.mean(0), documents)

    @cached_property
    def liked(self) -> FloatArray:
        """Mean similarity of documents to the likes, shape (n,)."""
        return self.documents @ _mean(self.likes, self.mean.shape)

    @cached_property
    def disliked(self) -> FloatArray:
        """Mean similarity of documents to the dislikes, shape (n,)."""
        return self.documents @ _mean(self.dislikes, self.mean.shape)

    @cached_property
    def contrast(self) -> FloatArray:
        """DiffMean: similarity to the mean of likes less that of dislikes, or of all documents; shape (n,)."""
        near = _mean(self.likes, self.mean.shape) if len(self.likes) else self.mean
        far = _mean(self.dislikes, self.mean.shape) if len(self.dislikes) else self.mean
        return self.documents @ _unit(near - far)

    @cached_property
    def probe(self) -> FloatArray:
        """Similarity to the weights of logistic regression, of unit length, shape (n,)."""
        if not len(self.likes):
            return np.zeros(len(self.documents), np.float32)
        rows = np.concatenate([self.likes, self.dislikes, self.others])
        model = LogisticRegression(C=10.0, max_iter=300, class_weight="balanced")
        model.fit(rows, np.arange(len(rows)) < len(self.likes))
        return self.documents @ _unit(model.coef_[0].astype(np.float32))

    @cached_property
    def nearest(self) -> tuple[FloatArray, FloatArray]:
        """Similarity to the nearest like and to the nearest dislike, shape (n,) each; -1 without any."""
        found = [
            (self.documents @ rows.T).max(1) if len(rows) else np.full(len(self.documents), -1.0, np.float32)
            for rows in (self.likes, self.dislikes)
        ]
        return found[0], found[1]


Score = Callable[[FloatArray, Clicked], FloatArray]
"""(similarities of documents to a query, clicks) -> scores of the documents, shape (n,)."""


def rocchio(query: FloatArray, clicked: Clicked, beta: float, gamma: float) -> FloatArray:
    """``q + beta mean(likes) - gamma mean(dislikes)``."""
    return query + beta * clicked.liked - gamma * clicked.disliked


def added(query: FloatArray, clicked: Clicked, way: str, weight: float) -> FloatArray:
    """``q + weight * direction``."""
    return query + weight * getattr(clicked, way)


def feedback(query: FloatArray, clicked: Clicked, c: float) -> FloatArray:
    """Qdrant's `naive`: ``a q + sum over pairs of confidence^b c (like - dislike)``; all confidences are 1, a is 1."""
    return query + c * len(clicked.likes) * len(clicked.dislikes) * (clicked.liked - clicked.disliked)


def average(query: FloatArray, clicked: Clicked, depth: int) -> FloatArray:
    """Qdrant's `average_vector`, ``2 mean(positives) - mean(negatives)``, the query a positive, of its `depth` best."""
    positive = (query + len(clicked.likes) * clicked.liked) / (1 + len(clicked.likes))
    score = 2 * positive - clicked.disliked if len(clicked.dislikes) else positive
    return _among(query, score, depth)


def best_score(query: FloatArray, clicked: Clicked, depth: int) -> FloatArray:
    """Qdrant's `best_score`: the nearest example decides, the query a positive, of its `depth` best."""
    like, dislike = np.maximum(query, clicked.nearest[0]), clicked.nearest[1]
    score = np.where(like > dislike, _squashed(like), -_squashed(dislike))
    return _among(query, score, depth)


def _squashed(x: FloatArray) -> FloatArray:
    made: FloatArray = 0.5 * (x / (1 + np.abs(x)) + 1)
    return made


def _among(query: FloatArray, score: FloatArray, depth: int) -> FloatArray:
    """Scores of the `depth` documents most similar to the query; all others lie below."""
    if depth >= len(query):
        return score
    limit = np.partition(query, -depth)[-depth]
    made: FloatArray = np.where(query >= limit, score, score - 10)
    return made


def _mean(rows: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    mean: FloatArray = rows.mean(0) if len(rows) else np.zeros(shape, np.float32)
    return mean


def _unit(direction: FloatArray) -> FloatArray:
    unit: FloatArray = direction / max(float(np.linalg.norm(direction)), 1e-12)
    return unit


WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
DEPTHS = (20, 50, 100, 300, 10**9)
RIVALS: Mapping[str, Mapping[str, Score]] = {
    "no profile": {"": lambda query, clicked: query},
    "Rocchio": {
        f"beta {beta:g}, gamma {gamma:g}": partial(rocchio, beta=beta, gamma=gamma)
        for beta in (*WEIGHTS, 1.2)
        for gamma in (0.0, 0.15, 0.3, 0.6)
    },
    "DiffMean": {f"{weight:g}": partial(added, way="contrast", weight=weight) for weight in WEIGHTS},
    "logistic regression": {f"{weight:g}": partial(added, way="probe", weight=weight) for weight in WEIGHTS},
    "Qdrant feedback": {f"c {c:g}": partial(feedback, c=c) for c in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)},
    "Qdrant average_vector": {f"{depth:g} best": partial(average, depth=depth) for depth in DEPTHS},
    "Qdrant best_score": {f"{depth:g} best": partial(best_score, depth=depth) for depth in DEPTHS},
}
"""Rival -> setting -> its score."""
