"""What one training step sees: some queries, documents near them, random documents, and texts to reconstruct."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray, IntArray
from .config import TrainConfig


@dataclass(frozen=True)
class Batch:
    """Embeddings of one step."""

    queries: Tensor
    """Shape (queries, d_in)."""
    documents: Tensor
    """Scored documents, shape (documents, d_in)."""
    own: Tensor
    """Column of each query's own candidates in `documents`, shape (queries, candidates), int64."""
    extra: Tensor
    """Documents that are only reconstructed, shape (extra, d_in)."""


class BatchSampler:
    """Draws the batch of a given step; the same step always gives the same batch, so a resumed run goes on exactly.

    Args:
        queries: Unit rows, shape (queries, d_in), float32; may be memory-mapped.
        documents: Unit rows, shape (documents, d_in), float32; may be memory-mapped.
        neighbours: Rows of each query's nearest documents, best first, shape (queries, pool).
        config: Batch sizes and seed.
        n_real: The first so many queries are real ones, at least `config.real_share` of every batch; the others were
            made from the documents.
    """

    def __init__(
        self,
        queries: FloatArray,
        documents: FloatArray,
        neighbours: IntArray,
        config: TrainConfig,
        *,
        n_real: int = 0,
    ) -> None:
        self.queries, self.documents, self.neighbours, self.config = queries, documents, neighbours, config
        self.n_real = n_real
        pool = neighbours.shape[1]
        # Nearer documents more often: the order at the top of the list is what a user sees.
        weights = 1.0 / np.sqrt(np.arange(1, pool + 1))
        self._chances = weights / weights.sum()

    def draw(self, step: int, device: torch.device) -> Batch:
        """The batch of `step`, on `device`."""
        config = self.config
        rng = np.random.default_rng([config.seed, step])
        chosen = self._choose_queries(rng)
        n_queries = len(chosen)
        n_candidates = min(config.candidates, self.neighbours.shape[1])
        if n_candidates == self.neighbours.shape[1]:
            candidates = self.neighbours[chosen]
        else:  # Gumbel top-k: a weighted draw without replacement for all queries at once
            keys = np.log(self._chances) + rng.gumbel(size=(n_queries, len(self._chances)))
            columns = np.argpartition(-keys, n_candidates - 1, axis=1)[:, :n_candidates]
            candidates = np.take_along_axis(self.neighbours[chosen], columns, axis=1)
        n_documents = len(self.documents)
        others = rng.integers(0, n_documents, config.random_documents)
        rows, columns = np.unique(np.concatenate([candidates.ravel(), others]), return_inverse=True)
        extra = rng.integers(0, n_documents, config.extra_documents)
        own = columns.ravel()[: candidates.size].reshape(candidates.shape)
        return Batch(
            queries=_gather(self.queries, chosen, device),
            documents=_gather(self.documents, rows, device),
            own=torch.from_numpy(own).to(device),
            extra=_gather(self.documents, extra, device),
        )

    def _choose_queries(self, rng: np.random.Generator) -> IntArray:
        n, n_real = len(self.queries), self.n_real
        wanted = min(self.config.queries_per_step, n)
        if n_real in (0, n):
            return rng.choice(n, wanted, replace=False)
        share = max(self.config.real_share, n_real / n)
        real = min(round(share * wanted), n_real)
        made = min(wanted - real, n - n_real)
        return np.concatenate(
            [rng.choice(n_real, real, replace=False), n_real + rng.choice(n - n_real, made, replace=False)]
        )


def _gather(array: FloatArray, rows: IntArray, device: torch.device) -> Tensor:
    order = np.argsort(rows, kind="stable")  # a memory map is read forwards
    block = np.empty((len(rows), array.shape[1]), np.float32)
    block[order] = array[rows[order]]
    return torch.from_numpy(block).to(device)


def nearest(
    queries: FloatArray,
    documents: FloatArray,
    k: int,
    *,
    block: int = 16_384,
    progress: Callable[[int, int], None] | None = None,
) -> IntArray:
    """Rows of the `k` documents with the largest inner product, best first.

    Args:
        queries: Unit rows, shape (queries, d_in), float32.
        documents: Unit rows, shape (documents, d_in), float32; may be memory-mapped, it is read block by block.
        k: Documents per query; all of them when there are fewer.
        block: Documents held in memory at a time.
        progress: Called with (documents done, documents).

    Returns:
        Shape (queries, min(k, documents)), int64.
    """
    k = min(k, len(documents))
    q = torch.from_numpy(np.ascontiguousarray(queries))
    scores = torch.full((len(queries), k), -torch.inf)
    rows = torch.zeros((len(queries), k), dtype=torch.int64)
    for start in range(0, len(documents), block):
        part = torch.from_numpy(np.array(documents[start : start + block], np.float32))
        for first in range(0, len(queries), 4096):  # bounds the score matrix at 4096 x block
            chunk = slice(first, first + 4096)
            best, columns = (q[chunk] @ part.T).topk(min(k, len(part)), dim=1)
            scores[chunk], order = torch.cat([scores[chunk], best], 1).topk(k, dim=1)
            rows[chunk] = torch.cat([rows[chunk], columns + start], 1).gather(1, order)
        if progress:
            progress(min(start + block, len(documents)), len(documents))
    return rows.numpy()
