"""The documents that features are interpreted on: texts, embeddings, codes, and which of them are held out."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ...metrics import FloatArray, IntArray, unit_rows
from ..bundle import Bundle

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
    def of(cls, bundle: Bundle, ids: Sequence[str], texts: Sequence[str], embeddings: FloatArray) -> Reading:
        """Encode documents.

        Args:
            bundle: Encodes.
            ids: One per document.
            texts: The documents.
            embeddings: By the bundle's embedder, unit rows, shape (n, d_in).

        Raises:
            DataError: Too few documents, ids or embeddings that do not fit them.
        """
        if len(texts) < MIN_DOCUMENTS:
            raise DataError(f"{len(texts)} documents: interpreting features takes at least {MIN_DOCUMENTS}")
        if not len(ids) == len(texts) == len(embeddings):
            raise DataError(f"{len(texts)} texts, {len(ids)} ids, {len(embeddings)} embeddings: one of each is needed")
        return cls(list(ids), list(texts), embeddings, *bundle.encode(embeddings), bundle.n_latents)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def held_out(self) -> BoolArray:
        """Half of the documents, shape (n,): labels are made on the others and scored on these. Decided by the id, so
        that a document stays on its side when others come and go.
        """
        return np.array([zlib.crc32(id_.encode()) % 2 == 1 for id_ in self.ids], bool)

    @cached_property
    def centred(self) -> FloatArray:
        """Unit rows after the mean is taken away, shape (n, d_in): what documents share says nothing about any one."""
        return centred_rows(self.embeddings)

    @cached_property
    def typical(self) -> FloatArray:
        """95th percentile of each latent's activation where it is active, shape (n_latents,); 0 where it never is."""
        return np.array([np.percentile(v, 95) if len(v) else 0.0 for _, v in self.active], np.float32)

    @cached_property
    def firing(self) -> list[tuple[IntArray, FloatArray]]:
        """Per latent: rows of the documents on which it fires, strongest first, and the activations there."""
        counts = [int((v >= FIRES * typical).sum()) for (_, v), typical in zip(self.active, self.typical, strict=True)]
        return [(rows[:n], values[:n]) for (rows, values), n in zip(self.active, counts, strict=True)]

    @cached_property
    def active(self) -> list[tuple[IntArray, FloatArray]]:
        """The same for all documents on which a latent is active at all, however weakly."""
        row, column = np.nonzero(self.values > 0)
        latents, values = self.indices[row, column], self.values[row, column]
        order = np.lexsort((row, -values, latents))
        latents, values, row = latents[order], values[order], row[order]
        ends = np.searchsorted(latents, np.arange(self.n_latents + 1))
        return [(row[a:b], values[a:b]) for a, b in pairwise(ends)]


def centred_rows(embeddings: FloatArray) -> FloatArray:
    """Unit rows after the mean is taken away, shape (n, d_in): what all texts of a kind share tells none apart."""
    return unit_rows(embeddings - embeddings.mean(0))
