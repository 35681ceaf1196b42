"""Embeddings on their way into training: their checks, nearest documents, and the batch of every step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import FloatArray, IntArray, first_not_unit
from ..errors import DataError
from .config import TrainConfig

logger = logging.getLogger(__name__)

SAMPLE = 20_000
"""Rows that the mean and the variance are computed from."""
TOLERANCE = 1e-2
"""How much the length of an embedding may differ from 1."""


@dataclass(frozen=True)
class Batch:
    """Embeddings of one training step."""

    queries: Tensor
    """Shape (queries, d_in)."""
    documents: Tensor
    """Documents that are scored: near and random ones, shape (documents, d_in)."""
    own: Tensor
    """Rows of each query's own candidates in `documents`, shape (queries, candidates), int64."""
    extra: Tensor
    """Documents that are only reconstructed, shape (extra, d_in)."""


class BatchSampler:
    """Draws the batch of a given step. A step always gives the same batch, so that a resumed run is exact.

    Args:
        queries: Unit rows, shape (queries, d_in), float32; may be memory-mapped.
        documents: Unit rows, shape (documents, d_in), float32; may be memory-mapped.
        neighbours: Rows of each query's nearest documents, best first, shape (queries, pool).
        config: Batch sizes and seed.
        n_real: Number of real queries; they come first, and at least `config.real_share` of every batch are such.
    """

    def __init__(
        self, queries: FloatArray, documents: FloatArray, neighbours: IntArray, config: TrainConfig, *, n_real: int = 0
    ) -> None:
        self.queries, self.documents, self.neighbours, self.config = queries, documents, neighbours, config
        self.n_real = n_real
        # Nearer documents are drawn more often: users see the top of the ranking.
        weights = 1.0 / np.sqrt(np.arange(1, neighbours.shape[1] + 1))
        self._chances = weights / weights.sum()

    def draw(self, step: int, device: torch.device) -> Batch:
        """Draw the batch of `step` and put it on `device`."""
        config = self.config
        rng = np.random.default_rng([config.seed, step])
        chosen = self._choose_queries(rng)
        n_candidates = min(config.candidates, self.neighbours.shape[1])
        if n_candidates == self.neighbours.shape[1]:
            candidates = self.neighbours[chosen]
        else:
            # Gumbel top-k: a weighted draw without replacement for all queries at once.
            keys = np.log(self._chances) + rng.gumbel(size=(len(chosen), len(self._chances)))
            columns = np.argpartition(-keys, n_candidates - 1, axis=1)[:, :n_candidates]
            candidates = np.take_along_axis(self.neighbours[chosen], columns, axis=1)
        others = rng.integers(0, len(self.documents), config.random_documents)
        rows, columns = np.unique(np.concatenate([candidates.ravel(), others]), return_inverse=True)
        extra = rng.integers(0, len(self.documents), config.extra_documents)
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


def nearest(
    queries: FloatArray,
    documents: FloatArray,
    k: int,
    *,
    block: int = 16_384,
    progress: Callable[[int, int], None] | None = None,
) -> IntArray:
    """Find the `k` documents with the largest inner product for each query, best first.

    Args:
        queries: Unit rows, shape (queries, d_in), float32.
        documents: Unit rows, shape (documents, d_in), float32; may be memory-mapped, it is read block by block.
        k: Documents per query; all of them when there are fewer.
        block: Documents held in memory at a time.
        progress: Called with (documents done, documents).

    Returns:
        Rows of documents, shape (queries, min(k, documents)), int64.
    """
    k = min(k, len(documents))
    q = torch.from_numpy(np.ascontiguousarray(queries))
    scores = torch.full((len(queries), k), -torch.inf)
    rows = torch.zeros((len(queries), k), dtype=torch.int64)
    for start in range(0, len(documents), block):
        part = torch.from_numpy(np.array(documents[start : start + block], np.float32))
        # The score matrix is bounded at 4096 x block.
        for first in range(0, len(queries), 4096):
            chunk = slice(first, first + 4096)
            best, columns = (q[chunk] @ part.T).topk(min(k, len(part)), dim=1)
            scores[chunk], order = torch.cat([scores[chunk], best], 1).topk(k, dim=1)
            rows[chunk] = torch.cat([rows[chunk], columns + start], 1).gather(1, order)
        if progress:
            progress(min(start + block, len(documents)), len(documents))
    return rows.numpy()


def check_embeddings(array: FloatArray, name: str) -> None:
    """Check that embeddings are a matrix of finite unit rows; the matrix is read block by block.

    Raises:
        DataError: The shape or dtype is another, or a row is not of unit length, NaN or infinite.
    """
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{name} has shape {array.shape} and dtype {array.dtype}: expected (n, d_in) of floats")
    if array.shape[0] < 2 or array.shape[1] < 2:
        raise DataError(f"{name} has shape {array.shape}: expected at least 2 rows and 2 columns")
    if wrong := first_not_unit(array, TOLERANCE):
        cure = "divide every row by its length first" if np.isfinite(wrong[1]) else "remove NaN and infinite values"
        raise DataError(f"{name}: row {wrong[0]} has length {wrong[1]:.4g}, expected unit rows (length 1): {cure}")


def moments(documents: FloatArray) -> tuple[FloatArray, float]:
    """Return the mean, shape (d_in,), and the mean squared distance from it, of rows spread evenly over the documents.

    Raises:
        DataError: All rows are the same.
    """
    sample = np.array(documents[:: max(1, len(documents) // SAMPLE)][:SAMPLE], np.float32)
    mean = sample.mean(0)
    variance = float(((sample - mean) ** 2).mean(0).sum())
    if variance < 1e-8:
        raise DataError(f"the embeddings are all the same (variance {variance:.1e}): nothing can be learned from them")
    constant = np.flatnonzero(sample.min(0) == sample.max(0))
    if len(constant):
        logger.warning(
            "%d column(s) of the embeddings never change, the first is %d: training goes on without them, "
            "but look at the embedder",
            len(constant),
            constant[0],
        )
    return mean, variance


def _gather(array: FloatArray, rows: IntArray, device: torch.device) -> Tensor:
    # A memory map is read forwards.
    order = np.argsort(rows, kind="stable")
    block = np.empty((len(rows), array.shape[1]), np.float32)
    block[order] = array[rows[order]]
    return torch.from_numpy(block).to(device)
