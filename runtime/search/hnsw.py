"""The graph of hnswlib (extra ``hnsw``), with guards where hnswlib fails silently."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, IntArray
from .graph import GraphIndex
from .graphs.files import check_hnsw_file

_SEED = 100


class HnswIndex(GraphIndex):
    """`GraphIndex` on hnswlib.

    Recall@10 with 128 candidates is .9998 on 22,141 all-MiniLM-L6-v2 embeddings of claims and abstracts, 400 held-out
    queries; 0.2 ms each in hnswlib (50 candidates: .994, 0.1 ms; exact search: 2.6 ms).
    """

    extra, module = "hnsw", "hnswlib"

    def _new_graph(self, capacity: int) -> Any:
        graph = self._bare_graph()
        graph.init_index(max_elements=capacity, M=self._m, ef_construction=self._ef_construction, random_seed=_SEED)
        return graph

    def _insert(self, graph: Any, labels: IntArray, vectors: FloatArray) -> None:
        if len(labels) == 0:
            return
        needed = graph.get_current_count() + len(labels)
        if needed > graph.get_max_elements():
            graph.resize_index(max(needed, 2 * graph.get_max_elements()))
        graph.add_items(vectors, labels, num_threads=self._threads)

    def _take_out(self, graph: Any, labels: IntArray) -> None:
        for label in labels.tolist():
            graph.mark_deleted(label)

    def _nearest(self, vector: FloatArray, wanted: int) -> IntArray:
        self._graph.set_ef(max(self._ef_search, wanted))
        try:
            labels, _ = self._graph.knn_query(vector[None], k=wanted, num_threads=1)
        except RuntimeError:  # fewer than `wanted` were reached
            return np.empty(0, np.int64)
        found: IntArray = labels[0].astype(np.int64)
        return found

    def _write(self, path: Path) -> None:
        self._graph.save_index(str(path))
        # hnswlib reports no error if it cannot create or complete the file.
        size = path.stat().st_size
        if size != self._graph.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read(self, path: Path, removed: IntArray) -> IntArray:
        count = check_hnsw_file(path, self.d_in, self._m, self._ef_construction)
        self._graph = self._bare_graph()
        # Room for these and no more, whatever the file says. Loading resets ef, which every search sets.
        self._graph.load_index(str(path), max_elements=max(count, 1))
        return np.setdiff1d(np.array(self._graph.get_ids_list(), np.int64), removed)

    def _bare_graph(self) -> Any:
        import hnswlib

        return hnswlib.Index(space="ip", dim=self.d_in)
