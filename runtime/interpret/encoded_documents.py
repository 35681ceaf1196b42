"""The documents that features are interpreted on: their embeddings and codes, and where each latent fires.

Half of the documents are held out. Labels and patterns are made from the other half, the training documents, and
scored on the held-out ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, unit_rows
from ...errors import DataError
from ...sequences import as_list
from ..bundle.bundle import Bundle

FIRES = 0.25
"""A latent fires on a document where its activation reaches this share of its typical one, the 95th percentile. TopK
always keeps k latents, even for a text that has little content: the weakest of them mean little."""
MIN_DOCUMENTS = 20
"""With fewer documents, half of which are held out, nothing can be learned or measured."""

TOP = 20
NEAR_MISSES = 3
COMPANIONS = 8
COMPANION_DOCUMENTS = 256
"""Strongest documents of a latent whose other latents are counted."""
MIN_COMMON = 3
"""Documents that a latent and its companion must have in common."""
QUANTILES = (0.5, 0.75, 0.9, 0.95, 1.0)
BLOCK = 128


@dataclass(frozen=True)
class EncodedDocuments:
    """Documents with their embeddings and sparse codes."""

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
    def encode(
        cls, bundle: Bundle, ids: Sequence[str], texts: Sequence[str], embeddings: FloatArray
    ) -> EncodedDocuments:
        """Encode documents, given their embeddings by the bundle's embedder, unit rows of shape (n, d_in).

        Raises:
            DataError: Too few documents, or not one id and one embedding for each.
        """
        ids, texts = as_list(ids, "ids"), as_list(texts, "texts")
        if len(texts) < MIN_DOCUMENTS:
            raise DataError(f"{len(texts)} documents: interpreting features takes at least {MIN_DOCUMENTS}")
        if not len(ids) == len(texts) == len(embeddings):
            raise DataError(f"{len(texts)} texts, {len(ids)} ids, {len(embeddings)} embeddings: one of each is needed")
        return cls(ids, texts, embeddings, *bundle.encode(embeddings), bundle.n_latents)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def held_out(self) -> BoolArray:
        """Whether each document is held out, shape (n,).

        The id decides, so that a document stays in its half when others are added or removed.
        """
        return np.array([zlib.crc32(id_.encode()) % 2 == 1 for id_ in self.ids], bool)

    @cached_property
    def centred(self) -> FloatArray:
        """Embeddings minus their mean, as unit rows, shape (n, d_in)."""
        return centred_rows(self.embeddings)

    @cached_property
    def typical(self) -> FloatArray:
        """95th percentile of each latent's activation where it is active, shape (n_latents,); 0 where it never is."""
        return np.array([np.percentile(v, 95) if len(v) else 0.0 for _, v in self.active], np.float32)

    @cached_property
    def firing(self) -> list[tuple[IntArray, FloatArray]]:
        """Rows of the documents on which each latent fires, strongest first, and its activations there."""
        counts = [int((v >= FIRES * typical).sum()) for (_, v), typical in zip(self.active, self.typical, strict=True)]
        return [(rows[:n], values[:n]) for (rows, values), n in zip(self.active, counts, strict=True)]

    @cached_property
    def active(self) -> list[tuple[IntArray, FloatArray]]:
        """The same for all documents on which a latent is active, however weakly."""
        row, column = np.nonzero(self.values > 0)
        latents, values = self.indices[row, column], self.values[row, column]
        order = np.lexsort((row, -values, latents))
        latents, values, row = latents[order], values[order], row[order]
        ends = np.searchsorted(latents, np.arange(self.n_latents + 1))
        return [(row[a:b], values[a:b]) for a, b in pairwise(ends)]


@dataclass(frozen=True)
class FiringStatistics:
    """The statistics of one latent on a set of documents."""

    latent: int
    fires: int
    """Documents on which it fires."""
    active: int
    """Documents on which it is active."""
    quantiles: tuple[float, ...]
    """Of its activation where it is active, at `QUANTILES`; zeros when it never is."""
    top: IntArray
    """Rows of its strongest documents, strongest first."""
    near_misses: IntArray
    """Rows of training documents on which it is not active, nearest first to the mean of those on which it fires."""
    companions: tuple[tuple[int, float], ...]
    """Latents that fire with it more often than by chance, and their lift: how many times more often."""


def firing_statistics(documents: EncodedDocuments) -> Iterator[FiringStatistics]:
    """Yield the statistics of every latent, in the order of their ids."""
    share = np.array([len(rows) for rows, _ in documents.active], np.float32) / np.float32(len(documents))
    for start in range(0, documents.n_latents, BLOCK):
        latents = range(start, min(start + BLOCK, documents.n_latents))
        closeness = firing_directions(documents, latents) @ documents.centred.T  # (latents, n)
        for latent, near in zip(latents, closeness, strict=True):
            (fires, _), (active, values) = documents.firing[latent], documents.active[latent]
            near[active] = -np.inf
            # A label may be made from the near misses, so it must not be tested on them.
            near[documents.held_out] = -np.inf
            yield FiringStatistics(
                latent=latent,
                fires=len(fires),
                active=len(active),
                quantiles=tuple(float(q) for q in np.quantile(values, QUANTILES)) if len(values) else (0.0,) * 5,
                top=fires[:TOP],
                near_misses=largest(near, NEAR_MISSES) if len(fires) else fires,
                companions=_companions(documents, latent, fires, share) if len(fires) else (),
            )


def firing_directions(documents: EncodedDocuments, latents: range) -> FloatArray:
    """Sum the centred documents on which each latent fires, weighted by activation, shape (latents, d_in)."""
    return np.stack([documents.firing[f][1] @ documents.centred[documents.firing[f][0]] for f in latents])


def centred_rows(embeddings: FloatArray) -> FloatArray:
    """Subtract the mean and scale to unit length, shape (n, d_in): the mean distinguishes no text from another."""
    return unit_rows(embeddings - embeddings.mean(0)) if len(embeddings) else embeddings


def largest(values: FloatArray, count: int) -> IntArray:
    """Return the positions of the largest finite values, at most `count`, largest first."""
    best = np.argpartition(-values, min(count, len(values) - 1))[:count]
    best = best[np.argsort(-values[best], kind="stable")]
    return best[np.isfinite(values[best])]


def _companions(
    documents: EncodedDocuments, latent: int, rows: IntArray, share: FloatArray
) -> tuple[tuple[int, float], ...]:
    """Find the latents that fire with one on `rows`; `share` is the share of the documents on which each is active."""
    rows = rows[:COMPANION_DOCUMENTS]
    others = documents.indices[rows][documents.values[rows] > 0]
    together = np.bincount(others, minlength=documents.n_latents)
    together[latent] = 0
    lift = together / (len(rows) * np.maximum(share, 1 / len(documents)))
    lift[together < MIN_COMMON] = 0.0
    best = np.argsort(-lift * np.sqrt(together), kind="stable")[:COMPANIONS]
    return tuple((int(other), float(lift[other])) for other in best if lift[other] > 1)
