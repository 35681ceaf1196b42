"""The documents that features are interpreted on: texts, embeddings, codes, and which of them are held out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, unit_rows
from ...errors import DataError
from ..bundle.bundle import Bundle

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


TOP = 20
NEAR_MISSES = 3
COMPANIONS = 8
QUANTILES = (0.5, 0.75, 0.9, 0.95, 1.0)
BLOCK = 128
COMPANION_DOCUMENTS = 256
"""Strongest documents of a latent whose other latents are counted."""


@dataclass(frozen=True)
class Evidence:
    """One latent in one set of documents."""

    latent: int
    fires: int
    """Documents on which it fires."""
    active: int
    """Documents on which it is active at all."""
    quantiles: tuple[float, ...]
    """Of its activation where it is active, at `QUANTILES`; zeros when it never is."""
    top: IntArray
    """Rows of its strongest documents, strongest first."""
    near_misses: IntArray
    """Rows of the documents nearest to the mean of those on which it fires, on which it is not active."""
    companions: tuple[tuple[int, float], ...]
    """Latents that fire with it more often than by chance, and their lift: how many times more often."""


def gather(reading: Reading) -> Iterator[Evidence]:
    """Evidence of every latent, in the order of their ids, a block of latents at a time."""
    share = np.array([len(rows) for rows, _ in reading.active], np.float32) / np.float32(len(reading))
    for start in range(0, reading.n_latents, BLOCK):
        latents = range(start, min(start + BLOCK, reading.n_latents))
        closeness = mean_documents(reading, latents) @ reading.centred.T  # (latents, n)
        for latent, near in zip(latents, closeness, strict=True):
            (fires, _), (active, values) = reading.firing[latent], reading.active[latent]
            near[active] = -np.inf
            near[reading.held_out] = -np.inf  # who labels by what is shown must not see what labels are tested on
            yield Evidence(
                latent=latent,
                fires=len(fires),
                active=len(active),
                quantiles=tuple(float(q) for q in np.quantile(values, QUANTILES)) if len(values) else (0.0,) * 5,
                top=fires[:TOP],
                near_misses=_largest(near, NEAR_MISSES) if len(fires) else fires,
                companions=_companions(reading, latent, fires, share) if len(fires) else (),
            )


def mean_documents(reading: Reading, latents: range) -> FloatArray:
    """Where the documents lie on which each latent fires: their sum by activation, shape (latents, d_in)."""
    return np.stack([reading.firing[latent][1] @ reading.centred[reading.firing[latent][0]] for latent in latents])


def _largest(values: FloatArray, count: int) -> IntArray:
    rows = np.argpartition(-values, min(count, len(values) - 1))[:count]
    rows = rows[np.argsort(-values[rows], kind="stable")]
    return rows[np.isfinite(values[rows])]


def _companions(reading: Reading, latent: int, rows: IntArray, share: FloatArray) -> tuple[tuple[int, float], ...]:
    rows = rows[:COMPANION_DOCUMENTS]
    with_it = reading.indices[rows][reading.values[rows] > 0]
    together = np.bincount(with_it, minlength=reading.n_latents)
    together[latent] = 0
    lift = together / (len(rows) * np.maximum(share, 1 / len(reading)))
    lift[together < 3] = 0.0
    best = np.argsort(-lift * np.sqrt(together), kind="stable")[:COMPANIONS]
    return tuple((int(other), float(lift[other])) for other in best if lift[other] > 1)
