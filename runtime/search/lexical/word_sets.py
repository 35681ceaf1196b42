"""`WordSets`: which words each document has, as numbers, and which share of a text's words that is."""

from __future__ import annotations

import os
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....arrays import IntArray, WideArray, positions_of
from ....bounded_cache import BoundedCache
from ...steering.documents import Words
from ...store.cache_files import read_cache, write_cache
from ...store.epochs import UNKNOWN, Origin
from .folding import VERSION, fold

Hashes = NDArray[np.uint32]
_COMPACT_ABOVE = 0.25  # share of removed documents
_ARRAYS = ("rows", "starts", "hashes", "known", "counts")
_MAPPED = os.name != "nt"  # Windows cannot replace a mapped file
_FEW = 16  # words that are compared one by one: 35 us for 2 words and 300 documents, in place of 180
_CACHED = 128  # texts whose weights are kept
_FORMAT = 1  # changes with the words of a text
_WORD = re.compile(r"[^\W_]+")


class WordSets:
    """The distinct words of documents, four bytes each, updated with the store and kept as a cache.

    `Bm25` finds the documents of a word; this finds the words of a document, which costs the same however common the
    words are: .2 ms for 200 documents and any query. Words are folded (`fold`), in lower case, without the ending of a
    plural. Two words share a number by chance in one of 4 billion cases.

    References:
        Harman 1991, "How Effective is Suffixing?", JASIS (the S-stemmer).
    """

    def __init__(self) -> None:
        self.saved_generation: int | None = None
        """The generation of the cache that the sets were read from or written to."""
        self._rows, self._alive = np.empty(0, np.int64), np.empty(0, np.bool_)
        self._starts: IntArray = np.zeros(1, np.int64)
        self._hashes: Hashes = np.empty(0, np.uint32)
        # The documents of each word.
        self._known: Hashes = np.empty(0, np.uint32)
        self._counts: IntArray = np.empty(0, np.int64)
        self._rarities: BoundedCache[str, Words] = BoundedCache(_CACHED)

    @property
    def rowids(self) -> IntArray:
        """The row ids in the index, ascending."""
        return self._rows if self._alive.all() else self._rows[self._alive]

    @property
    def needs_rebuild(self) -> bool:
        """Whether so many documents were removed that the sets should be made anew."""
        return bool(np.count_nonzero(self._alive) < (1 - _COMPACT_ABOVE) * len(self._alive))

    def add(self, blocks: Iterable[tuple[IntArray, Sequence[str]]]) -> None:
        """Add documents in blocks of (row ids, texts); row ids are ascending and greater than all before."""
        rows, hashes, lengths = [self._rows], [self._hashes], []
        for some, texts in blocks:
            sets = [hashes_of(text) for text in texts]
            rows.append(some)
            hashes += sets
            lengths += [len(one) for one in sets]
        if not lengths:
            return
        added = np.concatenate(hashes[1:])
        self._rows = np.concatenate(rows)
        self._alive = np.concatenate([self._alive, np.ones(len(lengths), np.bool_)])
        self._starts = np.concatenate([self._starts, self._starts[-1] + np.cumsum(lengths)])
        self._hashes = np.concatenate([self._hashes, added])
        new, counts = np.unique(added, return_counts=True)
        known = np.union1d(self._known, new)
        merged = np.zeros(len(known), np.int64)
        merged[np.searchsorted(known, self._known)] = self._counts
        merged[np.searchsorted(known, new)] += counts
        self._known, self._counts = known, merged
        self._rarities.clear()

    def remove(self, rows: IntArray) -> None:
        """Remove documents; unknown row ids are ignored."""
        gone = np.flatnonzero(np.isin(self._rows, rows) & self._alive)
        if len(gone):
            words, counts = np.unique(self._words_at(gone)[1], return_counts=True)
            self._counts[np.searchsorted(self._known, words)] -= counts
            self._alive[gone] = False
            self._rarities.clear()

    def has(self, rows: IntArray, texts: Sequence[str]) -> bool:
        """Return whether these documents, row ids ascending, have exactly the words of the given texts."""
        sets = [hashes_of(text) for text in texts]
        which, words = self._words_at(np.searchsorted(self._rows, rows))
        lengths = [len(one) for one in sets]
        same = np.array_equal(np.bincount(which, minlength=len(rows)), lengths)
        return same and np.array_equal(words, np.concatenate([np.empty(0, np.uint32), *sets]))

    def shares(self, rows: IntArray, text: str) -> WideArray:
        """Return the share of a text's words that each document has, 0 to 1, shape (n,); a row without words has 0.

        Words weigh ``log(1 + (N - n + .5) / (n + .5))``, where n of N documents have them. Those that no document has
        are left out. All row ids are in the index.
        """
        return self.shares_of(rows, [self.rarity(text)])[0]

    def rarity(self, text: str) -> Words:
        """Return the words of a text that some document has, with their weights; see `shares`."""
        # The phrase of a concept comes with every query that it steers.
        return self._rarities.get_or_make(text, lambda: self._rarity(*self._known_words(text)))

    def _rarity(self, words: Hashes, counts: IntArray) -> Words:
        total = np.count_nonzero(self._alive)
        return words, np.log(1 + (total - counts + 0.5) / (counts + 0.5))

    def relevance(self, text: str, near: IntArray) -> Words:
        """Return the words of a text that some document has, weighed by what they say of what the text is about.

        A word weighs the logarithm of its odds among documents near the text over those among all, at least 0: of "what
        do people write about solar storms" the last two words. If no word tells them apart, `rarity`.

        Args:
            text: A query.
            near: Row ids of some documents that are about it, as far as vectors know, shape (m,).

        References:
            Robertson and Sparck Jones 1976, "Relevance Weighting of Search Terms", JASIS.
        """
        words, counts = self._known_words(text)
        found, _ = self._gathered(near)
        having = np.array([np.count_nonzero(found == word) for word in words], np.float64)
        here = (having + 0.5) / (len(near) + 1)
        anywhere = (counts + 0.5) / (np.count_nonzero(self._alive) + 1)
        weights: WideArray = np.maximum(np.log(here * (1 - anywhere) / (anywhere * (1 - here))), 0.0)
        return (words, weights) if weights.any() else self._rarity(words, counts)

    def shares_of(self, rows: IntArray, texts: Sequence[Words]) -> list[WideArray]:
        """Return the weighted shares of words that documents have, (n,) each; words of documents are read once."""
        found, ends = self._gathered(rows)
        made = []
        for words, weights in texts:
            if not len(words):
                made.append(np.zeros(len(rows)))
                continue
            if len(words) <= _FEW:
                sums = np.zeros(len(rows))
                for word, weight in zip(words, weights.tolist(), strict=True):
                    sums[ends.searchsorted((found == word).nonzero()[0], "right")] += weight
            else:
                places = np.minimum(np.searchsorted(words, found), len(words) - 1)
                matches = (words[places] == found).nonzero()[0]
                which = ends.searchsorted(matches, "right")
                sums = np.bincount(which, weights[places[matches]], len(rows)).astype(np.float64, copy=False)
            made.append(sums / float(weights.sum()))
        return made

    def save(self, folder: Path, generation: int, origin: Origin = UNKNOWN) -> None:
        """Write the sets as ``sets-*.npy`` and ``sets.json``; errors as in `write_cache`."""

        def write(array: NDArray[Any], path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, array, allow_pickle=False)

        self._compact()
        arrays: tuple[NDArray[Any], ...] = (self._rows, self._starts, self._hashes, self._known, self._counts)
        files = {f"sets-{name}.npy": partial(write, array) for name, array in zip(_ARRAYS, arrays, strict=True)}
        write_cache(folder, "sets.json", files, {"generation": generation, **origin.facts, **_parameters()})
        self.saved_generation = generation

    @classmethod
    def load(cls, folder: Path, fits: Callable[[dict[str, Any]], bool] | None = None) -> WordSets | None:
        """Read the output of `save`; None if it is missing, damaged or does not fit."""

        def read(facts: dict[str, Any]) -> WordSets:
            sets = cls()
            mode: Any = "r" if _MAPPED else None
            sets._rows, sets._starts, known, counts = (
                np.load(folder / f"sets-{name}.npy", allow_pickle=False)
                for name in ("rows", "starts", "known", "counts")
            )
            # Not as a `memmap`, of which every index takes longer.
            sets._hashes = np.asarray(np.load(folder / "sets-hashes.npy", mode, allow_pickle=False))
            sets._known, sets._counts = known, counts
            sets._alive = np.ones(len(sets._rows), np.bool_)
            sets.saved_generation = facts["generation"]
            if not sets._consistent():
                raise ValueError("its arrays do not belong together")
            return sets

        return read_cache(folder, "sets.json", tuple(f"sets-{n}.npy" for n in _ARRAYS), _parameters(), read, fits=fits)

    def _consistent(self) -> bool:
        starts = self._starts
        shapes = len(starts) == len(self._rows) + 1 and len(self._known) == len(self._counts)
        types = self._rows.dtype == starts.dtype == self._counts.dtype == np.int64
        return bool(
            shapes
            and types
            and self._hashes.dtype == self._known.dtype == np.uint32
            and starts[0] == 0
            and np.all(starts[1:] >= starts[:-1])
            and starts[-1] == len(self._hashes)
            and np.all(self._rows[1:] > self._rows[:-1])
        )

    def _known_words(self, text: str) -> tuple[Hashes, IntArray]:
        """Return the words of a text that documents have, ascending, and how many have each."""
        words = hashes_of(text, query=True)
        places = np.searchsorted(self._known, words)
        inside = places < len(self._known)
        places, words = places[inside], words[inside]
        present = (self._known[places] == words) & (self._counts[places] > 0)
        return words[present], self._counts[places[present]]

    def _gathered(self, rows: IntArray) -> tuple[Hashes, IntArray]:
        """Return the words of some documents, one after the other, and where those of each end, shape (n,)."""
        positions = positions_of(self._rows, rows)
        starts = self._starts[positions]
        lengths = self._starts[positions + 1] - starts
        ends = lengths.cumsum()
        places = (starts - ends + lengths).repeat(lengths)
        places += np.arange(len(places))
        return self._hashes[places], ends

    def _words_at(self, positions: IntArray) -> tuple[IntArray, Hashes]:
        """Return the words of documents at some positions, one after the other, and which document each belongs to."""
        starts, lengths = self._starts[positions], self._starts[positions + 1] - self._starts[positions]
        which = np.repeat(np.arange(len(positions)), lengths)
        before = np.cumsum(lengths) - lengths
        return which, self._hashes[np.arange(len(which)) + (starts - before)[which]]

    def _compact(self) -> None:
        """Drop the removed documents."""
        if self._alive.all():
            return
        kept = np.flatnonzero(self._alive)
        which, hashes = self._words_at(kept)
        lengths = np.bincount(which, minlength=len(kept))
        self._rows, self._hashes = self._rows[kept], hashes
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._alive = np.ones(len(kept), np.bool_)
        used = self._counts > 0
        self._known, self._counts = self._known[used], self._counts[used]


def hashes_of(text: str, *, query: bool = False) -> Hashes:
    """Return the numbers of the distinct words of a text, ascending."""
    found = {_number(word) for word in _WORD.findall(fold(text, query=query).lower())}
    return np.array(sorted(found), np.uint32)


def shares_in(texts: Sequence[str], text: str) -> WideArray:
    """Return the share of a text's words that each of some texts has, all words alike, 0 to 1, shape (n,)."""
    words = hashes_of(text, query=True)
    found = [np.isin(words, hashes_of(one), assume_unique=True).mean() if len(words) else 0.0 for one in texts]
    return np.array(found, np.float64)


def spread_over(pieces: Sequence[str], words: Words) -> WideArray:
    """Return how the weight of those words that a text has is spread over its pieces, shape (n,), 1 in all.

    A word that comes twice counts half each time. All are 0 for a text that has none of them.
    """
    wanted = dict(zip(words[0].tolist(), words[1].tolist(), strict=True))
    places: dict[int, list[int]] = {}
    for i, piece in enumerate(pieces):
        for word in hashes_of(piece).tolist():
            if word in wanted:
                places.setdefault(word, []).append(i)
    made = np.zeros(len(pieces))
    for word, found in places.items():
        made[found] += wanted[word] / len(found)
    return made / (float(made.sum()) or 1.0)


def spread_in(pieces: Sequence[str], text: str) -> WideArray:
    """Return how the words of a text, all alike, are spread over the pieces of another; see `spread_over`."""
    words = hashes_of(text, query=True)
    return spread_over(pieces, (words, np.ones(len(words))))


@lru_cache(1 << 16)
def _number(word: str) -> int:
    return zlib.crc32(_singular(word).encode("utf-8", "replace"))


def _singular(word: str) -> str:
    """Return a word without the ending of an English plural."""
    if len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


def _parameters() -> dict[str, object]:
    return {"format": _FORMAT, "folding": f"{VERSION}, Unicode {unicodedata.unidata_version}"}
