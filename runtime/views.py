"""Two further ways to search the same index: by reconstructions (the paper's) and by sparse latents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from ..metrics import FloatArray, IntArray, unit_codes, unit_rows
from .bundle import Bundle
from .steering import Change
from .store import DocumentStore

View = Literal["dense", "reconstruction", "latent"]


def best_rows(rows: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The `k` best scores, best first, ties by row; fewer when there are fewer."""
    k = min(k, len(rows))
    if k == 0:
        return rows[:0], scores[:0]
    cut = np.partition(scores, len(scores) - k)[len(scores) - k]
    kept = np.flatnonzero(scores >= cut)  # all ties with the last place, so that ties break by row and not by chance
    order = kept[np.lexsort((rows[kept], -scores[kept]))][:k]
    return rows[order], scores[order]


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


class LatentView:
    """Searches by the cosine of sublinear codes (`unit_codes`), with inverted lists: only documents that share a latent
    with the query are touched.

    Args:
        rows: Row id of each document, ascending, shape (n,).
        codes: Blocks of (indices, values), in the order of `rows`.
        n_latents: Number of latents.
    """

    def __init__(self, rows: IntArray, codes: Iterable[tuple[IntArray, FloatArray]], n_latents: int) -> None:
        self._rows = rows
        latents, positions, values, start = [], [], [], 0
        for indices, acts in codes:
            active, acts = acts > 0, unit_codes(acts)
            latents.append(indices[active])
            values.append(acts[active])
            positions.append(start + np.nonzero(active)[0])
            start += len(indices)
        all_latents = np.concatenate(latents) if latents else np.zeros(0, np.int64)
        order = np.argsort(all_latents, kind="stable")
        self._positions = (np.concatenate(positions) if positions else np.zeros(0, np.int64))[order].astype(np.int32)
        self._values = (np.concatenate(values) if values else np.zeros(0, np.float32))[order]
        self._starts = np.searchsorted(all_latents[order], np.arange(n_latents + 1))

    def search(self, change: Change, k: int, allowed: IntArray | None) -> tuple[IntArray, FloatArray]:
        """Row ids and scores, best first; documents that share no latent score 0."""
        scores = np.zeros(len(self._rows), np.float32)
        for latent, weight in zip(change.latents, unit_codes(change.after[None])[0], strict=True):
            part = slice(self._starts[latent], self._starts[latent + 1])
            scores[self._positions[part]] += weight * self._values[part]
        keep = slice(None) if allowed is None else np.isin(self._rows, allowed)
        return best_rows(self._rows[keep], scores[keep], k)


class Views:
    """Both views of a store, each made when it is first asked for, and anew when the documents changed.

    Args:
        store: The documents.
        bundle: Made their codes.
    """

    def __init__(self, store: DocumentStore, bundle: Bundle) -> None:
        self._store, self._bundle = store, bundle
        self._made: dict[View, tuple[int, ReconstructionView | LatentView]] = {}

    def get(self, view: View, generation: int) -> ReconstructionView | LatentView:
        """The view of a generation of the documents, or of a newer one."""
        known = self._made.get(view)
        if known is None or known[0] != generation:
            with self._store.snapshot():
                rows, generation = self._store.rowids(), self._store.generation
                codes = (block[1:] for block in self._store.iter_codes())
                made: ReconstructionView | LatentView = (
                    ReconstructionView(rows, codes, self._bundle)
                    if view == "reconstruction"
                    else LatentView(rows, codes, self._bundle.n_latents)
                )
            self._made[view] = known = (generation, made)
        return known[1]
