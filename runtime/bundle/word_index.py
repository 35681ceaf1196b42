"""An inverted index over the labels, guesses, families and keywords of features."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

from ...text import STEM, WORD, inflected
from .feature import Feature

LABEL, GUESS, INFLECTED = 1.0, 0.7, 0.8
"""Weight of a word in a label or family, of one in a guess, and factor for a word that differs in its ending. The first
keyword has 1/2, the next 1/3, and so on."""

MAX_WORDS = 512
"""Words of a text that are compared, the first ones: about as many as an embedder reads of it."""


class WordIndex:
    """An inverted index from words to features, without hidden ones."""

    def __init__(self, features: Iterable[Feature]) -> None:
        self._weights: dict[str, dict[int, float]] = defaultdict(dict)
        self._count = 0
        for feature in features:
            if feature.hidden:
                continue
            self._count += 1
            pairs = [(w, 1 / (rank + 2)) for rank, keyword in enumerate(feature.keywords) for w in words_of(keyword)]
            pairs += [(word, GUESS) for word in words_of(feature.guess)]
            pairs += [(word, LABEL) for word in (*words_of(feature.label), *words_of(feature.family))]
            for word, weight in pairs:
                weights = self._weights[word]
                weights[feature.id] = max(weight, weights.get(feature.id, 0.0))
        # Two forms of a word begin alike, so that a word is compared with few others.
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for word in self._weights:
            self._by_stem[word[:STEM]].append(word)

    def scores(self, text: str) -> dict[int, float]:
        """Score the latents that have words of a text, 0 to 1; rare words count more than common ones."""
        words = words_of(text)
        best = {word: self._best(word) for word in set(words)}
        scores: dict[int, float] = defaultdict(float)
        for word in words:
            for latent, score in best[word].items():
                scores[latent] += score / len(words)
        return dict(scores)

    def _best(self, word: str) -> dict[int, float]:
        """Return the score of each latent that has a word, in any of its forms."""
        best: dict[int, float] = {}
        for other in self._by_stem.get(word[:STEM], ()):
            if not (other == word or inflected(word, other)):
                continue
            weights = self._weights[other]
            factor = 1.0 if other == word else INFLECTED
            factor *= math.log1p(self._count / len(weights)) / math.log1p(self._count)
            for latent, weight in weights.items():
                best[latent] = max(best.get(latent, 0.0), factor * weight)
        return best


def words_of(text: str | None) -> list[str]:
    """Return the lower-cased words of a text, the first `MAX_WORDS`."""
    return [found[0] for found in islice(WORD.finditer(text.casefold()), MAX_WORDS)] if text else []
