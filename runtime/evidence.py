"""Whether an index holds anything about a phrase.

A sparse combination of atoms fits gibberish nearly as well as a real phrase (cosine .71 to .86 against .72 to .96), so
the fit cannot tell. How near the nearest document is can, when it is compared with words that are known to occur: on
Python's documentation and on SciFact the nearest document was nearer to each of 21 phrases of the field than for a
quarter of such words, and farther from each of 20 phrases of other fields and of keyboard noise.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from .._warn import warn
from .features import FloatArray, short

if TYPE_CHECKING:
    from .bundle import Bundle

WORDS = 32
ENOUGH = 0.25


class Evidence:
    """Compares phrases with words that the features of a bundle are about.

    Args:
        bundle: Embeds and knows the words.
        nearest: Unit vectors (n, d_in) -> the cosine of each to its nearest document, (n,); empty without documents.
        generation: How often the documents were changed.
    """

    def __init__(
        self, bundle: Bundle, nearest: Callable[[FloatArray], FloatArray], generation: Callable[[], int]
    ) -> None:
        self._bundle, self._nearest, self._generation = bundle, nearest, generation
        self._words: FloatArray | None = None
        self._known: tuple[int, FloatArray] = (-1, np.zeros(0, np.float32))
        self._lock = Lock()

    def of(self, text: str) -> float | None:
        """The share of words to which no document is as near as the nearest one is to the text, 0 to 1.

        None when it cannot be said: no documents, or a bundle with too few words. Below a quarter, when no feature has
        the words of the text either, there is a warning that offers the nearest features.
        """
        words = self._similarities()
        if not len(words):
            return None
        share = float(np.mean(words <= self._nearest(self._bundle.embed([text]))[0]))
        if share < ENOUGH and not self._bundle.features.has_words(text):
            near = ", ".join(str(feature) for feature in self._bundle.features.search(text, 3)) or "none"
            warn(
                f"the index seems to hold nothing about {text!r} (evidence {short(share)} of 1), so a boost of it "
                f"moves results at random; nearest features: {near}"
            )
        return share

    def _similarities(self) -> FloatArray:
        """How near the nearest document is to words of the bundle, shape (n,)."""
        with self._lock:
            if self._words is None:
                words = self._bundle.features.some_words(WORDS)
                self._words = self._bundle.embed(words) if words else np.zeros((0, self._bundle.d_in), np.float32)
            generation = self._generation()
            if self._known[0] != generation:
                self._known = (generation, self._nearest(self._words))
            return self._known[1]
