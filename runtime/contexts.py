"""What a phrase adds to the texts it stands in: its meaning, without what all short texts have in common."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..metrics import FloatArray

if TYPE_CHECKING:
    from .bundle import Bundle

WORDS = 16
"""Words to put a phrase behind. With 8 the directions are nearly as good, with 64 no better."""
CACHED = 512


class Contexts:
    """Puts phrases behind words of the bundle's corpus.

    The embedding of a phrase says besides what it is about that it is a phrase: short, a noun, out of context. What it
    changes in the embedding of another text is what it is about, as the embedder itself understands it.

    Args:
        bundle: Embeds, and has features that were given words in training.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        commonest = np.argsort([-feature.density for feature in bundle.features], kind="stable")
        words = list(dict.fromkeys(bundle.features.words_for(commonest.tolist())))
        spread = np.linspace(0, len(words) - 1, WORDS).astype(int) if len(words) >= WORDS else ()
        self._words = [words[at] for at in spread]
        self._rows = bundle.embed(self._words) if self._words else None
        self.added_by = lru_cache(CACHED)(self._added_by)

    def _added_by(self, phrase: str) -> FloatArray | None:
        """Mean over words of ``embed(word + phrase) - embed(word)``, unit, shape (d_in,).

        None when the bundle has too few words, or when the phrase changes nothing.
        """
        if self._rows is None:
            return None
        changes = self._bundle.embed([f"{word} {phrase}" for word in self._words]) - self._rows
        added: FloatArray = changes.mean(0, dtype=np.float32)
        length = float(np.linalg.norm(added))
        return added / np.float32(length) if length > 1e-4 else None
