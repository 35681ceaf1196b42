"""The backends of vector search, and keeping an index in sync with its store.

To add a backend, subclass `GraphIndex` in a file and register the class in `BACKENDS`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError, IndexFolderError
from ...extras import installed, require
from ...text import shown
from ..store.cache_files import VERIFIED_ROWS
from ..store.documents import DocumentStore
from ..store.epochs import Origin
from .exact import Candidates, ExactIndex
from .graph import GraphIndex
from .hnsw import HnswIndex
from .usearch import UsearchF32Index, UsearchI8Index, UsearchIndex

logger = logging.getLogger(__name__)

Backend: TypeAlias = Literal["auto", "exact", "hnsw", "usearch", "usearch-f32", "usearch-i8"] | str
"""A name in `BACKENDS`, or `auto`. Scores are the same to the last bit in all of them."""
BACKENDS: dict[str, type[ExactIndex] | type[GraphIndex]] = {
    "exact": ExactIndex,
    "hnsw": HnswIndex,
    "usearch": UsearchIndex,
    "usearch-f32": UsearchF32Index,
    "usearch-i8": UsearchI8Index,
}
EXACT_BELOW = 20_000
"""Number of documents below which `auto` is exact: 2.6 ms at 22,000 x 384 on one core, without misses."""


class VectorIndex(Protocol):
    """The interface of all backends, documented in full in `ExactIndex`."""

    d_in: int

    def __len__(self) -> int: ...

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that this index was read from or written to; None without one."""

    @property
    def rowids(self) -> IntArray:
        """The row ids in the index, ascending."""

    def add(self, rowids: ArrayLike, vectors: ArrayLike) -> None:
        """Add unit vectors (n, d_in) under row ids (n,) that are not in the index."""

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; unknown row ids are ignored."""

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """Return row ids and scores of the best `k` of all, or of `allowed`, best first, ties by row id."""

    def candidates(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> Candidates:
        """Return what `search` finds with the vectors, for a ranking of another kind."""

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """Return the vectors of `rowids`, in that order, shape (n, d_in)."""

    def wait_until_built(self) -> None:
        """Wait until the index is fully built."""

    def close(self) -> None:
        """Stop building."""

    def save(self, folder: Path, generation: int, origin: Origin = ...) -> None:
        """Write the cache of one generation of the store, once the index is fully built."""


def open_index(source: DocumentStore, folder: Path, backend: Backend = "auto") -> VectorIndex:
    """Return an index over all vectors of a store, from the cache in `folder` where that is valid.

    An older cache is brought up to date; a damaged one, or one of another store, is ignored and the index is built from
    the store. Nothing is written until `save` is called. `auto` is exact below `EXACT_BELOW` documents, otherwise
    hnswlib or usearch, whichever is installed, or exact. Errors as in `check_backend`.
    """
    check_backend(backend)
    with source.snapshot():
        kind = BACKENDS[resolve_auto(backend, len(source))]
        index: VectorIndex | None = kind.load(folder, None, d_in=source.d_in, originals=source)
        if index is None or not _trim(index, source):
            return build_index(source, backend)
        sync(index, source)
    return index


def build_index(source: DocumentStore, backend: Backend) -> VectorIndex:
    """Build an index over all vectors of a store without a cache; arguments and errors as in `open_index`."""
    with source.snapshot():
        kind = BACKENDS[resolve_auto(backend, len(source))]
        logger.info("building the %s of %d documents", kind.__name__, len(source))
        index = kind(source.d_in)
        sync(index, source)
    return index


def resolve_auto(backend: Backend, documents: int) -> Backend:
    """Return the backend for a store of this size: the given one, or the choice of `auto`."""
    if backend != "auto":
        return backend
    if documents >= EXACT_BELOW:
        for name, kind in BACKENDS.items():
            if issubclass(kind, GraphIndex) and installed(kind.module):
                return name
    return "exact"


def stored_backend(backend: Backend, meta: Mapping[str, str]) -> Backend:
    """Return the backend that the index was created with, in place of `auto`, if it is installed."""
    kind = BACKENDS.get(meta.get("backend", ""))
    if backend != "auto" or kind is None or (issubclass(kind, GraphIndex) and not installed(kind.module)):
        return backend
    return meta["backend"]


def check_backend(backend: str) -> None:
    """Check a backend before anything is created.

    Raises:
        ConfigError: The backend is unknown.
        MissingExtraError: The library of the backend is not installed.
    """
    if not isinstance(backend, str) or (backend != "auto" and backend not in BACKENDS):
        raise ConfigError(f"backend is {shown(backend)}: choose one of auto, {', '.join(BACKENDS)}")
    kind = BACKENDS.get(backend, ExactIndex)
    if issubclass(kind, GraphIndex):
        require(kind.extra, kind.module)


def sync(index: VectorIndex, source: DocumentStore, removed: IntArray | None = None) -> int:
    """Bring an index up to date with the commits of its store, by any process, and return its generation.

    Costs a count of the documents and the new vectors; after a deletion one pass over all row ids, unless it is known
    which were `removed` since the index was up to date.
    """
    with source.snapshot():
        known = index.rowids
        for rowids, vectors in source.iter_vectors(after_rowid=int(known[-1]) if len(known) else 0):
            index.add(rowids, vectors)
        if len(index) != len(source) and removed is not None:
            index.remove(removed)
        if len(index) != len(source):
            index.remove(np.setdiff1d(index.rowids, source.rowids(), assume_unique=True))
        if len(index) != len(source):
            raise IndexFolderError(
                f"the store lists {len(source)} documents and {len(index)} vectors can be read: it is damaged; "
                "restore it from a copy, or index the documents again"
            )
        return source.generation


def _trim(index: VectorIndex, source: DocumentStore) -> bool:
    """Remove deleted documents from an index; return whether the rest is a prefix of the store.

    A database restored from a copy may have other vectors under the same row ids. Row ids only grow, so that all
    documents after the first difference differ, and comparing the last ones detects it.
    """
    current = source.rowids()
    index.remove(np.setdiff1d(index.rowids, current, assume_unique=True))
    known = index.rowids
    last = known[-VERIFIED_ROWS:]
    return np.array_equal(known, current[: len(known)]) and np.array_equal(
        index.vectors_of(last), source.vectors_of(last)
    )
