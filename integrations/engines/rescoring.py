"""Documents that an engine found, ranked by the conditions of a steered query (`runtime.steering.terms`).

An engine compares one vector, and so cannot rank by several conditions. It gives candidates: those near the query, and
those near a vector between query and concepts. The conditions choose among them, as in an index of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ...arrays import FloatArray, WideArray
from ...bounded_cache import BoundedCache
from ...runtime import Bundle, Hit, SteeredQuery
from ...runtime.search.lexical.word_sets import shares_in
from ...runtime.steering.conditions.terms import scores

Stored = Callable[[list[int]], dict[int, FloatArray]]
CACHED_TEXTS = 4096
"""Texts whose vectors are remembered; 6 MB at 384 dimensions."""


@dataclass(frozen=True)
class RankedHit(Hit):
    """A hit that the conditions of a query ranked: `score` is their sum, 0 where all are met."""

    store_score: float = 0.0
    """The engine's own number, for the vector that found it; NaN where it gives none."""


class TextVectors:
    """Embeddings of the texts that an engine returns without their vectors; the last ones are remembered."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: BoundedCache[bytes, FloatArray] = BoundedCache(CACHED_TEXTS)

    def of(self, texts: Sequence[str], stored: Stored | None = None) -> FloatArray:
        """Return the unit vector of each text, shape (n, d_in).

        `stored` is called with the positions of texts that are not known, and returns the unit vectors that the engine
        shows of them; the others are embedded.
        """
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        found = {key: self._known.get(key) for key in keys}
        if stored is not None:
            places = {key: place for place, key in enumerate(keys) if found[key] is None}
            for place, row in (stored(list(places.values())) if places else {}).items():
                found[keys[place]] = row
                self._known.put(keys[place], row)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
        if missing:
            for key, row in zip(missing, self._bundle.embed_documents(list(missing.values())), strict=True):
                # A copy, since a row of the block would keep all of it in memory.
                found[key] = own = row.copy()
                self._known.put(key, own)
        rows = [row for row in (found[key] for key in keys) if row is not None]
        return np.stack(rows) if rows else np.zeros((0, self._bundle.d_in), np.float32)


def joined(*lists: Sequence[Hit]) -> list[Hit]:
    """Return the hits of all lists, each document once, as the first list has it."""
    # The text tells hits apart where an engine gives no ids.
    hits = {hit.id or hit.text: hit for found in reversed(lists) for hit in found}
    return list(hits.values())


def ranked_by_terms(
    steered: SteeredQuery, hits: Sequence[Hit], vectors: FloatArray, k: int, similar: WideArray | None = None
) -> list[Hit]:
    """Return the best `k` of some hits by the sum of the query's conditions.

    Args:
        steered: A query with conditions.
        hits: Each document once.
        vectors: Of the documents, unit length, shape (n, d_in).
        k: Most hits that are returned.
        similar: What stands for similarity to the query, 1 where its condition is half met, shape (n,).
    """
    terms, texts = steered.terms, [hit.text for hit in hits]
    shares = [shares_in(texts, term.words) if term.words else np.zeros(len(texts)) for term in terms]
    total = scores(terms, vectors, shares, similar)
    best = np.argsort(-total, kind="stable")[:k].tolist()
    return [_ranked(hits[i], rank, float(total[i])) for rank, i in enumerate(best, 1)]


def _ranked(hit: Hit, rank: int, score: float) -> Hit:
    own = {field.name: getattr(hit, field.name) for field in fields(Hit)}
    return replace(RankedHit(**own, store_score=hit.score), rank=rank, score=score)
