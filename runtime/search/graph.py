"""Approximate nearest neighbours by a graph: the common part of hnswlib and usearch, and guards for both."""

import atexit
import importlib.metadata
import logging
import threading
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ...extras import require
from ..store.cache_files import read_cache, write_cache
from ..store.documents import DocumentStore
from ..store.epochs import UNKNOWN, Origin
from .exact import ExactIndex, ascending, best, check_k, check_query, check_rowids

logger = logging.getLogger(__name__)

G = TypeVar("G", bound="GraphIndex")

EF_SEARCH = 384
"""Candidates of a search. Among 10,000 similar documents (questions about diseases), 128 find .91 of the ten nearest,
384 find .987."""
# Candidates beyond k, so that exact scores and ties decide the k-th place.
_MARGIN = 8
# Share of wanted vectors above which exact search is as fast.
_EXACT_ABOVE = 0.25
# Share of allowed vectors above which the graph finds enough of them among the nearest of all.
_FILTER_ABOVE = 0.1
# Factor on the candidates that would suffice if the allowed vectors were spread evenly.
_SPARE = 1.5
_COMPACT_ABOVE = 0.25  # share of removed vectors
THREAD_ABOVE = 4_000
"""Missing vectors above which a thread builds the graph, which takes one to four seconds at this size. A store delivers
4,096 at a time."""
_THREAD_BATCH = 500  # vectors between checks for a stop

_building: weakref.WeakSet["GraphIndex"] = weakref.WeakSet()


@atexit.register
def _stop_building() -> None:
    # Otherwise a thread could still be inside a library that the process unloads.
    for index in list(_building):
        index.close()


class GraphIndex(ABC):
    """A graph over vectors with the interface of `ExactIndex`, which it owns.

    The `ExactIndex` holds the vectors (in addition to the graph's copy), answers narrow filters and large `k`, and
    computes the scores, so that a document has the same score to the last bit in every index. All calls hold one lock,
    because neither library supports searching and inserting at the same time.

    By default one thread builds the graph: the same documents added in the same order then give the same graph, so that
    a lost cache changes no answer if nothing was deleted. More threads are faster, but the graph differs every time.

    If many vectors are missing from the graph, as after a lost cache, a thread inserts them while searches are exact.
    `wait_until_built` waits for it, and so does `save`; `close` stops it.

    A vector has `m` links; `ef_construction` and `ef_search` are the candidates of an insertion and of a search.

    Raises:
        MissingExtraError: The library is not installed.
    """

    extra: ClassVar[str]
    """Name of the extra in pyproject.toml, and of the cache files."""
    module: ClassVar[str]
    """Import name of the library."""
    sidecars: ClassVar[tuple[str, ...]]
    """As in `ExactIndex`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.sidecars = (*ExactIndex.sidecars, f"{cls.extra}.json")

    def __init__(
        self, d_in: int, *, m: int = 16, ef_construction: int = 200, ef_search: int = EF_SEARCH, threads: int = 1
    ) -> None:
        require(self.extra, self.module)
        self.d_in = d_in
        """Width of the vectors."""
        self._saved: int | None = None
        self._m, self._ef_construction, self._ef_search, self._threads = m, ef_construction, ef_search, threads
        self._lock = threading.RLock()
        self._exact = ExactIndex(d_in)
        self._graph: Any = self._new_graph(1024)  # None while a thread builds it
        self._removed: set[int] = set()  # since the graph was built
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that this index was read from or written to; None if it is damaged."""
        return self._saved if self._saved == self._exact.saved_generation else None

    @property
    def rowids(self) -> IntArray:
        """The row ids in the index, ascending."""
        return self._exact.rowids

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """Return the vectors of `rowids`, in that order, shape (n, d_in)."""
        return self._exact.vectors_of(rowids)

    def add(self, rowids: ArrayLike, vectors: ArrayLike) -> None:
        """Add vectors; see `ExactIndex.add`."""
        labels = check_rowids(rowids)
        with self._lock:
            known = self._exact.rowids
            self._exact.add(labels, vectors)  # raises before the graph changes
            # hnswlib rejects a label that it holds as deleted.
            if not self._removed.isdisjoint(labels.tolist()):
                self._rebuild()
                return
            # A running thread inserts these too.
            if self._graph is None or len(labels) == 0:
                return
            self._make_writable()
            if len(labels) > THREAD_ABOVE:
                self._build_in_thread(self._graph, known)
                return
            try:
                self._insert(self._graph, labels, self._exact.vectors_of(labels))
            except BaseException:
                self._exact.remove(labels)
                self._rebuild()  # a part may have been inserted
                raise

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; unknown row ids are ignored. Above 25 % removed, the graph is rebuilt."""
        with self._lock:
            # Distinct, because hnswlib raises on a second removal.
            removed = np.intersect1d(check_rowids(rowids), self._exact.rowids)
            self._exact.remove(removed)
            self._removed.update(removed.tolist())
            # A running thread removes these too.
            if self._graph is None or len(removed) == 0:
                return
            if len(self._removed) > _COMPACT_ABOVE * (len(self._removed) + len(self._exact)):
                self._rebuild()
                return
            self._make_writable()
            self._take_out(self._graph, removed)

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """Search like `ExactIndex.search`, but approximately.

        The search is exact for a large `k`, if few vectors are allowed, and if fewer than `k` of the candidates are
        allowed: the result has `k` vectors whenever there are that many.
        """
        vector = check_query(query, self.d_in)
        check_k(k)
        if self._graph is None:
            return self._exact.search(vector, k, allowed)
        with self._lock:
            if self._graph is None:
                return self._exact.search(vector, k, allowed)
            live = len(self._exact)
            wanted, within = min(k + _MARGIN, live), None
            if allowed is not None:
                within = ascending(check_rowids(allowed))
                share = len(within) / max(live, 1)
                if share < _FILTER_ABOVE:
                    return self._exact.search(vector, k, within)
                wanted = max(wanted, int(_SPARE * wanted / share))
            if wanted >= _EXACT_ABOVE * live:
                return self._exact.search(vector, k, within)
            found = self._nearest(vector, wanted)
            if within is not None:
                found = found[within[np.searchsorted(within, found).clip(max=len(within) - 1)] == found]
            if len(found) < k:
                return self._exact.search(vector, k, within)
            return best(found, self._exact.scores_of(vector, found), k)

    def save(self, folder: Path, generation: int, origin: Origin = UNKNOWN) -> None:
        """Write the vectors as in `ExactIndex.save`, and the graph as ``NAME.bin`` and ``NAME.json``."""
        self.wait_until_built()
        with self._lock:
            self._exact.save(folder, generation, origin)
            facts = {"generation": generation, "count": len(self._exact), "removed": sorted(self._removed)}
            files = {f"{self.extra}.bin": self._write}
            write_cache(folder, f"{self.extra}.json", files, {**facts, **origin.facts, **self._parameters()})
            self._saved = generation

    def wait_until_built(self) -> None:
        """Wait until the graph holds all vectors."""
        while (thread := self._thread) is not None:
            thread.join()
        with self._lock:
            if self._graph is None:  # the thread was stopped or failed
                self._insert_all()

    def close(self) -> None:
        """Stop building, within a second; searches are exact from then on."""
        self._stop.set()
        if (thread := self._thread) is not None:
            thread.join()

    @classmethod
    def load(
        cls: type[G],
        folder: Path,
        generation: int | None,
        *,
        d_in: int,
        originals: DocumentStore | None = None,
        ef_search: int = EF_SEARCH,
    ) -> G | None:
        """Read the output of `save`, with the default parameters of construction, as in `ExactIndex.load`.

        Returns None also if the cache was made with other parameters or another version of the library. Raises
        MissingExtraError if the library is not installed.
        """
        index = cls(d_in, ef_search=ef_search)

        def read(facts: dict[str, Any]) -> G | None:
            exact = ExactIndex.load(folder, facts["generation"], d_in=d_in, originals=originals)
            if exact is None:
                return None
            removed = np.array(facts["removed"], np.int64)
            labels = np.sort(index._read(folder / f"{cls.extra}.bin", removed))
            if (
                not np.array_equal(labels, exact.rowids)
                or np.isin(removed, labels).any()
                or len(labels) != facts["count"]
            ):
                return None
            index._exact, index._removed, index._saved = exact, set(removed.tolist()), facts["generation"]
            return index

        expected = {"generation": generation, **index._parameters()}
        fits = None if originals is None else originals.is_origin_of
        return read_cache(folder, f"{cls.extra}.json", (f"{cls.extra}.bin",), expected, read, fits=fits)

    @abstractmethod
    def _new_graph(self, capacity: int) -> Any:
        """Return an empty graph."""

    @abstractmethod
    def _insert(self, graph: Any, labels: IntArray, vectors: FloatArray) -> None:
        """Insert vectors into a graph."""

    @abstractmethod
    def _take_out(self, graph: Any, labels: IntArray) -> None:
        """Remove labels from a graph, all of which exist."""

    def _make_writable(self) -> None:  # noqa: B027  most graphs are always writable
        """Make the graph writable."""

    @abstractmethod
    def _nearest(self, vector: FloatArray, wanted: int) -> IntArray:
        """Return the labels of about the nearest vectors; none if the graph reaches fewer than `wanted`."""

    @abstractmethod
    def _write(self, path: Path) -> None:
        """Write the graph, or raise OSError."""

    @abstractmethod
    def _read(self, path: Path, removed: IntArray) -> IntArray:
        """Read the graph from a verified file; return its labels that were not removed."""

    def _parameters(self) -> dict[str, object]:
        """Return the parameters that a cache must match."""
        version = importlib.metadata.version(self.module)
        return {"d_in": self.d_in, "M": self._m, "ef_construction": self._ef_construction, self.module: version}

    def _rebuild(self) -> None:
        """Build a new graph, in a thread if it is large; the caller holds the lock."""
        self._stop.set()  # a thread may be building the old graph
        if len(self._exact) > THREAD_ABOVE:
            self._removed = set()
            self._build_in_thread(self._new_graph(len(self._exact)), np.empty(0, np.int64))
        else:
            self._insert_all()

    def _insert_all(self) -> None:
        rowids = self._exact.rowids
        self._graph, self._removed = self._new_graph(max(1024, len(rowids))), set()
        self._insert(self._graph, rowids, self._exact.vectors_of(rowids))

    def _build_in_thread(self, graph: Any, done: IntArray) -> None:
        """Insert vectors into a graph, except the labels in `done`, in a thread; the caller holds the lock."""
        self._graph, self._stop = None, threading.Event()
        given, name = (graph, done, frozenset(self._removed), self._stop), "graph of steersearch"
        self._thread = threading.Thread(target=self._insert_missing, args=given, name=name, daemon=True)
        _building.add(self)
        self._thread.start()

    def _insert_missing(self, graph: Any, done: IntArray, removed: frozenset[int], stop: threading.Event) -> None:
        """Run in the thread; hold the lock only to determine the missing vectors.

        Vectors are read without the lock: for a damaged row the exact index reads the store, whose lock other threads
        hold while they wait for this one.
        """
        try:
            while not stop.is_set():
                with self._lock:
                    rowids = self._exact.rowids
                    todo = np.setdiff1d(rowids, done, assume_unique=True)
                    if len(todo) == 0 and not stop.is_set():
                        deleted = np.setdiff1d(done, rowids, assume_unique=True)
                        self._take_out(graph, deleted)
                        self._graph, self._removed = graph, {*removed, *deleted.tolist()}
                        return
                inserted = [done]
                for start in range(0, len(todo), _THREAD_BATCH):
                    batch = todo[start : start + _THREAD_BATCH]
                    try:
                        vectors = self._exact.vectors_of(batch)
                    except DataError:  # one of them was just removed
                        stop.wait(0.01)
                        break
                    if stop.is_set():
                        return
                    self._insert(graph, batch, vectors)
                    inserted.append(batch)
                done = np.sort(np.concatenate(inserted))
        except Exception as error:
            logger.warning("a graph could not be built, and searches stay exact: %r", error)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
