"""Nearest-neighbour search over the vectors of a store: which index, and how it is kept in step with the store."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError, IndexFolderError
from ...extras import installed, require
from .exact import ExactIndex, Originals
from .graph import GraphIndex
from .hnsw import HnswIndex
from .usearch import UsearchF32Index, UsearchI8Index, UsearchIndex

logger = logging.getLogger(__name__)

Backend = Literal["auto", "exact", "hnsw", "usearch", "usearch-f32", "usearch-i8"]
"""`usearch` holds 16 bits a number in its graph; scores are the same to the last bit in all of them."""
_KINDS: Mapping[str, type[ExactIndex] | type[GraphIndex]] = {
    "exact": ExactIndex,
    "hnsw": HnswIndex,
    "usearch": UsearchIndex,
    "usearch-f32": UsearchF32Index,
    "usearch-i8": UsearchI8Index,
}
EXACT_BELOW = 20_000
"""`auto` searches exactly below this many documents: 2.6 ms at 22,000 x 384 on one core, and never wrong."""
_COMPARED = 64  # vectors that are compared with the store before a cache is believed


class VectorIndex(Protocol):
    """What all indexes can do; `ExactIndex` documents it in full."""

    d_in: int

    def __len__(self) -> int: ...

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that this index was read from or written as; None when there is none."""

    @property
    def rowids(self) -> IntArray:
        """The rowids in the index, ascending."""

    def add(self, rowids: ArrayLike, vectors: ArrayLike) -> None:
        """Add unit vectors (n, d_in) under rowids (n,) that are not in the index."""

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; rowids that are not there are passed over."""

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """Rowids and scores of the best `k` of all, or of `allowed`, best first, equal scores by rowid."""

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """The vectors of `rowids`, in that order, shape (n, d_in)."""

    def ready(self) -> None:
        """Wait until searches are as quick as they will be."""

    def close(self) -> None:
        """Stop what is under way to make them so."""

    def save(self, folder: Path, generation: int) -> None:
        """Write the index as the cache of one generation of its store, once it is ready."""


class VectorSource(Originals, Protocol):
    """What an index needs of a store; `DocumentStore` is one.

    A rowid is never used twice and the vector of a rowid never changes.
    """

    d_in: int

    def __len__(self) -> int: ...

    @property
    def generation(self) -> int:
        """How often the documents were changed."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all reads inside ``with`` see one state."""

    def rowids(self) -> IntArray:
        """All rowids, ascending."""

    def iter_vectors(self, after_rowid: int = 0, batch: int = 4096) -> Iterator[tuple[IntArray, FloatArray]]:
        """Blocks of (rowids, vectors), rowids ascending."""


def open_index(source: VectorSource, folder: Path, backend: Backend = "auto") -> VectorIndex:
    """An index over all vectors of a store, from the cache in `folder` as far as that is right.

    A cache of an older generation is brought up to date; a damaged one, or one of another store, is passed over and
    the index is built from the store. Nothing is written: call `save` on the index.

    Args:
        source: The store.
        folder: Where `save` wrote or will write; need not exist.
        backend: ``"exact"``; ``"hnsw"``; ``"usearch"``, ``"usearch-f32"``, ``"usearch-i8"``; or ``"auto"``: exact
            below `EXACT_BELOW` documents, else hnswlib or usearch, whichever is installed, else exact.

    Raises:
        ConfigError: There is no such backend.
        MissingExtraError: A backend was asked for whose library is not installed.
    """
    check_backend(backend)
    with source.snapshot():
        kind = _KINDS[chosen(backend, len(source))]
        index: VectorIndex | None = kind.load(folder, None, d_in=source.d_in, originals=source)
        if index is None or not _trim(index, source):
            return build_index(source, backend)
        sync(index, source)
    return index


def build_index(source: VectorSource, backend: Backend) -> VectorIndex:
    """An index over all vectors of a store, made anew; as `open_index` otherwise."""
    with source.snapshot():
        kind = _KINDS[chosen(backend, len(source))]
        logger.info("building the %s of %d documents", kind.__name__, len(source))
        index: VectorIndex = kind(source.d_in)
        sync(index, source)
    return index


def chosen(backend: Backend, documents: int) -> Backend:
    """What searches a store of this size: the backend itself, or what ``"auto"`` stands for."""
    if backend != "auto":
        return backend
    if documents >= EXACT_BELOW:
        for name, kind in _KINDS.items():
            if issubclass(kind, GraphIndex) and installed(kind.module):
                return cast(Backend, name)
    return "exact"


def remembered(backend: Backend, meta: Mapping[str, str]) -> Backend:
    """What ``"auto"`` stands for in an index that was made for another backend, where that is installed."""
    kind = _KINDS.get(meta.get("backend", ""))
    if backend != "auto" or kind is None or (issubclass(kind, GraphIndex) and not installed(kind.module)):
        return backend
    return cast(Backend, meta["backend"])


def check_backend(backend: str) -> None:
    """Raise what `open_index` would raise for this backend, before anything is made."""
    if backend != "auto" and backend not in _KINDS:
        raise ConfigError(f"backend is {backend!r}: choose one of auto, {', '.join(_KINDS)}")
    kind = _KINDS.get(backend, ExactIndex)
    if issubclass(kind, GraphIndex):
        require(kind.extra, kind.module)


def sync(index: VectorIndex, source: VectorSource) -> int:
    """Bring an index up to date with what was committed to its store, by whichever process.

    Costs a count of the documents and what is new; one pass over all rowids when something was deleted.

    Args:
        index: An index of an earlier state of `source`.
        source: The store.

    Returns:
        The generation that the index has now.
    """
    with source.snapshot():
        known = index.rowids
        for rowids, vectors in source.iter_vectors(after_rowid=int(known[-1]) if len(known) else 0):
            index.add(rowids, vectors)
        if len(index) != len(source):
            index.remove(np.setdiff1d(index.rowids, source.rowids(), assume_unique=True))
        if len(index) != len(source):
            raise IndexFolderError(
                f"the store lists {len(source)} documents and {len(index)} vectors can be read: it is damaged; "
                "restore it from a copy, or index the documents again"
            )
        return source.generation


def _trim(index: VectorIndex, source: VectorSource) -> bool:
    """Remove what the store no longer has; tell whether the rest is the beginning of the store.

    A database that was restored from a copy may have other vectors under the rowids that the cache knows. Rowids only
    grow, so from the first difference on all are different, and comparing the last ones finds it.
    """
    current = source.rowids()
    index.remove(np.setdiff1d(index.rowids, current, assume_unique=True))
    known = index.rowids
    last = known[-_COMPARED:]
    return np.array_equal(known, current[: len(known)]) and np.array_equal(
        index.vectors_of(last), source.vectors_of(last)
    )
