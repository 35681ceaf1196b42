"""The documents that features are interpreted on: texts, embeddings, codes, and which of them are held out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ...metrics import FloatArray, IntArray, unit_rows
from ..bundle import Bundle
from ..embedder import Progress

BoolArray = NDArray[np.bool_]

FIRES = 0.25
"""A latent fires on a document where its activation reaches this share of what is typical (its 95th percentile). TopK
keeps k latents whether a text has that much to say or not: the weakest of them say little."""
MIN_DOCUMENTS = 20
"""With fewer documents, half of which are held out, nothing can be learned or measured."""


@dataclass(frozen=True)
class Reading:
    """Documents seen through a bundle."""

    ids: list[str]
    texts: list[str]
    embeddings: FloatArray
    """Unit rows, shape (n, d_in)."""
    indices: IntArray
    """Latents of each document, shape (n, k)."""
    values: FloatArray
    """Their activations, shape (n, k); 0 = not active."""
    n_latents: int

    @classmethod
    def of(
        cls, bundle: Bundle, ids: Sequence[str], texts: Sequence[str], *, progress: Progress | None = None
    ) -> Reading:
        """Embed and encode documents.

        Raises:
            DataError: Too few documents, or some are not text.
        """
        if len(texts) < MIN_DOCUMENTS:
            raise DataError(f"{len(texts)} documents: interpreting features takes at least {MIN_DOCUMENTS}")
        embeddings = bundle.embed(list(texts), progress=progress)
        return cls(list(ids), list(texts), embeddings, *bundle.encode(embeddings), bundle.n_latents)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def held_out(self) -> BoolArray:
        """Half of the documents, shape (n,): labels are made on the others and scored on these. Decided by the id, so
        that a document stays on its side when others come and go."""
        return np.array([zlib.crc32(id_.encode()) % 2 == 1 for id_ in self.ids], bool)

    @cached_property
    def centred(self) -> FloatArray:
        """Unit rows after the mean is taken away, shape (n, d_in): what documents share says nothing about any one."""
        return unit_rows(self.embeddings - self.embeddings.mean(0))

    @cached_property
    def typical(self) -> FloatArray:
        """95th percentile of each latent's activation where it is active, shape (n_latents,); 0 where it never is."""
        typical = np.zeros(self.n_latents, np.float32)
        for latent, _, values in self._active():
            typical[latent] = np.percentile(values, 95)
        return typical

    @cached_property
    def firing(self) -> list[tuple[IntArray, FloatArray]]:
        """Per latent: rows of the documents on which it fires, strongest first, and the activations there."""
        nothing: tuple[IntArray, FloatArray] = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        lists = [nothing] * self.n_latents
        for latent, rows, values in self._active():
            kept = values >= FIRES * self.typical[latent]
            lists[latent] = rows[kept], values[kept]
        return lists

    def active(self, latent: int) -> BoolArray:
        """On which documents a latent is active at all, however weakly, shape (n,)."""
        return ((self.indices == latent) & (self.values > 0)).any(1)

    def _active(self) -> Iterator[tuple[int, IntArray, FloatArray]]:
        """Inverted lists, strongest first."""
        row, column = np.nonzero(self.values > 0)
        latents, values = self.indices[row, column], self.values[row, column]
        order = np.lexsort((row, -values, latents))
        latents, values, row = latents[order], values[order], row[order]
        starts = np.flatnonzero(np.diff(latents, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(latents)], strict=True):
            yield int(latents[start]), row[start:stop], values[start:stop]
