"""Finding features: by words, by where a phrase points, by example documents, and by likeness to another feature."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...errors import ConfigError, DataError
from ...text import WORD
from ..interpret.labels import STEM, inflected
from .features import Feature, Features, latent_id

if TYPE_CHECKING:
    from .bundle import Bundle

LABEL, GUESS, INFLECTED = 1.0, 0.7, 0.8
"""What a word is worth in a label or family, in a guess, and when only its ending differs. A keyword is worth 1/2, the
next 1/3, and so on."""
CO_FIRING = 0.5
"""What firing together always is worth in likeness, where atoms that are the same are worth 1."""
CONTRAST = 64
"""Words whose mean is what short texts have in common."""


@dataclass(frozen=True)
class Similar:
    """A feature that is like another."""

    feature: Feature
    """The feature."""
    cosine: float
    """Of the two atoms, -1 to 1."""
    lift: float | None
    """How many times more often than by chance they fire together, where that is known."""


class Finder:
    """Finds features of a bundle; hidden ones never.

    Args:
        features: As people edited them.
        bundle: Embeds, encodes and knows the atoms; None finds by words only.
    """

    def __init__(self, features: Features, bundle: Bundle | None) -> None:
        self._features, self._bundle = features, bundle

    def by_words(self, text: str) -> list[Feature]:
        """Features that have words of a text, best first."""
        return self._ranked(self._words.scores(text))

    def with_words(self, text: str) -> set[int]:
        """See `Features.with_words`."""
        found = [{feature.id for feature in self.by_words(word)} for word in words_of(text)]
        return set.intersection(*found) if found else set()

    def words_for(self, latents: Iterable[int]) -> list[str]:
        """See `Features.words_for`."""
        told = [f.keywords[:1] or (f.label, f.guess) for f in (self._features.unedited[latent] for latent in latents)]
        return [text.split(",")[0] for texts in told for text in texts if text]

    def search(self, text: str, limit: int) -> list[Feature]:
        """See `Features.search`."""
        if not text.strip():
            return []
        scores = self._words.scores(text)
        if self._bundle is not None:
            # Away from what all short texts have in common: else the latents for "a short text" win every phrase.
            direction = self._bundle.embed([text])[0] - self._contrast
            cosines = self._bundle.atoms @ unit_rows(direction[None])[0]  # (n_latents,)
            for latent in np.flatnonzero((cosines > 0) & (self._features.typical > 0)):
                scores[int(latent)] = scores.get(int(latent), 0.0) + float(cosines[latent])
        named = self._features.find(text) if latent_id(text) is None else None
        if named is not None:
            scores[named.id] = math.inf
        return self._ranked(scores)[:limit]

    def search_examples(self, examples: Sequence[str] | FloatArray, limit: int) -> list[tuple[Feature, float]]:
        """See `Features.search_examples`."""
        bundle = self._opened()
        if isinstance(examples, str) or not len(examples):
            raise DataError(f"examples are {examples!r}: give a list of texts, or embeddings of shape (n, d_in)")
        rows = unit_rows(examples) if isinstance(examples, np.ndarray) else bundle.embed(list(examples))
        indices, values = bundle.encode(rows)
        sums = np.bincount(indices.ravel(), values.ravel().astype(np.float64), minlength=bundle.n_latents)
        excess: dict[int, float] = {}
        for latent in np.flatnonzero((sums > 0) & (self._features.typical > 0)):
            feature = self._features[latent]
            more = float(sums[latent]) / len(rows) - feature.density * feature.mean
            if more > 0:
                excess[feature.id] = more / feature.p95
        return [(feature, excess[feature.id]) for feature in self._ranked(excess)[:limit]]

    def similar(self, feature: Feature, limit: int) -> list[Similar]:
        """See `Features.similar`."""
        bundle = self._opened()
        cosines = bundle.atoms @ bundle.atoms[feature.id]  # (n_latents,)
        found = bundle.interpretation
        lifts = dict(found.entries[feature.id].companions) if found else {}
        likeness = {other.id: float(cosines[other.id]) for other in self._features if other.p95 > 0}
        likeness.pop(feature.id, None)
        for latent in lifts.keys() & likeness.keys():
            likeness[latent] += CO_FIRING * (1 - 1 / max(lifts[latent], 1.0))  # the share that chance does not explain
        ranked = self._ranked(likeness)[:limit]
        return [Similar(other, float(cosines[other.id]), lifts.get(other.id)) for other in ranked]

    def _ranked(self, scores: dict[int, float]) -> list[Feature]:
        latents = sorted(scores, key=lambda latent: (-scores[latent], latent))
        return [self._features[latent] for latent in latents if not self._features[latent].hidden]

    def _opened(self) -> Bundle:
        if self._bundle is None:
            raise ConfigError("these features belong to no bundle: use those of Bundle.load(...).features")
        return self._bundle

    @cached_property
    def _words(self) -> WordIndex:
        return WordIndex(self._features)

    @cached_property
    def _contrast(self) -> FloatArray:
        """Mean embedding of words of the bundle, shape (d_in,); of its reference corpus when it has too few words."""
        words = self.words_for(range(len(self._features)))
        if len(words) < CONTRAST:
            return self._features.reference_mean
        mean: FloatArray = self._opened().embed(words[:: len(words) // CONTRAST]).mean(0, dtype=np.float32)
        return mean


class WordIndex:
    """Which features have which words, and how much a word says.

    Args:
        features: Hidden ones are left out.
    """

    def __init__(self, features: Iterable[Feature]) -> None:
        self._weights: dict[str, dict[int, float]] = defaultdict(dict)
        self._count = 0
        for feature in features:
            if feature.hidden:
                continue
            self._count += 1
            said = [(w, 1 / (rank + 2)) for rank, keyword in enumerate(feature.keywords) for w in words_of(keyword)]
            said += [(word, GUESS) for word in words_of(feature.guess)]
            said += [(word, LABEL) for word in (*words_of(feature.label), *words_of(feature.family))]
            for word, weight in said:
                mine = self._weights[word]
                mine[feature.id] = max(weight, mine.get(feature.id, 0.0))

    def scores(self, text: str) -> dict[int, float]:
        """Latents that have words of a text, and how well they fit, 0 to 1: rare words count more than common ones."""
        wanted = words_of(text)
        scores: dict[int, float] = defaultdict(float)
        for word in wanted:
            best: dict[int, float] = {}
            for other, weights in self._weights.items():
                if other[:STEM] != word[:STEM] or not (other == word or inflected(word, other)):
                    continue
                alike = 1.0 if other == word else INFLECTED
                alike *= math.log1p(self._count / len(weights)) / math.log1p(self._count)
                for latent, weight in weights.items():
                    best[latent] = max(best.get(latent, 0.0), alike * weight)
            for latent, score in best.items():
                scores[latent] += score / len(wanted)
        return dict(scores)


def words_of(text: str | None) -> list[str]:
    """Lower-cased words of a text."""
    return WORD.findall(text.casefold()) if text else []
