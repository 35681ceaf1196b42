"""The graph of usearch (extra ``usearch``): vectors in 32, 16 or 8 bits, read through a memory map."""

import errno
import logging
import os
import weakref
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ...arrays import FloatArray, IntArray
from ...errors import SteersearchError
from .graph import GraphIndex
from .graphs.files import check_usearch_file
from .mapped_rows import stamp_of

logger = logging.getLogger(__name__)


class UsearchIndex(GraphIndex):
    """`GraphIndex` on usearch, which has wheels for every platform and needs no compiler.

    usearch 2.26 detects wrong widths, duplicates in a call, truncated files and full disks. The guards here cover the
    rest: it accepts NaN, negative keys (as 2**64 - 1) and one of two equal keys of a batch; loading a file replaces
    width, type and parameters by those of the file; a flipped bit loads; and adding to a memory map ends the process.

    Recall@10 with 128 candidates on 20,000 all-MiniLM-L6-v2 embeddings of sentences, 400 queries, with the size of the
    graph per vector: f32 .998, 1.7 kB; f16 .998, 0.9 kB; i8 .998, 0.5 kB. Scores are computed from the vectors of the
    documents, not from the graph.
    """

    extra, module = "usearch", "usearch"
    dtype: ClassVar[Literal["f32", "f16", "i8"]] = "f16"
    """Number type of the vectors in the graph."""
    _mapped = False  # a mapped graph is read-only
    _file, _stamp = -1, (0, 0)  # of a mapped graph

    def _new_graph(self, capacity: int) -> Any:
        self._mapped = False
        return self._bare_graph()

    def _insert(self, graph: Any, labels: IntArray, vectors: FloatArray) -> None:
        if len(labels) == 0:
            return
        expected = len(graph) + len(labels)
        graph.add(labels.astype(np.uint64), vectors, threads=self._threads)
        if len(graph) != expected:
            raise SteersearchError(f"usearch holds {len(graph)} of {expected} vectors: add them again")

    def _take_out(self, graph: Any, labels: IntArray) -> None:
        if len(labels):
            graph.remove(labels.astype(np.uint64))

    def _nearest(self, vector: FloatArray, wanted: int) -> IntArray:
        self._graph.expansion_search = max(self._ef_search, wanted)
        found: IntArray = self._graph.search(vector, wanted, threads=1).keys.astype(np.int64)
        return found if len(found) == wanted else found[:0]

    def _write(self, path: Path) -> None:
        try:
            self._graph.save(str(path))
        except RuntimeError as error:
            raise OSError(errno.ENOSPC, f"usearch: {error}") from error

    def _read(self, path: Path, removed: IntArray) -> IntArray:
        self._mapped = os.name != "nt"  # Windows cannot replace a mapped file
        if self._mapped:
            # Open as long as this object exists, as in `MappedRows`: another file may have the path by then.
            self._file = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, self._file)
            self._stamp = stamp_of(self._file)
        check_usearch_file(path, self.d_in, self._m, self.dtype)
        self._graph = self._bare_graph()
        (self._graph.view if self._mapped else self._graph.load)(str(path))
        self._graph.expansion_add = self._ef_construction  # loading resets it to usearch's own
        return np.array(self._graph.keys[:], np.int64)

    def _parameters(self) -> dict[str, object]:
        return {**super()._parameters(), "dtype": self.dtype}

    def _is_intact(self) -> bool:
        """Compare the size and time of a mapped file, 1 us. One that is cut during a search ends the process."""
        if not self._mapped or stamp_of(self._file) == self._stamp:
            return True
        logger.warning("another program has written to the cache of the graph: it is built again from the documents")
        self._saved = None
        return False

    def _make_writable(self) -> None:
        """Copy a mapped graph into memory; the file may have been replaced meanwhile."""
        if self._mapped:
            self._graph, self._mapped = self._graph.copy(), False
            self._graph.expansion_add = self._ef_construction

    def _bare_graph(self) -> Any:
        from usearch.index import Index

        return Index(
            ndim=self.d_in,
            metric="ip",
            dtype=self.dtype,
            connectivity=self._m,
            expansion_add=self._ef_construction,
            expansion_search=self._ef_search,
        )


class UsearchF32Index(UsearchIndex):
    """`UsearchIndex` with 32 bits a number."""

    dtype = "f32"


class UsearchI8Index(UsearchIndex):
    """`UsearchIndex` with 8 bits a number."""

    dtype = "i8"
    # 8 bits round a cosine by some .002: among notices that differ in a number, 18 candidates hold .83 of the nearest.
    margin = 32
