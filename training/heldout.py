"""What is looked at before training starts: are the embeddings usable, where is their middle, what is held out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import DataError
from ..metrics import FloatArray
from .dev import MAX_QUERIES, DevSet

logger = logging.getLogger(__name__)

HELD_OUT = 0.05
"""Share of the queries that is held out when they have no judgments."""
JUDGED_HELD_OUT = 0.15
"""Share of the real queries that is held out: they have judgments, but there are often only hundreds of them."""
MIN_JUDGED = 100
"""With fewer real queries nDCG over the held-out part would say nothing, and all queries take part in the split."""
SAMPLE = 20_000
"""Rows that the mean and the variance are taken from."""


def split_queries(
    documents: FloatArray,
    queries: FloatArray,
    n_real: int,
    relevant: Sequence[Mapping[int, int]] | None,
    *,
    seed: int,
) -> tuple[FloatArray, int, DevSet]:
    """Hold out queries for the dev set: judged ones if there are at least 100, else any.

    Args:
        documents: Unit rows, shape (n, d_in).
        queries: Unit rows, shape (m, d_in), the real ones first.
        n_real: Number of real ones.
        relevant: Judgments of the real ones, or None.
        seed: The same seed holds out the same queries.

    Returns:
        The queries to train on, how many of them are real, and the dev set. A single query is in both.
    """
    judged = relevant is not None and n_real >= MIN_JUDGED
    among, share = (n_real, JUDGED_HELD_OUT) if judged else (len(queries), HELD_OUT)
    held = np.sort(np.random.default_rng(seed).permutation(among)[: min(max(1, int(among * share)), MAX_QUERIES)])
    chosen = np.array(queries[held], np.float32)
    rows = [relevant[i] for i in held] if judged and relevant is not None else None
    dev = DevSet.choose(chosen, documents, rows, seed=seed)
    if len(queries) == 1:
        return queries, n_real, dev
    kept = np.setdiff1d(np.arange(len(queries)), held)
    return queries[kept], int((kept < n_real).sum()), dev


def moments(documents: FloatArray) -> tuple[FloatArray, float]:
    """Mean, shape (d_in,), and mean squared distance from it, of rows spread evenly over the documents.

    Raises:
        DataError: All rows are the same.
    """
    sample = np.array(documents[:: max(1, len(documents) // SAMPLE)][:SAMPLE], np.float32)
    mean = sample.mean(0)
    spread = ((sample - mean) ** 2).mean(0)
    variance = float(spread.sum())
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


def check_embeddings(array: FloatArray, name: str) -> FloatArray:
    """Refuse what is not a matrix of finite unit rows; read block by block.

    Raises:
        DataError: Wrong shape or dtype, NaN, infinite or zero rows, rows that are not of unit length.
    """
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{name} has shape {array.shape} and dtype {array.dtype}: expected (n, d_in) of floats")
    if array.shape[0] < 2 or array.shape[1] < 2:
        raise DataError(f"{name} has shape {array.shape}: expected at least 2 rows and 2 columns")
    for start in range(0, len(array), 65_536):
        norms = np.linalg.norm(np.asarray(array[start : start + 65_536], np.float32), axis=1)
        bad = np.flatnonzero(~np.isfinite(norms) | (np.abs(norms - 1) > 1e-2))
        if len(bad):
            row, norm = start + int(bad[0]), float(norms[bad[0]])
            cure = "remove NaN and infinite values" if not np.isfinite(norm) else "divide every row by its length first"
            raise DataError(f"{name}: row {row} has length {norm:.4g}, expected unit rows (length 1): {cure}")
    return array
