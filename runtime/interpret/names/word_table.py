"""`WordTable`: which words each document has, to look up whether the words of a name are in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....arrays import BoolArray, FloatArray, IntArray
from ....noun_phrases.english import singular_of
from ....text import WORD


class WordTable:
    """The words of documents, plurals counted as their singulars: an integer of four bytes each."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._number: dict[str, int] = {}
        rows = []
        for text in texts:
            words = {singular_of(match.casefold()) for match in WORD.findall(text)}
            rows.append(np.fromiter((self._of(word) for word in words), np.int32, len(words)))
        self._starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        self._words = np.concatenate([*rows, np.empty(0, np.int32)])
        counts = np.bincount(self._words, minlength=len(self._number))
        self._idf = np.log((len(rows) + 1) / (counts + 1)).astype(np.float32) + np.float32(1e-3)

    def _of(self, word: str) -> int:
        return self._number.setdefault(word, len(self._number))

    def presence(self, names: Sequence[tuple[str, ...]], rows: IntArray) -> FloatArray:
        """Return how much of each name is in each document, 0 to 1, shape (rows, names).

        A word counts by its inverse document frequency. A word that no document has counts as if one had it.
        """
        numbers = [[self._number.get(singular_of(word), -1) for word in name] for name in names]
        known = sorted({number for name in numbers for number in name if number >= 0})
        local = np.full(len(self._number) + 1, -1, np.int64)
        local[known] = np.arange(len(known))
        has = self._has(rows, local, len(known))
        rarest = float(np.log(len(self._starts))) + 1e-3
        weights = np.zeros((len(known), len(names)), np.float32)
        for column, name in enumerate(numbers):
            total = sum(float(self._idf[number]) if number >= 0 else rarest for number in name)
            for number in name:
                if number >= 0:
                    weights[local[number], column] += self._idf[number] / max(total, 1e-6)
        share: FloatArray = has.astype(np.float32) @ weights
        return share

    def _has(self, rows: IntArray, local: IntArray, count: int) -> BoolArray:
        """Return whether each document has each of the words that `local` numbers, shape (rows, count)."""
        lengths = self._starts[rows + 1] - self._starts[rows]
        row = np.repeat(np.arange(len(rows)), lengths)
        within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        words = local[self._words[np.repeat(self._starts[rows], lengths) + within]]
        has = np.zeros((len(rows), count), bool)
        has[row[words >= 0], words[words >= 0]] = True
        return has
