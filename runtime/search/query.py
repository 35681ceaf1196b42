"""One query as every view takes it: a vector, a code, words, each steered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...arrays import FloatArray
from ...errors import ConfigError, DataError
from ..bundle.features import Features
from ..steering.change import Change
from ..steering.concepts import Concept
from ..steering.resolver import SteeredQuery
from .fusion import Fusion, check_fusion

View = Literal["dense", "reconstruction", "latent", "words", "hybrid"]
VIEWS: tuple[View, ...] = ("dense", "reconstruction", "latent", "words", "hybrid")

_MOST_FEATURES = 8  # of a concept without a phrase, whose labels give it words


def check_search(query: object, k: object, view: object, fusion: Fusion, text: object) -> str | None:
    """Check what a search was asked for, before anything is embedded; returns the words of the query.

    Raises:
        ConfigError: k, the view or the fusion is out of range.
        DataError: The view needs words and there are none.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"k is {k!r}: it must be a whole number of at least 1")
    if view not in VIEWS:
        raise ConfigError(f"view is {view!r}: choose dense, reconstruction, latent, words or hybrid")
    check_fusion(fusion)
    words = query if text is None else text
    if isinstance(words, str):
        return words
    if text is not None or view in ("words", "hybrid"):
        given = "a vector" if text is None else f"a vector with text={text!r:.80}"
        raise DataError(f"the query is {given}: view={view!r} searches words, so give a text, or the vector and text=")
    return None


@dataclass(frozen=True)
class Asked:
    """A steered query, and what it is to be compared with."""

    view: View
    fusion: Fusion
    text: str | None
    """The query's words; None where only a vector is known."""
    steered: SteeredQuery
    plain: bool = False
    """Take it without the steering."""
    idf: bool = False
    """Weigh latents by how few documents have them, in the latent view."""

    @property
    def vector(self) -> FloatArray:
        """For the dense view, shape (d_in,)."""
        return self.steered.original if self.plain else self.steered.vector

    @property
    def change(self) -> Change:
        """For the reconstruction and the latent view."""
        assert self.steered.change is not None
        return self.steered.change.undone if self.plain else self.steered.change

    def words(self, words_of: Callable[[str], list[str]], features: Features) -> dict[str, float]:
        """For the words view: word -> weight.

        Each word of the query weighs 1 as often as it stands there. A boost adds its strength to the words of its
        concept, as if they stood in the query so many times, and a negative one takes it off; a clamp sets the weight,
        so that 0 takes the words out of the query.

        Args:
            words_of: Splits a text into the words that the view knows.
            features: Have the labels.
        """
        weights: dict[str, float] = {}
        for word in words_of(self.text or ""):
            weights[word] = weights.get(word, 0.0) + 1.0
        if not self.plain:
            for concept, strength in self.steered.concepts:
                for part, share in spoken(concept, features):
                    for word in set(words_of(part)):
                        weights[word] = weights.get(word, 0.0) + strength * share
            for concept, value in self.steered.clamped:
                for part, share in spoken(concept, features):
                    weights |= dict.fromkeys(words_of(part), value * share)
        return weights


def spoken(concept: Concept, features: Features) -> Iterator[tuple[str, float]]:
    """A concept in words: texts and how much each of them counts.

    A phrase is its own words. Other concepts have those of the labels of their strongest features, each with its
    feature's weight, spread so that all of them together count as much as the strongest alone would; the parts of a
    label ("zip archives, archive") say the same and share its weight. A latent without a label has no words.
    """
    phrase = concept.name if concept.source == "text" else concept.phrase
    if phrase:
        yield phrase, 1.0
        return
    strongest = sorted(concept.weights.items(), key=lambda pair: -abs(pair[1]))[:_MOST_FEATURES]
    total = sum(abs(weight) for _, weight in strongest)
    for latent, weight in strongest:
        parts = [part for part in (features[latent].label or "").split(", ") if part]
        for part in parts:
            yield part, weight * abs(strongest[0][1]) / total / len(parts)
