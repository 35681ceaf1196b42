"""The nearest documents of every training query, in one streaming pass over the documents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..metrics import FloatArray, IntArray


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
