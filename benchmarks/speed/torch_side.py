"""What people would otherwise use: sentence-transformers in torch, hnswlib, and a list of texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray, IntArray
from steersearch.runtime.search.hnsw import HnswIndex
from steersearch.training.embedding import resolve_embedder

from .corpus import Bench

RECALL = 0.98
TOP = 10
OUR_EF: int = HnswIndex.__init__.__kwdefaults__["ef_search"]
EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class TorchSide:
    """The other side of every comparison, at the same number of threads.

    Its graph holds the same vectors as our index, so that only what searches differs.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @cached_property
    def model(self) -> Any:
        """The same embedder."""
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(self.bench.threads)
        return SentenceTransformer(resolve_embedder("minilm").path_or_name, device="cpu", local_files_only=True)

    def embed(self, texts: list[str]) -> FloatArray:
        """As its users call it."""
        rows: FloatArray = self.model.encode(texts, show_progress_bar=False, normalize_embeddings=True)
        return rows


def graph_of(index: Path, d_in: int) -> Any:
    """The graph that an index keeps, opened by hnswlib alone: the same links, searched by the bare call."""
    import hnswlib

    graph = hnswlib.Index(space="ip", dim=d_in)
    graph.load_index(str(index / "cache" / "hnsw.bin"))
    graph.set_num_threads(1)
    return graph


def least_ef(graph: Any, queries: FloatArray, exact: list[IntArray]) -> tuple[int, float]:
    """The smallest `ef` whose recall@10 is at least `RECALL`, with that recall."""
    recall = 0.0
    for ef in EFS:
        graph.set_ef(ef)
        recall = recall_of(lambda query: graph.knn_query(query, k=TOP)[0][0], queries, exact)
        if recall >= RECALL:
            return ef, recall
    return EFS[-1], recall


def recall_of(search: Callable[[FloatArray], IntArray], queries: FloatArray, exact: list[IntArray]) -> float:
    """Mean share of the exact top 10 that a search finds."""
    shares = [len(np.intersect1d(search(q), best)) / len(best) for q, best in zip(queries, exact, strict=True)]
    return float(np.mean(shares))


def exact_top(vectors: FloatArray, queries: FloatArray) -> list[IntArray]:
    """Row numbers of the best ten of all vectors, per query."""
    tops = []
    for start in range(0, len(queries), 64):
        scores = queries[start : start + 64] @ vectors.T
        tops += list(np.argpartition(-scores, TOP - 1, axis=1)[:, :TOP].astype(np.int64))
    return tops
