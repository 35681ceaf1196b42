"""The registry of views, `Views`, which keeps those of one store in sync with it, and `IndexDocuments`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray, unit_rows
from ...errors import ConfigError, DataError
from ...text import shown
from ..bundle.bundle import Bundle
from ..steering.conditions.terms import Term
from ..steering.documents import Documents, Words
from ..steering.steered_query import SteeredQuery
from ..store.documents import DocumentStore
from ..store.filters import check_filter
from ..store.pieces import chunks_of
from .dense import DenseView
from .fusion import HybridView, check_fusion
from .latent import LatentView
from .lexical.contained import ContainedView
from .lexical.words import WordsView
from .metadata_view import MetadataView
from .nearest import Nearest
from .query import Fusion, Query, RankedRows
from .reconstruction import ReconstructionView
from .terms import said_by, search_terms, word_shares
from .view import Source, View

ViewName: TypeAlias = Literal["dense", "reconstruction", "latent", "words", "hybrid"] | str
"""The name of a view in `VIEWS`."""

VIEWS: dict[str, type[View]] = {
    "dense": DenseView,
    "reconstruction": ReconstructionView,
    "latent": LatentView,
    "words": WordsView,
    "hybrid": HybridView,
}
"""All views by name. A view added here is available in Python and on the command line."""

PARTS: dict[str, type[View]] = {"contained": ContainedView, "metadata": MetadataView}
"""What views are ranked and filtered with beside their own data."""
FILTERED_HERE = range(2000, 2_000_000)
"""Numbers of documents for which filters read a table of metadata in memory, which takes 60 bytes and more for each."""

POST_FILTER_DEPTH = 200
"""Best documents of an unfiltered search that a new filter is first applied to."""


def check_search(query: object, k: object, view: object, fusion: Fusion, text: object) -> int:
    """Check the arguments of a search before anything is embedded, and return the number of results.

    Raises:
        ConfigError: k, the view or the fusion is out of range.
        DataError: The view needs words and there are none, or `text` is not a string.
    """
    wanted = check_k(k)
    if not isinstance(view, str) or view not in VIEWS:
        *names, last = VIEWS
        raise ConfigError(f"view is {shown(view)}: choose {', '.join(names)} or {last}")
    if not (isinstance(fusion, str) and fusion == "rrf"):
        check_fusion(fusion)
    words = query if text is None else text
    if not isinstance(words, str) and (text is not None or VIEWS[view].needs_words):
        given = "a vector" if text is None else f"a vector with text={text!r:.80}"
        raise DataError(f"the query is {given}: view={view!r} searches words, so give a text, or the vector and text=")
    return wanted


def check_k(k: object) -> int:
    """Return the number of results; ConfigError if it is not an integer of at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ConfigError(f"k is {shown(k)}: it must be a whole number of at least 1")
    return int(k)


def check_removed(steered: SteeredQuery, view: str) -> None:
    """Refuse `remove` where codes or words are compared, of which no direction can be taken; a ConfigError."""
    if steered.removed and view != "dense":
        raise ConfigError(
            f"view is {view!r}, and remove ({shown(steered.removed[0].name)}) takes a direction out of embeddings: "
            "search the dense view"
        )


class Views:
    """The views of a store, each created on first use. Threads may share an object.

    Without a bundle there are only those that need none. The folder of the caches need not exist.
    """

    def __init__(self, store: DocumentStore, bundle: Bundle | None, folder: Path, backend: str) -> None:
        self._store = store
        self._source = Source(store, bundle, folder, backend, lambda name: self._synced(name))
        self._views: dict[str, View] = {}
        self._nearest = Nearest(store)
        self._lock = RLock()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Show all searches inside ``with`` one committed state."""
        with self._lock, self._store.snapshot():
            yield

    def search(self, view: str, query: Query, k: int, filter: Mapping[str, Any] | None) -> RankedRows:
        """Return row ids and scores of the best documents in a view, best first, ties by row id.

        A new filter is first applied to the best documents of an unfiltered search. If `k` of them match, they are the
        answer, and the metadata of all other documents need not be read.
        """
        check_removed(query.steered, view)
        if filter is not None:
            filter = check_filter(filter)
        with self.snapshot():
            searched = self._synced(view)
            # By terms, other views measure a document by the best one that is allowed.
            post = searched.allows_post_filter and (view == "dense" or not query.steered.terms)
            if filter and post and not self._store.filter_is_cached(filter):
                depth = max(POST_FILTER_DEPTH, 4 * k)
                rows, scores = self._ranked(searched, query, depth, None)
                matches = np.isin(rows, self._store.matching(rows, filter))
                # With fewer rows than the depth, the view has no others.
                if np.count_nonzero(matches) >= k or len(rows) < depth:
                    return rows[matches][:k], scores[matches][:k]
            return self._ranked(searched, query, k, self._allowed(filter) if filter else None)

    def _allowed(self, filter: Mapping[str, Any]) -> IntArray:
        """Return the row ids of the documents that match a filter, ascending, inside a snapshot."""
        if len(self._store) not in FILTERED_HERE or self._store.filter_is_cached(filter):
            return self._store.rowids_where(filter)
        return self._store.rowids_where(filter, cast(MetadataView, self._synced("metadata")).refresh().where)

    def _ranked(self, view: View, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Search a view, by the terms of the query if it has any."""
        if not query.steered.terms or view.joins_views:
            return view.search(query, k, allowed)
        return search_terms(view, self._source, query, k, allowed)

    def nearest(self, rows: FloatArray) -> FloatArray:
        """Return the cosine of each unit row (n, d_in) to its nearest document, shape (n,); empty without documents."""
        with self.snapshot():
            return self._nearest.of(self._dense.index, rows)

    def rowids(self) -> IntArray:
        """Return all row ids, ascending."""
        with self.snapshot():
            return self._dense.index.rowids

    def vectors_of(self, rowids: IntArray) -> FloatArray:
        """Return the vectors of documents, in that order, shape (n, d_in)."""
        with self.snapshot():
            return self._dense.index.vectors_of(rowids)

    def word_shares(self, rows: IntArray, term: Term) -> WideArray:
        """Return the share of a condition's words that documents have, shape (n,); see `terms.word_shares`."""
        with self._lock:
            self._synced("contained")
            return word_shares(self._source, [term], rows)[0]

    def said_by(self, term: Term, pieces: Sequence[str]) -> WideArray:
        """Return how the evidence of a condition's words is spread over the words of a text; see `terms.said_by`."""
        with self._lock:
            self._synced("contained")
            return said_by(self._source, term, pieces)

    def relevance(self, text: str, near: IntArray) -> Words:
        """Return what the words of a text say of what it is about; see `WordSets.relevance`."""
        with self._lock:
            return cast(ContainedView, self._synced("contained")).index.relevance(text, near)

    def save(self, *, complete: bool = False) -> None:
        """Write the caches of the dense view and of all that were searched, once the graph is built.

        With `complete` also those that the first boost would make otherwise.

        Raises IndexLockedError if another process is writing, otherwise errors as in `write_cache`.
        """
        with self._lock:
            index = self._dense.index
            if complete and self._source.bundle is not None:
                self._synced("contained")
            if complete and len(self._store) in FILTERED_HERE:
                with self._store.snapshot():
                    cast(MetadataView, self._synced("metadata")).refresh()
            if not self._unsaved():
                return
        # Without the lock, so that other threads can search.
        index.wait_until_built()
        # Acquired in this order everywhere. The store may have changed since the check above.
        with self._store.writing(), self._lock:
            self._synced("dense")
            for view in self._unsaved():
                view.save()

    def rebuild(self) -> None:
        """Rebuild the index of the vectors, and write the caches."""
        with self._store.writing(), self._lock:
            self._dense.rebuild()
            self.save()

    def close(self, *, save: bool) -> None:
        """Write outdated caches if `save` is true, then release the files; errors as in `save`."""
        try:
            if save and self._views:
                self.save()
        finally:
            for view in self._views.values():
                view.close()
            self._views.clear()

    def _unsaved(self) -> list[View]:
        generation = self._views["dense"].generation
        return [view for view in self._views.values() if view.generation == generation and view.unsaved()]

    @property
    def _dense(self) -> DenseView:
        return cast(DenseView, self._synced("dense"))

    def _synced(self, name: str) -> View:
        """Return a view of the newest committed generation."""
        kind = VIEWS.get(name) or PARTS[name]
        if kind.needs_bundle and self._source.bundle is None:
            raise ConfigError(
                f"view is {name!r}, and {self._store.path.parent} has no bundle, whose codes it searches: open it with "
                "bundle="
            )
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = kind(self._source)
        if view.generation != self._store.generation:
            view.sync()
        return view


class IndexDocuments(Documents):
    """The documents of a store, as context for resolving concepts."""

    def __init__(self, store: DocumentStore, views: Views) -> None:
        self._store, self._views = store, views
        self._sampled: tuple[int, int, IntArray] | None = None

    @property
    def generation(self) -> int:
        """Number of changes to the documents."""
        return self._store.generation

    def reading(self) -> AbstractContextManager[object]:
        """Show one committed state; see `Documents.reading`."""
        return self._views.snapshot()

    def vector_of(self, id: str) -> FloatArray | None:
        """Return the vector of a document, of a long one the mean of its chunks; see `Documents.vector_of`."""
        found = self._store.vectors_by_id([id])[0]
        if found is None and (chunks := chunks_of(self._store, id)):
            rows = self._store.vectors_of([chunk.rowid for chunk in chunks])
            mean: FloatArray = unit_rows(rows.mean(0, keepdims=True))[0]
            return mean
        return found

    def everything(self) -> tuple[list[str], list[str], FloatArray]:
        """Return ids, texts and vectors, shape (n, d_in), of all documents of one committed state, in their order."""
        with self._store.snapshot():
            rows = self._store.rowids()
            records = self._store.by_rowid(rows)
            return [r.id for r in records], [r.text for r in records], self._store.vectors_of(rows)

    def sample_vectors(self, limit: int) -> FloatArray:
        """Return vectors of an even sample of the documents; see `Documents.sample_vectors`."""
        with self._views.snapshot():
            return self._views.vectors_of(self._even_sample(limit))

    def sample_codes(self, limit: int) -> tuple[IntArray, FloatArray]:
        """Return codes of an even sample of the documents; see `Documents.sample_codes`."""
        return self._store.codes_of(self._even_sample(limit))

    def relevance(self, text: str, near: IntArray, limit: int) -> Words:
        """Return what the words of a text say of what it is about; see `Documents.relevance`."""
        return self._views.relevance(text, self._even_sample(limit)[near])

    def nearest(self, rows: FloatArray) -> FloatArray:
        """Return the cosine of each row to its nearest document; see `Documents.nearest`."""
        return self._views.nearest(rows)

    def _even_sample(self, limit: int) -> IntArray:
        """Return the row ids of a sample, which are read once: every boosted query asks for them."""
        with self._views.snapshot():
            known, generation = self._sampled, self._store.generation
            if known is not None and known[:2] == (generation, limit):
                return known[2]
            rows = self._views.rowids()
            sample = rows[:: max(1, -(-len(rows) // limit))]
            self._sampled = generation, limit, sample
            return sample
