"""Whether an index holds anything about a phrase.

A sparse combination of atoms fits gibberish nearly as well as a real phrase (cosine .71 to .87 against .72 to .96), so
the fit cannot tell. How near the nearest document is can, when it is compared with words that are known to occur. On
Python's documentation, SciFact and AG News, with bundles of their own and a general one, the nearest document was
nearer to each of 29 phrases of the field than for a third of such words, and farther from 29 of 30 others: phrases of
other fields and keyboard noise.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import FloatArray, IntArray
from ...steering_warnings import warn
from ..bundle.features import short

if TYPE_CHECKING:
    from ..bundle.bundle import Bundle

COMMONEST, WORDS = 128, 32
"""The words are those of 32 of the 128 features that fire on most documents."""
ENOUGH = 1 / 3


class Evidence:
    """Compares phrases with words that the documents of an index are about.

    Args:
        bundle: Embeds and knows the words.
        nearest: Unit vectors (n, d_in) -> the cosine of each to its nearest document, (n,); empty without documents.
        codes: Indices and values (n, k) of documents spread over the index.
        generation: How often the documents were changed.
    """

    def __init__(
        self,
        bundle: Bundle,
        nearest: Callable[[FloatArray], FloatArray],
        codes: Callable[[], tuple[IntArray, FloatArray]],
        generation: Callable[[], int],
    ) -> None:
        self._bundle, self._nearest, self._codes, self._generation = bundle, nearest, codes, generation
        self._rows: dict[str, FloatArray] = {}
        self._known: tuple[int, IntArray, FloatArray] = (-1, np.zeros(0, np.int64), np.zeros(0, np.float32))
        self._lock = Lock()

    def of(self, text: str) -> float | None:
        """The share of words to which no document is as near as the nearest one is to the text, 0 to 1.

        None when it cannot be said: no documents, or too few features with words. Below a third, when no feature that
        fires has the words of the text either, there is a warning that offers the nearest features.
        """
        firing, words = self._compared_with()
        if not len(words):
            return None
        share = float(np.mean(words <= self._nearest(self._bundle.embed([text]))[0]))
        if share < ENOUGH and not any(firing[latent] for latent in self._bundle.features.with_words(text)):
            near = ", ".join(str(feature) for feature in self._bundle.features.search(text, 3)) or "none"
            warn(
                f"the index seems to hold nothing about {text!r} (evidence {short(share)} of 1), so a boost of it "
                f"moves results at random; nearest features: {near}"
            )
        return share

    def _compared_with(self) -> tuple[IntArray, FloatArray]:
        """On how many documents each latent fires, (n_latents,), and the cosine of words to their nearest document."""
        with self._lock:
            generation = self._generation()
            if self._known[0] != generation:
                indices, values = self._codes()
                firing = np.bincount(indices[values > 0], minlength=self._bundle.n_latents)
                words = self._words(firing)
                new = [word for word in words if word not in self._rows]
                self._rows.update(zip(new, self._bundle.embed(new) if new else [], strict=True))
                rows = np.array([self._rows[word] for word in words], np.float32)
                self._known = generation, firing, self._nearest(rows)
            return self._known[1:]

    def _words(self, firing: IntArray) -> list[str]:
        commonest = np.argsort(-firing, kind="stable")[:COMMONEST]
        words = list(dict.fromkeys(self._bundle.features.words_for(commonest[firing[commonest] > 0].tolist())))
        return words[:: len(words) // WORDS][:WORDS] if len(words) >= WORDS else []
