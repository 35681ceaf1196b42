"""A plain index to compare with: a dict of documents, every search a loop or one product over all of them.

It shares with the product the embedder, the encoder and FTS5's tokenizer; scores, orders, filters and what is stored
are computed here a second time, in the simplest way.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

K1, B = 1.2, 0.75
NEAR = 2e-5
"""Largest difference of a float32 score to the one in float64."""


class Mismatch(AssertionError):
    """The index and the reference disagree."""


def check(holds: object, message: str, *values: object) -> None:
    if not holds:
        raise Mismatch(message + "".join(f"\n  {value!r:.600}" for value in values))


@dataclass
class Doc:
    id: str
    text: str
    metadata: dict[str, Any]
    vector: np.ndarray
    order: int
    """Later documents have greater numbers; a replaced document counts as later."""
    owner: str | None = None
    """The prefix of the source that made up the id; None for an id that somebody gave."""


@dataclass
class Reference:
    """What an index should hold."""

    bundle: Any
    docs: dict[str, Doc] = field(default_factory=dict)
    last: int = 0
    _vectors: dict[str, np.ndarray] = field(default_factory=dict)
    _codes: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _columns: dict[str, Any] = field(default_factory=dict)  # forgotten at every change

    def __post_init__(self) -> None:
        self._words = sqlite3.connect(":memory:", isolation_level=None)
        tokenizer = "porter unicode61 remove_diacritics 2"
        self._words.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, tokenize='{tokenizer}')")
        self._words.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
        self._stems: dict[str, list[str]] = {}

    # What is stored

    def put(
        self,
        id: str,
        text: str,
        metadata: Mapping[str, Any],
        vector: np.ndarray | None = None,
        owner: str | None = None,
    ) -> None:
        """Add or replace a document; an unchanged text keeps its place unless its vector is given."""
        old = self.docs.get(id)
        self._columns.clear()
        if old is not None and old.text == text and vector is None:
            old.metadata = dict(metadata)
            return
        self.last += 1
        self.docs.pop(id, None)
        row = self.embed(text) if vector is None else vector
        self.docs[id] = Doc(id, text, dict(metadata), row, self.last, owner)

    def delete(self, ids: list[str]) -> int:
        self._columns.clear()
        return sum(self.docs.pop(id, None) is not None for id in dict.fromkeys(ids))

    def update(self, id: str, metadata: Mapping[str, Any], replace: bool) -> None:
        self._columns.clear()
        doc = self.docs[id]
        doc.metadata = dict(metadata) if replace else {**doc.metadata, **metadata}

    def pick(self, shares: list[float]) -> list[str]:
        """Return different ids at these places (0 to 1) of the order of insertion; chunks belong to their document."""
        ids = [id for id in self.docs if "#" not in id]
        return list(dict.fromkeys(ids[int(share * len(ids))] for share in shares)) if ids else []

    def embed(self, text: str) -> np.ndarray:
        if text not in self._vectors:
            self._vectors[text] = self.bundle.embed_documents([text])[0]
        return self._vectors[text]

    def code(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = vector.tobytes()
        if key not in self._codes:
            indices, values = self.bundle.encode(vector[None])
            self._codes[key] = indices[0], values[0]
        return self._codes[key]

    # Columns over all documents, made when they are first needed

    def column(self, name: str) -> Any:
        if name not in self._columns:
            self._columns[name] = getattr(self, f"_{name}_column")()
        return self._columns[name]

    def _matrix_column(self) -> np.ndarray:
        rows = [doc.vector for doc in self.docs.values()]
        return np.array(rows, np.float64).reshape(len(rows), self.bundle.d_in)

    def _codes_column(self) -> np.ndarray:
        dense = np.zeros((len(self.docs), self.bundle.n_latents))
        for row, doc in enumerate(self.docs.values()):
            indices, values = self.code(doc.vector)
            active = values > 0
            dense[row, indices[active]] = values[active].astype(np.float64) ** 0.75
        return dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)

    def _decoded_column(self) -> np.ndarray:
        if not self.docs:
            return np.zeros((0, self.bundle.d_in))
        indices, values = zip(*(self.code(doc.vector) for doc in self.docs.values()), strict=True)
        rows = self.bundle.decode(np.array(indices), np.array(values)).astype(np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _stems_column(self) -> list[Counter[str]]:
        return [Counter(self.stems(doc.text)) for doc in self.docs.values()]

    def stems(self, text: str) -> list[str]:
        if text not in self._stems:
            self._words.execute("INSERT INTO t (rowid, text) VALUES (1, ?)", (text,))
            self._stems[text] = [term for (term,) in self._words.execute("SELECT term FROM v ORDER BY offset")]
            self._words.execute("DELETE FROM t")
        return self._stems[text]

    # Searching

    def allowed(self, condition: Mapping[str, Any] | None) -> np.ndarray:
        return np.array([condition is None or matches(doc.metadata, condition) for doc in self.docs.values()], bool)

    def dense(self, vector: np.ndarray, k: int, allowed: np.ndarray) -> list[tuple[str, np.float32]]:
        """Return the best documents with the scores that every backend must give, to the last bit."""
        wide = vector.astype(np.float64)
        places = np.flatnonzero(allowed)
        rough = self.column("matrix")[places] @ wide
        if len(places) > k:
            places = places[rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - 1e-6]
        docs = list(self.docs.values())
        scored = [(docs[place], exact_score(docs[place].vector, wide)) for place in places.tolist()]
        scored.sort(key=lambda pair: (-pair[1], pair[0].order))
        return [(doc.id, score) for doc, score in scored[:k]]

    def latent(self, change: Any, idf: bool) -> np.ndarray:
        after = change.after.astype(np.float64)
        weights = np.copysign(np.abs(after) ** 0.75, after)
        weights /= max(float(np.linalg.norm(weights)), 1e-12)
        codes = self.column("codes")
        if idf:
            having = np.maximum((codes[:, change.latents] > 0).sum(0), 1)
            weights = weights * np.log1p(len(codes) / having)
        return codes[:, change.latents] @ weights

    def reconstruction(self, change: Any) -> np.ndarray:
        decoded = self.bundle.decode(change.latents[None], change.after[None])[0].astype(np.float64)
        return self.column("decoded") @ (decoded / np.linalg.norm(decoded))

    def words(self, weights: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return BM25 scores, and which documents have a word of positive weight."""
        counts = self.column("stems")
        lengths = np.array([sum(count.values()) for count in counts], np.float64)
        scores, having = np.zeros(len(counts)), np.zeros(len(counts), bool)
        mean = max(lengths.mean(), 1.0) if len(counts) else 1.0
        for word, weight in weights.items():
            f = np.array([count[word] for count in counts], np.float64)
            n = np.count_nonzero(f)
            idf = math.log(1 + (len(counts) - n + 0.5) / (n + 0.5))
            scores += weight * idf * f * (K1 + 1) / (f + K1 * (1 - B + B * lengths / mean))
            if weight > 0:
                having |= f > 0
        return scores, having

    def check_near(self, hits: list[Any], scores: np.ndarray, eligible: np.ndarray, k: int, tolerance: float) -> None:
        """Check a ranking whose scores are sums of float32: near, in order, and nothing better left out."""
        places = {id: place for place, id in enumerate(self.docs)}
        check(len(hits) == min(k, int(eligible.sum())), "another number of hits", len(hits), k, int(eligible.sum()))
        self.check_order(hits)
        for hit in hits:
            check(eligible[places[hit.id]], "a hit that is not eligible", hit)
            wanted = scores[places[hit.id]]
            check(abs(hit.score - wanted) <= tolerance, "another score", hit, wanted)
        if hits:
            rest = eligible.copy()
            rest[[places[hit.id] for hit in hits]] = False
            best = float(scores[rest].max(initial=-math.inf))
            check(best <= hits[-1].score + tolerance, "a better document is left out", best, hits[-1])

    def check_order(self, hits: list[Any]) -> None:
        """Check that hits are known, distinct, ranked 1, 2, ..., sorted with ties by age, and carry what is stored."""
        check(len({hit.id for hit in hits}) == len(hits), "an id twice", [hit.id for hit in hits])
        for hit in hits:
            doc = self.docs.get(hit.id)
            check(doc is not None, "a document that is not there", hit)
            assert doc is not None
            check((hit.text, hit.metadata) == (doc.text, doc.metadata), "another text or metadata", hit, doc)
        keys = [(-hit.score, self.docs[hit.id].order) for hit in hits]
        check(keys == sorted(keys), "not in order", [(hit.id, hit.score) for hit in hits])
        check([hit.rank for hit in hits] == list(range(1, len(hits) + 1)), "ranks", [hit.rank for hit in hits])


def exact_score(row: np.ndarray, query: np.ndarray) -> np.float32:
    # The product of two unit rows of float32 may be 1.0000001.
    return np.clip(np.float32(math.fsum((row.astype(np.float64) * query).tolist())), np.float32(-1), np.float32(1))


def matches(metadata: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Return whether metadata meets a filter, from the text of the documentation."""
    for key, value in condition.items():
        if key == "$and":
            holds = all(matches(metadata, one) for one in value)
        elif key == "$or":
            holds = any(matches(metadata, one) for one in value)
        elif key == "$not":
            holds = not matches(metadata, value)
        else:
            holds = _field(metadata, key, value)
        if not holds:
            return False
    return True


def _field(metadata: Mapping[str, Any], key: str, value: Any) -> bool:
    if not isinstance(value, Mapping):
        return _compare(metadata, key, "$eq", value)
    return all(
        not _field(metadata, key, operand) if operator == "$not" else _compare(metadata, key, operator, operand)
        for operator, operand in value.items()
    )


def _compare(metadata: Mapping[str, Any], key: str, operator: str, operand: Any) -> bool:
    if operator == "$exists":
        return (key in metadata) == operand
    if operator in ("$ne", "$nin"):
        return not _compare(metadata, key, {"$ne": "$eq", "$nin": "$in"}[operator], operand)
    if key not in metadata:
        return False
    stored = metadata[key]
    if operator in ("$eq", "$in"):
        wanted = operand if operator == "$in" else [operand]
        held = stored if isinstance(stored, list) else [stored]
        return any(_kind(one) == _kind(other) and one == other for one in held for other in wanted)
    if _kind(stored) != _kind(operand) or _kind(stored) not in ("number", "text"):
        return False
    less, equal = stored < operand, stored == operand
    return {"$lt": less, "$lte": less or equal, "$gt": not (less or equal), "$gte": not less}[operator]


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other"
