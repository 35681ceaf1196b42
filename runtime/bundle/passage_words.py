"""How many of a feature's strongest passages have the words of a phrase."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from ...arrays import FloatArray
from ...text import ENDING, STEM
from .interpretation import Entry
from .word_index import words_of


class PassageWords:
    """The strongest passages of every feature, to be searched for words.

    Args:
        entries: The interpretation of every latent.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        texts = [passage.text.casefold() for entry in entries for passage in entry.top]
        counts = [len(entry.top) for entry in entries]
        self._count = np.array(counts, np.int64)
        self._latent_of = np.repeat(np.arange(len(counts)), counts)
        # One long text is searched at once; where its passages begin says whose a word is.
        self._text = "\n".join(texts)
        self._starts = np.cumsum([0, *(len(text) + 1 for text in texts)])[:-1]

    def shares(self, text: str) -> FloatArray:
        """Return the share of each feature's passages that have the words of a text, in any form, shape (n_latents,).

        A word that few passages have counts more. A feature without passages has 0.
        """
        total = np.zeros(len(self._count), np.float64)
        weights = 0.0
        for word in dict.fromkeys(words_of(text)):
            found = np.array(self._places(word), np.int64)
            passages = np.unique(np.searchsorted(self._starts, found, "right") - 1)
            weight = math.log((len(self._starts) + 1) / (len(passages) + 1))
            total += weight * np.bincount(self._latent_of[passages], minlength=len(total)) / np.maximum(self._count, 1)
            weights += weight
        return (total / max(weights, 1e-12)).astype(np.float32)

    def _places(self, word: str) -> list[int]:
        """Return where the forms of a word begin in the text: its beginning, and a few letters more."""
        stem = word if len(word) <= STEM else word[: max(STEM, len(word) - ENDING)]
        text, found = self._text, []
        # Before the stem a pattern would cost: a fixed beginning is found ten times faster.
        for match in re.finditer(rf"{re.escape(stem)}\w{{0,{ENDING + len(word) - len(stem)}}}(?!\w)", text):
            start = match.start()
            if not start or not (text[start - 1].isalnum() or text[start - 1] == "_"):
                found.append(start)
        return found
