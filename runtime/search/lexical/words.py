"""The words view: BM25, with the words of concepts added to those of the query."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ....arrays import IntArray
from ...bundle.features import Features
from ...steering.concepts import Concept
from ...steering.steered_query import SteeredQuery
from ..query import Query, RankedRows
from ..view import CachedView, read_new_rows
from .bm25 import Bm25

MOST_FEATURES = 8
"""Most features of a concept without a phrase whose labels provide words."""


class WordsView(CachedView[Bm25]):
    """Search by words, see `Bm25`; returns only documents with a word of the query."""

    needs_words = True
    needs_bundle = False

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return the documents with the highest BM25 scores; see `View.search`."""
        features = None if self._source.bundle is None else self._source.bundle.features
        return self.index.search(query_words(query.steered, self.index.words_of, features), k, allowed)

    def _load(self) -> Bm25 | None:
        return Bm25.load(self._source.folder, self._store.is_origin_of)

    def _new(self) -> Bm25:
        return Bm25()

    def _add(self, index: Bm25, rows: IntArray) -> None:
        index.add(read_new_rows(self._store, rows, self._store.iter_texts, "texts"))

    def _matches_store(self, index: Bm25, rows: IntArray) -> bool:
        return index.has(rows, [record.text for record in self._store.by_rowid(rows)])


def query_words(
    query: SteeredQuery, words_of: Callable[[str], list[str]], features: Features | None
) -> dict[str, float]:
    """Return the words of a steered query with their weights.

    Each word of the query has the weight 1 per occurrence. A boost adds its strength to the words of its concept, as if
    they occurred that often in the query; a negative boost subtracts it. A clamp sets the weight, so that 0 removes the
    words from the query. `words_of` splits a text into the words of the index; without concepts no features are needed.
    """
    weights: dict[str, float] = {}
    for word in words_of(query.text or ""):
        weights[word] = weights.get(word, 0.0) + 1.0
    for concept, strength in query.boosted:
        for part, share in concept_words(concept, features):
            for word in set(words_of(part)):
                weights[word] = weights.get(word, 0.0) + strength * share
    for concept, value in query.clamped:
        for part, share in concept_words(concept, features):
            weights |= dict.fromkeys(words_of(part), value * share)
    return weights


def concept_words(concept: Concept, features: Features | None) -> Iterator[tuple[str, float]]:
    """Yield the texts that name a concept, each with its weight.

    A phrase is its own text. Other concepts use the labels of their strongest features, each with its feature's weight,
    normalised so that all together weigh as much as the strongest alone. The parts of a label ("zip archives, archive")
    are synonyms and share its weight. A latent without a label has no words.
    """
    phrase = concept.name if concept.source == "text" else concept.phrase
    if phrase:
        yield phrase, 1.0
        return
    assert features is not None
    strongest = sorted(concept.weights.items(), key=lambda pair: -abs(pair[1]))[:MOST_FEATURES]
    total = sum(abs(weight) for _, weight in strongest)
    for latent, weight in strongest:
        parts = [part for part in (features[latent].label or "").split(", ") if part]
        for part in parts:
            yield part, weight * abs(strongest[0][1]) / total / len(parts)
