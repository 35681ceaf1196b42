"""An inverted index over the labels, guesses, families and keywords of features."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from ...text import STEM, WORD, inflected
from .feature import Feature

LABEL, GUESS, INFLECTED = 1.0, 0.7, 0.8
"""Weight of a word in a label or family, of one in a guess, and factor for a word that differs in its ending. The first
keyword has 1/2, the next 1/3, and so on."""


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

    def scores(self, text: str) -> dict[int, float]:
        """Score the latents that have words of a text, 0 to 1; rare words count more than common ones."""
        words = words_of(text)
        scores: dict[int, float] = defaultdict(float)
        for word in words:
            best: dict[int, float] = {}
            for other, weights in self._weights.items():
                if other[:STEM] != word[:STEM] or not (other == word or inflected(word, other)):
                    continue
                factor = 1.0 if other == word else INFLECTED
                factor *= math.log1p(self._count / len(weights)) / math.log1p(self._count)
                for latent, weight in weights.items():
                    best[latent] = max(best.get(latent, 0.0), factor * weight)
            for latent, score in best.items():
                scores[latent] += score / len(words)
        return dict(scores)


def words_of(text: str | None) -> list[str]:
    """Return the lower-cased words of a text."""
    return WORD.findall(text.casefold()) if text else []
