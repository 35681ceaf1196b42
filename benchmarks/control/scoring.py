"""From rankings to figures: the same judgment of every method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steersearch.arrays import FloatArray, unit_rows

from .tasks import BoolArray, Task

TOP = 10
KNOWN = 0.4
"""Of the ten nearest documents to learn from so many have to contain a term, or the embedder does not know it."""
UNTOUCHED = 100
"""Queries that have nothing to gain, at most."""
NOTHING = -1
"""In place of a row where a view found fewer than ten documents."""
Rows: TypeAlias = NDArray[np.int64]


class Pairs(NamedTuple):
    """What is asked: queries, and for each the attribute that it is steered to."""

    query: Rows
    attribute: Rows


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
    def mean(self) -> FloatArray:
        """Of the documents to learn from, or of the searched ones where there are none, shape (d,)."""
        rows = self.learn if len(self.learn) else self.searched
        mean: FloatArray = rows.mean(0, dtype=np.float32)
        return mean

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
        known = [self.task.kind != "topics" or self._known(query) for query in range(len(self.queries))]
        return [(query, self.names.index(name)) for query, name in self.task.pairs() if known[query]]

    @cached_property
    def of_query(self) -> Rows:
        """Query of each pair."""
        return np.array([query for query, _ in self.pairs])

    @cached_property
    def of_attribute(self) -> Rows:
        """Attribute of each pair."""
        return np.array([attribute for _, attribute in self.pairs])

    @cached_property
    def dev(self) -> BoolArray:
        """Pairs that tune strengths."""
        return self.task.dev[self.of_query]

    def asked(self, which: BoolArray) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.of_query[which], self.of_attribute[which])

    @cached_property
    def hits(self) -> tuple[BoolArray, BoolArray]:
        """Searched documents that have each attribute, (a, searched), and that are about each query, (m, searched)."""
        attribute = np.stack([self.task.attributes[name][~self.task.seen] for name in self.names])
        return attribute, np.stack([about[~self.task.seen] for about in self.task.relevant])

    @cached_property
    def untouched(self) -> Pairs:
        """Pairs of which no searched document has both, of the queries that are known: there is nothing to bring."""
        if self.task.kind == "perspectives":  # a perspective makes sense for its own question only
            return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
        has, about = self.hits
        queries = np.unique(self.of_query)
        both = about[queries].astype(np.float32) @ has.astype(np.float32).T  # (queries, attributes)
        query, attribute = np.nonzero(both == 0)
        chosen = np.random.default_rng(0).permutation(len(query))[:UNTOUCHED]
        return Pairs(queries[query[chosen]], attribute[chosen])

    def _known(self, query: int) -> bool:
        nearest = np.argsort(-(self.learn @ self.queries[query]))[:TOP]
        return bool(self.task.relevant[query][self.task.seen][nearest].mean() >= KNOWN)

    def judge(self, found: Rows, pairs: Pairs) -> NDArray[np.bool_]:
        """Whether each result has the attribute, is about the query, and both; shape (3, pairs, 10)."""
        has, about = self.hits
        nothing = found == NOTHING
        attribute = np.take_along_axis(has[pairs.attribute], found, 1) & ~nothing
        relevant = np.take_along_axis(about[pairs.query], found, 1) & ~nothing
        return np.stack([attribute, relevant, attribute & relevant])

    def precision(self, queries: FloatArray, documents: FloatArray | None = None) -> NDArray[np.float64]:
        """Precision at 10 of the attribute, of the query and of both, shape (3, pairs), of a vector per pair."""
        pairs = Pairs(self.of_query, self.of_attribute)
        shares: NDArray[np.float64] = self.judge(self.top(queries, documents), pairs).mean(2)
        return shares

    def top(self, queries: FloatArray, documents: FloatArray | None = None) -> Rows:
        """Rows of the ten best searched documents of each query by product, best first, shape (len(queries), 10)."""
        rows = self.searched if documents is None else documents
        blocks = (queries[start : start + 256].astype(np.float32) for start in range(0, len(queries), 256))
        return np.concatenate([best(block @ rows.T) for block in blocks])


def best(scores: FloatArray) -> Rows:
    """Columns of the ten largest scores of each row, largest first, shape (rows, 10)."""
    found = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
    order = np.argsort(-np.take_along_axis(scores, found, 1), axis=1, kind="stable")
    return np.take_along_axis(found, order, 1)


def turned(queries: FloatArray, directions: FloatArray, degrees: float) -> FloatArray:
    """Queries turned towards directions by an angle, unit rows, shape (n, d)."""
    aside = unit_rows(directions - (directions * queries).sum(1, keepdims=True) * queries)
    angle = np.deg2rad(degrees)
    rows: FloatArray = (np.cos(angle) * queries + np.sin(angle) * aside).astype(np.float32)
    return rows


def ndcg(ranks: Rows) -> NDArray[np.float64]:
    """nDCG@10 where one document answers a request; ranks from 1, 0 for an answer that is not among the ten."""
    return np.where(ranks > 0, 1 / np.log2(np.maximum(ranks, 1) + 1), 0.0)
