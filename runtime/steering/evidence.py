"""Evidence that an index holds documents about a phrase.

A sparse combination of atoms fits gibberish nearly as well as a real phrase (cosine .71 to .87 against .72 to .96), so
that the fit does not show whether an index covers a phrase. The similarity of the nearest document does, compared with
that of words known to occur. On Python's documentation, SciFact and AG News, with bundles of their own and a general
one, the nearest document was nearer to each of 29 phrases of the field than to a third of such words, and farther from
29 of 30 others: phrases of other fields and keyboard noise.
"""

from __future__ import annotations

from threading import Lock

import numpy as np

from ...arrays import FloatArray, IntArray
from ...forks import renew_after_fork
from ...steering_warnings import warn
from ...text import shown
from ..bundle.bundle import Bundle
from ..bundle.feature import format_share
from .concept_directions import beginning_of
from .documents import Documents

COMMONEST, WORDS = 128, 32
"""The reference words are those of 32 of the 128 features that fire on most documents."""
ENOUGH = 1 / 3
"""Share of the reference words below which a phrase has too little evidence."""
SAMPLE = 512
"""Documents whose codes determine the features that occur in an index."""


class Evidence:
    """Comparison of phrases with reference words, from the bundle, of the documents of an index."""

    def __init__(self, bundle: Bundle, documents: Documents) -> None:
        self._bundle, self._documents = bundle, documents
        self._rows: dict[str, FloatArray] = {}
        self._cached: tuple[int | None, IntArray, FloatArray] = (-1, np.zeros(0, np.int64), np.zeros(0, np.float32))
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._lock = Lock()

    def of(self, text: str) -> float | None:
        """Return the share of reference words whose nearest document is no nearer than that of the text, 0 to 1.

        None without documents, or with too few features that have words. Below a third, if no firing feature has the
        words of the text either, a warning offers the nearest features.
        """
        text = beginning_of(text, self._bundle)
        firing, words = self._reference()
        if not len(words):
            return None
        share = float(np.mean(words <= self._documents.nearest(self._bundle.embed_queries([text]))[0]))
        if share < ENOUGH and not any(firing[latent] for latent in self._bundle.features.with_words(text)):
            near = ", ".join(str(feature) for feature in self._bundle.features.search(text, 3)) or "none"
            warn(
                f"the index seems to hold nothing about {shown(text)} (evidence {format_share(share)} of 1), so a "
                f"boost of it moves results at random; nearest features: {near}",
                "nothing",
            )
        return share

    def _reference(self) -> tuple[IntArray, FloatArray]:
        """Return the documents per latent, (n_latents,), and the cosine of reference words to the nearest document."""
        with self._lock:
            generation = self._documents.generation
            if self._cached[0] != generation:
                indices, values = self._documents.sample_codes(SAMPLE)
                firing = np.bincount(indices[values > 0], minlength=self._bundle.n_latents)
                words = self._words(firing)
                new = [word for word in words if word not in self._rows]
                self._rows.update(zip(new, self._bundle.embed_queries(new) if new else [], strict=True))
                rows = np.array([self._rows[word] for word in words], np.float32)
                self._cached = generation, firing, self._documents.nearest(rows)
            return self._cached[1:]

    def _words(self, firing: IntArray) -> list[str]:
        commonest = np.argsort(-firing, kind="stable")[:COMMONEST]
        words = list(dict.fromkeys(self._bundle.features.words_for(commonest[firing[commonest] > 0].tolist())))
        return words[:: len(words) // WORDS][:WORDS] if len(words) >= WORDS else []
