"""The ways to search one index: dense, by reconstructions (the paper's), by sparse latents, by words, and hybrid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, IntArray, unit_rows
from ..bundle.bundle import Bundle
from ..steering.change import Change
from ..store.documents import DocumentStore
from ..store.sqlite import damaged
from .bm25 import WordsView
from .dense import VectorIndex
from .fusion import fuse
from .latent import LatentView, best_rows
from .query import Asked, View

_TRIED = 200  # best documents of all that a new filter is tried on
_COMPARED = 64  # codes that are compared with the store before a cache is believed


class ReconstructionView:
    """Searches by ``cos(q_hat', d_hat)``: the steered code of the query, decoded, against decoded documents.

    The paper takes the inner product; a reconstruction is shorter the less of a text it holds, and the cosine, which
    costs nothing more, does not punish long texts for that.

    Args:
        rows: Row id of each document, ascending, shape (n,).
        codes: Blocks of (indices, values), in the order of `rows`.
        bundle: Decodes.
    """

    def __init__(self, rows: IntArray, codes: Iterable[tuple[IntArray, FloatArray]], bundle: Bundle) -> None:
        self._rows, self._bundle = rows, bundle
        self._matrix = np.empty((len(rows), bundle.d_in), np.float32)
        start = 0
        for indices, values in codes:
            self._matrix[start : start + len(indices)] = unit_rows(bundle.decode(indices, values))
            start += len(indices)

    def search(self, change: Change, k: int, allowed: IntArray | None) -> tuple[IntArray, FloatArray]:
        """Row ids and scores, best first. Steering is in `change`; its `after` may be negative."""
        query = unit_rows(self._bundle.decode(change.latents[None], change.after[None]))[0]
        scores = self._matrix @ query
        keep = slice(None) if allowed is None else np.isin(self._rows, allowed)
        return best_rows(self._rows[keep], scores[keep], k)


class Views:
    """The views of a store beside the dense one, each made when it is first asked for and kept in step with it.

    Args:
        store: The documents.
        bundle: Made their codes.
        folder: Where inverted lists and words are kept as caches; need not exist.
    """

    def __init__(self, store: DocumentStore, bundle: Bundle, folder: Path) -> None:
        self._store, self._bundle, self._folder = store, bundle, folder
        self._reconstruction: tuple[int, ReconstructionView] | None = None
        self._latent: tuple[int, LatentView] | None = None
        self._words: tuple[int, WordsView] | None = None

    def search(
        self, asked: Asked, k: int, filter: Mapping[str, Any] | None, dense: VectorIndex, generation: int
    ) -> tuple[IntArray, FloatArray]:
        """Row ids and scores of the best documents in the view that was asked for, best first, ties by row id.

        A filter that was not met before is first tried on the best documents of all: where `k` of them match, these are
        the answer, and the metadata of all others need not be read.

        Args:
            asked: The query.
            k: Results wanted.
            filter: Metadata conditions; None or {} for all documents.
            dense: The vectors of the store.
            generation: What `dense` is of; the other views are made of this generation, or of a newer one.
        """

        def search(view: View | str, k: int, allowed: IntArray | None) -> tuple[IntArray, FloatArray]:
            if view == "dense":
                return dense.search(asked.vector, k, allowed)
            if view == "words":
                words = self._get_words(generation)
                return words.search(asked.words(words.words_of, self._bundle.features), k, allowed)
            if view == "latent":
                return self._get_latent(generation).search(asked.change, k, allowed, idf=asked.idf)
            return self._get_reconstruction(generation).search(asked.change, k, allowed)

        if filter and asked.view != "hybrid" and not self._store.knows_where(filter):
            tried = max(_TRIED, 4 * k)
            rows, scores = search(asked.view, tried, None)
            fit = np.isin(rows, self._store.matching(rows, filter))
            if np.count_nonzero(fit) >= k or len(rows) < tried:  # the second: the view has no others
                return rows[fit][:k], scores[fit][:k]
        allowed = self._store.rowids_where(filter) if filter else None
        if asked.view == "hybrid":
            return fuse(search, asked.fusion, k, allowed)
        return search(asked.view, k, allowed)

    def unsaved(self, generation: int) -> bool:
        """Whether there are inverted lists or words of this generation that are not in the cache."""
        return any(of == generation != view.saved_generation for of, view in self._cached())

    def save(self, generation: int) -> None:
        """Write the inverted lists and words of this generation that are not in the cache.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        for of, view in self._cached():
            if of == generation != view.saved_generation:
                view.save(self._folder, generation)

    def _cached(self) -> list[tuple[int, LatentView | WordsView]]:
        return [pair for pair in (self._latent, self._words) if pair is not None]

    def _get_reconstruction(self, generation: int) -> ReconstructionView:
        if self._reconstruction is None or self._reconstruction[0] != generation:
            with self._store.snapshot():
                rows = self._store.rowids()
                made = ReconstructionView(rows, self._codes(rows), self._bundle)
                self._reconstruction = (self._store.generation, made)
        return self._reconstruction[1]

    def _get_latent(self, generation: int) -> LatentView:
        if self._latent is None or self._latent[0] != generation:
            with self._store.snapshot():
                self._latent = (self._store.generation, self._synced())
        return self._latent[1]

    def _get_words(self, generation: int) -> WordsView:
        if self._words is None or self._words[0] != generation:
            words, self._words = self._words, None  # one that an error left half changed is not used again
            with self._store.snapshot():
                current = self._store.rowids()
                made = words[1] if words else WordsView.load(self._folder)
                if made is not None:
                    made.remove(np.setdiff1d(made.rowids, current, assume_unique=True))
                if made is None or made.worn or not self._same_texts(made, current):
                    made = WordsView()
                made.add(self._texts(current[len(made.rowids) :]))
                self._words = (self._store.generation, made)
        return self._words[1]

    def _texts(self, rows: IntArray) -> Iterator[tuple[IntArray, list[str]]]:
        """Blocks of the texts of the newest documents, which must be exactly `rows`."""
        done = 0
        if len(rows):
            for rowids, texts in self._store.iter_texts(after_rowid=int(rows[0]) - 1):
                if not np.array_equal(rowids, rows[done : done + len(rowids)]):
                    break
                done += len(rowids)
                yield rowids, texts
        if done < len(rows):
            raise damaged(self._store.path, f"{done} of {len(rows)} texts can be read")

    def _same_texts(self, words: WordsView, current: IntArray) -> bool:
        """As `_begins_with`, for words."""
        known = words.rowids
        if not np.array_equal(known, current[: len(known)]):
            return False
        return words.has(known[-_COMPARED:], [record.text for record in self._store.by_rowid(known[-_COMPARED:])])

    def _synced(self) -> LatentView:
        current = self._store.rowids()
        lists = self._latent[1] if self._latent else LatentView.load(self._folder, n_latents=self._bundle.n_latents)
        if lists is not None:
            lists.remove(np.setdiff1d(lists.rowids, current, assume_unique=True))
        if lists is None or not self._begins_with(lists, current):
            lists = LatentView(np.empty(0, np.int64), [], self._bundle.n_latents)
        new = current[len(lists.rowids) :]
        lists.add(new, self._codes(new))
        return lists

    def _codes(self, rows: IntArray) -> Iterator[tuple[IntArray, FloatArray]]:
        """Blocks of the codes of the newest documents, which must be exactly `rows`."""
        done = 0
        if len(rows):
            for rowids, indices, values in self._store.iter_codes(after_rowid=int(rows[0]) - 1):
                if not np.array_equal(rowids, rows[done : done + len(rowids)]):
                    break
                done += len(rowids)
                yield indices, values
        if done < len(rows):
            raise damaged(self._store.path, f"{done} of {len(rows)} codes can be read")

    def _begins_with(self, lists: LatentView, current: IntArray) -> bool:
        """Whether lists are those of the oldest documents of the store, which may have been restored from a copy."""
        known = lists.rowids
        if not np.array_equal(known, current[: len(known)]):
            return False
        last = known[-_COMPARED:]
        return lists.has(last, *self._store.codes_of(last))
