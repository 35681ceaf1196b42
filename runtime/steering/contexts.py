"""`Contexts`: the effect of a phrase on the embeddings of texts that contain it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np

from ...arrays import FloatArray
from ..bundle.bundle import Bundle
from ..bundle.features import Features

WORDS = 16
"""Words that a phrase is appended to. With 8 the directions are nearly as good, with 64 no better."""
CACHED = 512


class Contexts:
    """Words of the bundle's corpus as contexts for phrases.

    The embedding of a phrase alone also encodes that it is a phrase: short, a noun, without context. The change that it
    causes in the embeddings of other texts, (n, d_in) unit float32 from `embed`, isolates its meaning.
    """

    def __init__(self, features: Features, embed: Callable[[list[str]], FloatArray]) -> None:
        self._embed = embed
        commonest = np.argsort([-feature.density for feature in features], kind="stable")
        words = list(dict.fromkeys(features.words_for(commonest.tolist())))
        places = np.linspace(0, len(words) - 1, WORDS).astype(int) if len(words) >= WORDS else ()
        self._words = [words[at] for at in places]
        self._rows = embed(self._words) if self._words else None
        self.added_by = lru_cache(CACHED)(self._added_by)

    def texts_with(self, phrase: str) -> list[str]:
        """Return the texts that are embedded for a phrase: each word with the phrase behind it."""
        return [f"{word} {phrase}" for word in self._words]

    def _added_by(self, phrase: str) -> FloatArray | None:
        """Return the mean over words of ``embed(word + phrase) - embed(word)``, unit length, shape (d_in,).

        None if the bundle has too few words, or if the phrase changes nothing.
        """
        if self._rows is None:
            return None
        changes = self._embed(self.texts_with(phrase)) - self._rows
        added: FloatArray = changes.mean(0, dtype=np.float32)
        length = float(np.linalg.norm(added))
        return added / np.float32(length) if length > 1e-4 else None


_CONTEXTS: WeakKeyDictionary[Bundle, Contexts] = WeakKeyDictionary()


def contexts_of(bundle: Bundle) -> Contexts:
    """Return the contexts of a bundle, created once for each."""
    if bundle not in _CONTEXTS:
        # Not a method of the bundle: a value that references its key would never be collected.
        _CONTEXTS[bundle] = Contexts(bundle.features, bundle.embedder.embed_documents)
    return _CONTEXTS[bundle]
