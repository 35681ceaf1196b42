"""Two further ways to search the same index: by reconstructions (the paper's) and by sparse latents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ..metrics import FloatArray, IntArray, unit_rows
from .bundle import Bundle
from .database import damaged
from .latent import LatentView, best_rows
from .steering import Change
from .store import DocumentStore

View = Literal["dense", "reconstruction", "latent"]
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
    """Both views of a store, each made when it is first asked for and kept in step with the documents.

    Args:
        store: The documents.
        bundle: Made their codes.
        folder: Where the inverted lists are kept as a cache; need not exist.
    """

    def __init__(self, store: DocumentStore, bundle: Bundle, folder: Path) -> None:
        self._store, self._bundle, self._folder = store, bundle, folder
        self._reconstruction: tuple[int, ReconstructionView] | None = None
        self._latent: tuple[int, LatentView] | None = None

    def get(self, view: View, generation: int) -> ReconstructionView | LatentView:
        """The view of a generation of the documents, or of a newer one."""
        if view == "latent":
            if self._latent is None or self._latent[0] != generation:
                with self._store.snapshot():
                    self._latent = (self._store.generation, self._synced())
            return self._latent[1]
        if self._reconstruction is None or self._reconstruction[0] != generation:
            with self._store.snapshot():
                rows = self._store.rowids()
                made = ReconstructionView(rows, self._codes(rows), self._bundle)
                self._reconstruction = (self._store.generation, made)
        return self._reconstruction[1]

    def unsaved(self, generation: int) -> bool:
        """Whether there are inverted lists of this generation that are not in the cache."""
        return self._latent is not None and self._latent[0] == generation != self._latent[1].saved_generation

    def save(self, generation: int) -> None:
        """Write the inverted lists, if there are any of this generation that are not in the cache.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        if self._latent is not None and self.unsaved(generation):
            self._latent[1].save(self._folder, generation)

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
