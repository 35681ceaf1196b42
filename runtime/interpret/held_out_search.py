"""`HeldOutSearch`: what an index of the held-out documents finds, with a boost or a clamp of thousands of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, IntArray, WideArray
from ..bundle.bundle import Bundle
from ..search.lexical.word_sets import WordSets
from ..search.terms import DEPTH
from ..steering.change import amounts_of
from ..steering.concepts import Concept
from ..steering.conditions.conjunction import AIM, Conjunction
from ..steering.conditions.terms import ENOUGH, Term
from ..steering.documents import Documents, Words

Places: TypeAlias = NDArray[np.int32]
"""Lists of documents."""


class HeldOutSearch(Documents):
    """Documents in memory, searched as `SteerableIndex.search` does in the dense view: the same terms, many at once.

    Lists are places of documents, best first.

    Args:
        bundle: The bundle.
        texts: The documents, at least one.
        vectors: Their embeddings, unit rows, shape (n, d_in).
        queries: Vectors of queries, unit rows, shape (m, d_in).
        words: The texts of the queries.
        first: How many documents a list has, at most n.
    """

    def __init__(
        self,
        bundle: Bundle,
        texts: Sequence[str],
        vectors: FloatArray,
        queries: FloatArray,
        words: Sequence[str],
        first: int,
    ) -> None:
        self._bundle, self._vectors, self._queries, self._first = bundle, vectors, queries, first
        self._sets = WordSets()
        self._sets.add([(np.arange(len(texts)), texts)])
        self._conjunction = Conjunction(bundle, self)
        self._alone: FloatArray = queries @ vectors.T  # (m, n)
        self._abouts: list[tuple[Term, WideArray, WideArray]] = []
        some = self._boost(int(np.argmax(bundle.features.typical)))
        for query, text in zip(queries, words, strict=True):
            # The condition of the query depends on how much is boosted, and not on what.
            about = self._conjunction.terms(query, text, [some], [])[0]
            said = self._sets.rarity(about.words) if about.said is None else about.said
            [share] = self._sets.shares_of(np.arange(len(texts)), [said])
            self._abouts.append((about, about.presence(vectors), np.minimum(share / ENOUGH, 1.0)))

    @property
    def generation(self) -> int:
        """The documents never change."""
        return 0

    def sample_vectors(self, limit: int) -> FloatArray:
        """Return vectors of an even sample of the documents; see `Documents.sample_vectors`."""
        return self._vectors[self._sample(limit)]

    def relevance(self, text: str, near: IntArray, limit: int) -> Words:
        """Return what the words of a text say of what it is about; see `Documents.relevance`."""
        return self._sets.relevance(text, self._sample(limit)[near])

    def plain(self) -> IntArray:
        """Return what is found for every query without a boost, shape (m, first)."""
        return best_places(self._alone, self._first)

    def boosted(self, latents: IntArray) -> Places:
        """Return what is found for every query with a boost of each latent at strength 1, shape (b, m, first)."""
        terms = self._conjunction.terms(self._queries[0], None, [self._boost(int(f)) for f in latents], [])[1:]
        lengths = np.maximum([np.linalg.norm(term.direction) for term in terms], 1e-12)
        along = np.stack([term.direction / length for term, length in zip(terms, lengths, strict=True)])
        towards = along.astype(np.float32) @ self._vectors.T  # (b, n)
        depth = min(max(DEPTH, 4 * self._first), len(self._vectors))
        near = [best_places(alone + np.float32(AIM) * towards, depth, ordered=False) for alone in self._alone]
        candidates = np.sort(np.stack(near, 1), axis=2)  # (b, m, depth)
        found = np.empty((*candidates.shape[:2], self._first), np.int32)
        for i, term in enumerate(terms):
            here = candidates[i]
            z = towards[i][here].astype(np.float64) * lengths[i] + term.offset
            met, scores = term.met(z), term.value(z)
            for q, (about, presence, said) in enumerate(self._abouts):
                counted = about.word_weight * said[here[q]] * met[q]
                scores[q] += about.value(presence[here[q]] + counted)
            found[i] = np.take_along_axis(here, best_places(scores, self._first), 1)
        return found

    def search(self, vectors: FloatArray, own: IntArray) -> IntArray:
        """Return what is found for other queries, shape (j, first).

        Args:
            vectors: Unit rows, shape (j, d_in).
            own: Place of the document that a query was made of, which is not to be found, shape (j,); -1 for none.
        """
        scores: FloatArray = vectors @ self._vectors.T
        inside = np.flatnonzero(own >= 0)
        scores[inside, own[inside]] = -np.inf
        return best_places(scores, self._first)

    def _boost(self, latent: int) -> tuple[Concept, tuple[IntArray, WideArray], float]:
        concept = Concept.from_latents({latent: 1.0})
        return concept, amounts_of(concept.weights, self._bundle.features.typical), 1.0

    def _sample(self, limit: int) -> IntArray:
        return np.arange(0, len(self._vectors), max(1, -(-len(self._vectors) // limit)))


def best_places(scores: NDArray[Any], count: int, *, ordered: bool = True) -> IntArray:
    """Return the places of the largest scores in each row, shape (..., count), best first."""
    if count < scores.shape[-1]:
        best = np.argpartition(-scores, count - 1, axis=-1)[..., :count]
    else:
        best = np.broadcast_to(np.arange(scores.shape[-1]), scores.shape)
    if not ordered:
        return best
    best = np.sort(best, axis=-1)
    order = np.argsort(-np.take_along_axis(scores, best, -1), axis=-1, kind="stable")
    return np.take_along_axis(best, order, -1)
