"""`Sample`: an even sample of an index's documents, from which pages say what all of them are like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from ...runtime import SteerableIndex

MOST = 20_000
"""Documents; the vectors of so many take 31 MB at 384 numbers."""


@dataclass(frozen=True)
class Sample:
    """Documents of an index, in their order; all of them where there are at most `MOST`."""

    documents: int
    """In the index."""
    rows: IntArray
    """Row ids, ascending, shape (n,)."""
    vectors: FloatArray
    """Unit rows, shape (n, d_in)."""
    latents: IntArray
    """Active latents, shape (n, k)."""
    activations: FloatArray
    """Their activations, 0 where fewer are active, shape (n, k)."""
    n_latents: int

    @cached_property
    def mean(self) -> WideArray:
        """Mean vector, shape (d_in,); zeros without documents."""
        if not len(self.vectors):
            return np.zeros(self.vectors.shape[1])
        mean: WideArray = self.vectors.mean(0, dtype=np.float64)
        return mean

    @cached_property
    def counts(self) -> IntArray:
        """How many documents of the sample each latent is active on, shape (n_latents,)."""
        found: IntArray = np.bincount(self.latents[self.activations > 0], minlength=self.n_latents)
        return found

    def share(self, latent: int) -> float:
        """Return the share of the documents that a latent is active on."""
        return float(self.counts[latent]) / max(len(self.rows), 1)

    def active(self, latent: int) -> tuple[IntArray, FloatArray]:
        """Return the places in the sample that a latent is active on, and its activations, strongest first."""
        places, columns = np.nonzero((self.latents == latent) & (self.activations > 0))
        values = self.activations[places, columns]
        order = np.argsort(-values, kind="stable")
        return places[order], values[order]

    def companions(self, latent: int, limit: int) -> list[tuple[int, float]]:
        """Return latents that are active with one on five documents or more, and how many times more than by chance."""
        places, _ = self.active(latent)
        if not len(places):
            return []
        held = self.latents[places][self.activations[places] > 0]
        together = np.bincount(held, minlength=self.n_latents).astype(np.float64)
        expected = self.counts * len(places) / len(self.rows)
        lifts = np.where(together >= 5, together / np.maximum(expected, 1e-12), 0.0)
        lifts[latent] = 0.0
        best = np.argsort(-lifts, kind="stable")[:limit]
        return [(int(other), float(lifts[other])) for other in best if lifts[other] > 1]


def take_sample(index: SteerableIndex, most: int = MOST) -> Sample:
    """Return an even sample of at most `most` documents, of one committed state."""
    store = index.store
    with store.snapshot():
        rows = store.rowids()
        documents = len(rows)
        if documents > most:
            rows = rows[np.linspace(0, documents - 1, most).astype(np.int64)]
        vectors, (latents, activations) = store.vectors_of(rows), store.codes_of(rows)
    return Sample(documents, rows, vectors, latents, activations, index.bundle.n_latents)
