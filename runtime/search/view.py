"""`View`: one way to search an index, and the common part of views with a cache."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from ...arrays import FloatArray, IntArray
from ..bundle.bundle import Bundle
from ..store.cache_files import VERIFIED_ROWS
from ..store.documents import DocumentStore
from ..store.epochs import UNKNOWN, Origin
from ..store.sqlite import damaged
from .query import Query, RankedRows


@dataclass(frozen=True)
class Source:
    """The data and options of a view."""

    store: DocumentStore
    bundle: Bundle | None
    folder: Path
    """Folder of the caches; need not exist."""
    backend: str
    view: Callable[[str], View]
    """Returns another view of the same documents, up to date."""


class View(ABC):
    """One way to search an index. To add a view, subclass this in a file and register the class in `views.VIEWS`."""

    needs_words: ClassVar[bool] = False
    """Whether the query must have words."""
    needs_bundle: ClassVar[bool] = True
    """Whether it searches data that only a bundle creates."""
    joins_views: ClassVar[bool] = False
    """Whether it joins results of other views, which are steered themselves."""
    allows_post_filter: ClassVar[bool] = True
    """Whether a filter may first be applied to the best documents of an unfiltered search."""

    def __init__(self, source: Source) -> None:
        self._source, self._store = source, source.store
        self.generation: int | None = None
        """The generation of the store that the view shows; None before the first `sync`."""
        self._origin: Origin = UNKNOWN  # the documents that the view shows
        self._revision: str | None = None  # of the store, at the last update

    @abstractmethod
    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return row ids and scores of the best `k` of all documents, or of `allowed`, best first, ties by row id."""

    def sync(self) -> None:
        """Bring the view up to date with the store."""
        with self._store.snapshot():
            # A copy of another database may have been restored into the file.
            if self.generation is not None and not self._store.is_origin_of(self._origin.facts):
                self._forget()
            self._update()
            self._stamp()

    def _stamp(self) -> None:
        """Note which documents the view shows: those that are committed now."""
        self.generation, self._origin, self._revision = self._store.generation, self._store.origin, self._store.revision

    def _forget(self) -> None:
        """Drop what the view holds of the documents; most views read them all at every update."""
        return

    @abstractmethod
    def _update(self) -> None:
        """Bring the view up to date with the store, inside a snapshot of it."""

    def unsaved(self) -> bool:
        """Return whether `save` would write anything."""
        return False

    def save(self) -> None:
        """Write the cache; errors as in `write_cache`."""
        return

    def close(self) -> None:
        """Stop background work."""
        return

    @property
    def _bundle(self) -> Bundle:
        assert self._source.bundle is not None, "views without needs_bundle must not use the bundle"
        return self._source.bundle


class Saved(Protocol):
    """The index of a view, kept as a cache."""

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that it was read from or written to."""

    def save(self, folder: Path, generation: int, origin: Origin) -> None:
        """Write the cache of one generation."""


class Cached(Saved, Protocol):
    """The same, updated with the store in place."""

    @property
    def rowids(self) -> IntArray:
        """The row ids in the index, ascending."""

    @property
    def needs_rebuild(self) -> bool:
        """Whether it should be rebuilt."""

    def remove(self, rows: IntArray) -> None:
        """Remove documents."""


S = TypeVar("S", bound=Saved)
C = TypeVar("C", bound=Cached)


class SavedView(View, Generic[S]):
    """A view over an index that is kept as a cache."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._index: S | None = None

    @property
    def index(self) -> S:
        """The index that is searched, available after `sync`."""
        assert self._index is not None
        return self._index

    def unsaved(self) -> bool:
        """Return whether the cache has another generation."""
        return self._index is not None and self._index.saved_generation != self.generation

    def save(self) -> None:
        """Write the cache; see `View.save`."""
        if self.generation is not None:
            self.index.save(self._source.folder, self.generation, self._origin)

    def _forget(self) -> None:
        self._index = None


class CachedView(SavedView[C]):
    """A view over an index that is updated with the store and kept as a cache."""

    def _update(self) -> None:
        # Detached during the update, so that a half-updated index is not used after an error.
        index, self._index, self.generation = self._index, None, None
        if index is not None and self._follows(index):
            self._index = index
            return
        index = index or self._load()
        current = self._store.rowids()
        if index is not None:
            index.remove(np.setdiff1d(index.rowids, current, assume_unique=True))
        if index is None or index.needs_rebuild or not self._is_prefix_of_store(index, current):
            index = self._new()
        self._add(index, current[len(index.rowids) :])
        self._index = index

    def _follows(self, index: C) -> bool:
        """Bring an index up to date by what this process removed and what was added; return whether that sufficed."""
        removed = self._store.removed_since(self._revision)
        if removed is None:
            return False
        index.remove(removed)
        known = index.rowids
        new = self._store.rowids_after(int(known[-1]) if len(known) else 0)
        if index.needs_rebuild or len(known) + len(new) != len(self._store):
            return False
        if len(new):
            self._add(index, new)
        return True

    def _is_prefix_of_store(self, index: C, current: IntArray) -> bool:
        """Return whether it holds the oldest documents of the store, which may be a restored copy."""
        known = index.rowids
        return np.array_equal(known, current[: len(known)]) and self._matches_store(index, known[-VERIFIED_ROWS:])

    @abstractmethod
    def _load(self) -> C | None:
        """Read the cache; None if it is missing or unusable."""

    @abstractmethod
    def _new(self) -> C:
        """Return an empty index."""

    @abstractmethod
    def _add(self, index: C, rows: IntArray) -> None:
        """Add the newest documents, which must be exactly `rows`."""

    @abstractmethod
    def _matches_store(self, index: C, rows: IntArray) -> bool:
        """Return whether these documents equal those in the store."""


def read_new_rows(
    store: DocumentStore, rows: IntArray, blocks: Callable[..., Iterator[tuple[Any, ...]]], what: str
) -> Iterator[tuple[Any, ...]]:
    """Yield blocks of the newest documents, which must be exactly `rows`, ascending row ids.

    `blocks` is a method of the store that yields tuples, row ids first, of the documents after a row id; `what` names
    the content for the IndexFolderError that is raised if some of them cannot be read.
    """
    done = 0
    if len(rows):
        for block in blocks(after_rowid=int(rows[0]) - 1):
            if not np.array_equal(block[0], rows[done : done + len(block[0])]):
                break
            done += len(block[0])
            yield block
    if done < len(rows):
        raise damaged(store.path, f"{done} of {len(rows)} {what} can be read")


def read_new_codes(store: DocumentStore, rows: IntArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield blocks of the codes of the newest documents; see `read_new_rows`."""
    for _, indices, values in read_new_rows(store, rows, store.iter_codes, "codes"):
        yield indices, values
