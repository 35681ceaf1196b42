"""From directions to figures. Methods turn a query by the same angles, so all are compared at equal cosine to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from steersearch.arrays import FloatArray, unit_rows

from .tasks import BoolArray, Task

DEGREES = (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 45, 50, 55, 60)
TOP = 10
KEPT = 0.97
"""Share of topical relevance that a strength may not fall below."""
KNOWN = 0.4
"""Of the ten nearest documents to learn from so many have to contain a term, or the embedder does not know it."""
Curves = NDArray[np.float64]
"""Shape (3, strengths, pairs): precision at 10 of the attribute, of what the query is about, and of both at once."""


@dataclass(frozen=True)
class Bench:
    """A task with its embeddings."""

    task: Task
    documents: FloatArray
    """Unit rows, shape (n, d)."""
    queries: FloatArray
    """Unit rows, shape (m, d)."""
    phrases: FloatArray
    """Of the attributes, unit rows, shape (a, d)."""

    @cached_property
    def learn(self) -> FloatArray:
        """What methods may learn from, shape (n_seen, d)."""
        return np.ascontiguousarray(self.documents[self.task.seen])

    @cached_property
    def searched(self) -> FloatArray:
        """What is searched, shape (n_searched, d)."""
        return np.ascontiguousarray(self.documents[~self.task.seen])

    @cached_property
    def names(self) -> list[str]:
        """Of the attributes."""
        return list(self.task.attributes)

    @cached_property
    def members(self) -> list[BoolArray]:
        """Per attribute which of the documents to learn from have it."""
        return [self.task.attributes[name][self.task.seen] for name in self.names]

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """(query, attribute)."""
        known = [self.task.stance or self._known(query) for query in range(len(self.queries))]
        return [(query, self.names.index(name)) for query, name in self.task.pairs() if known[query]]

    @cached_property
    def of_query(self) -> NDArray[np.int64]:
        """Query of each pair."""
        return np.array([query for query, _ in self.pairs])

    @cached_property
    def of_attribute(self) -> NDArray[np.int64]:
        """Attribute of each pair."""
        return np.array([attribute for _, attribute in self.pairs])

    @cached_property
    def dev(self) -> BoolArray:
        """Pairs that tune strengths."""
        return self.task.dev[self.of_query]

    @cached_property
    def hits(self) -> tuple[BoolArray, BoolArray]:
        """Searched documents that have each attribute, (a, searched), and that are about each query, (m, searched)."""
        attribute = np.stack([self.task.attributes[name][~self.task.seen] for name in self.names])
        return attribute, np.stack([about[~self.task.seen] for about in self.task.relevant])

    def _known(self, query: int) -> bool:
        nearest = np.argsort(-(self.learn @ self.queries[query]))[:TOP]
        return bool(self.task.relevant[query][self.task.seen][nearest].mean() >= KNOWN)

    def curves(
        self, directions: FloatArray, documents: FloatArray | None = None, queries: FloatArray | None = None
    ) -> Curves:
        """Figures at every angle.

        Args:
            directions: One per attribute, shape (a, d), or one per pair, shape (p, d); any length.
            documents: What is searched instead, shape (n_searched, d).
            queries: What is turned instead, unit rows, shape (m, d).
        """
        each = directions if len(directions) == len(self.pairs) else directions[self.of_attribute]
        query = (self.queries if queries is None else queries)[self.of_query]
        return np.stack([self.precision(turned(query, each, degrees), documents) for degrees in DEGREES], 1)

    def precision(self, queries: FloatArray, documents: FloatArray | None = None) -> NDArray[np.float64]:
        """Precision at 10 of the attribute, of the query and of both, shape (3, pairs)."""
        has, about = self.hits
        top = self.top(queries, documents)
        attribute = np.take_along_axis(has[self.of_attribute], top, 1)
        relevant = np.take_along_axis(about[self.of_query], top, 1)
        return np.stack([attribute.mean(1), relevant.mean(1), (attribute & relevant).mean(1)])

    def top(self, queries: FloatArray, documents: FloatArray | None = None, block: int = 256) -> NDArray[np.int64]:
        """Rows of the ten best searched documents of each query, in no order, shape (len(queries), 10)."""
        rows = self.searched if documents is None else documents
        found = [
            np.argpartition(-(queries[start : start + block].astype(np.float32) @ rows.T), TOP, axis=1)[:, :TOP]
            for start in range(0, len(queries), block)
        ]
        return np.concatenate(found)


def turned(queries: FloatArray, directions: FloatArray, degrees: float) -> FloatArray:
    """Queries turned towards directions by an angle, unit rows, shape (n, d)."""
    aside = unit_rows(directions - (directions * queries).sum(1, keepdims=True) * queries)
    angle = np.deg2rad(degrees)
    rows: FloatArray = (np.cos(angle) * queries + np.sin(angle) * aside).astype(np.float32)
    return rows


@dataclass(frozen=True)
class Outcome:
    """One method on one task: figures of the test pairs at strengths that the dev pairs chose."""

    best: NDArray[np.float64]
    """Precision of both, of each test pair, at the strength with the best mean on dev."""
    attribute: NDArray[np.float64]
    """Precision of the attribute at the largest strength that keeps `KEPT` of topical relevance on dev."""
    best_degrees: float
    kept_degrees: float


def outcome(curves: Curves, dev: BoolArray) -> Outcome:
    """Choose strengths on dev, report test.

    Between two angles of the grid the one that keeps exactly `KEPT` is interpolated, so that the figure does not jump.
    """
    tuned, rest = curves[:, :, dev].mean(2), curves[:, :, ~dev]
    best = int(tuned[2].argmax())
    limit = KEPT * tuned[1, 0]
    last = int(np.flatnonzero(tuned[1] >= limit).max())
    share = 0.0
    if last + 1 < len(DEGREES):
        share = float((tuned[1, last] - limit) / max(tuned[1, last] - tuned[1, last + 1], 1e-12))
        share = min(share, 1.0)
    after = min(last + 1, len(DEGREES) - 1)
    attribute = (1 - share) * rest[0, last] + share * rest[0, after]
    degrees = (1 - share) * DEGREES[last] + share * DEGREES[after]
    return Outcome(rest[2, best], attribute, float(DEGREES[best]), degrees)
