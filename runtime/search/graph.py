"""Approximate nearest neighbours by a graph: what hnswlib and usearch have in common here, and the guards of both."""

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
from .exact import ExactIndex, Originals, ascending, best, check_k, check_query, check_rowids

logger = logging.getLogger(__name__)

G = TypeVar("G", bound="GraphIndex")

EF_SEARCH = 384
"""Candidates of a search. Among 10,000 documents that are much alike (questions about diseases) 128 find .91 of the ten
nearest, 384 find .987."""
_MARGIN = 8  # candidates beyond k, so that exact scores and ties decide who is k-th
_EXACT_ABOVE = 0.25  # share of all vectors wanted at which the exact search is as quick
_FILTER_ABOVE = 0.1  # share of allowed vectors from which the graph finds enough of them among the nearest of all
_SPARE = 1.5  # so many times the candidates that would do if what is allowed were spread evenly
_COMPACT_ABOVE = 0.25  # share of removed vectors at which the graph is built again
LATER = 4_000
"""Vectors, one to four seconds, from which a graph is built in a thread. A store gives 4,096 at a time."""
_STEP = 500  # vectors that the thread inserts before it looks up

_building: weakref.WeakSet["GraphIndex"] = weakref.WeakSet()


@atexit.register
def _stop_building() -> None:
    for index in list(_building):  # else the thread may be in a library that the process takes down
        index.close()


class GraphIndex(ABC):
    """A graph over vectors, behind the same methods as `ExactIndex`, which it owns.

    The `ExactIndex` holds the vectors (once more, beside the graph's copy), answers narrow filters and large `k`, and
    computes the scores: a document that two indexes find has the same score to the last bit, whichever they are. All
    calls hold one lock, since neither library may search and insert at the same time.

    The graph is built with one thread by default: the same documents added in the same order then give the same graph,
    so that, where nothing was deleted, a lost cache changes no answer. More threads are quicker and differ every time.

    Where many vectors are missing from the graph, as after a lost cache, a thread inserts them while searches are
    answered exactly. `ready` waits for it, and so does `save`; `close` ends it.

    Args:
        d_in: Width of the vectors.
        m: Links per vector.
        ef_construction: Candidates while building.
        ef_search: Candidates while searching.
        threads: Threads that build the graph.

    Raises:
        MissingExtraError: The library is not installed.
    """

    extra: ClassVar[str]
    """Of pyproject.toml; also the name of the files."""
    module: ClassVar[str]
    """The library."""

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
        self._graph: Any = self._new_graph(1024)  # None while a thread has it
        self._removed: set[int] = set()  # since the graph was built
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that this index was read from or written as; None when it is damaged."""
        return self._saved if self._saved == self._exact.saved_generation else None

    @property
    def rowids(self) -> IntArray:
        """The rowids in the index, ascending."""
        return self._exact.rowids

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """The vectors of `rowids`, in that order, shape (n, d_in)."""
        return self._exact.vectors_of(rowids)

    def add(self, rowids: ArrayLike, vectors: ArrayLike) -> None:
        """Add vectors, as `ExactIndex.add` does."""
        labels = check_rowids(rowids)
        with self._lock:
            known = self._exact.rowids
            self._exact.add(labels, vectors)  # checks everything, and raises before the graph is touched
            if not self._removed.isdisjoint(labels.tolist()):  # hnswlib refuses a label that it holds as deleted
                self._rebuild()
                return
            if self._graph is None or len(labels) == 0:  # the thread inserts these too
                return
            self._own()
            if len(labels) > LATER:
                self._begin(self._graph, known)
                return
            try:
                self._insert(self._graph, labels, self._exact.vectors_of(labels))
            except BaseException:
                self._exact.remove(labels)
                self._rebuild()  # a part may have been inserted
                raise

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; rowids that are not there are passed over. Above 25 % removed, the graph is built again."""
        with self._lock:
            gone = np.intersect1d(check_rowids(rowids), self._exact.rowids)  # each once: hnswlib raises on a second
            self._exact.remove(gone)
            self._removed.update(gone.tolist())
            if self._graph is None or len(gone) == 0:  # the thread takes these out
                return
            if len(self._removed) > _COMPACT_ABOVE * (len(self._removed) + len(self._exact)):
                self._rebuild()
                return
            self._own()
            self._take_out(self._graph, gone)

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """As `ExactIndex.search`, but now and then a vector is missed.

        It is exact for a large `k`, where few vectors are allowed, and where fewer than `k` of those that the graph
        finds are allowed: `k` results come back whenever there are as many.
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

    def save(self, folder: Path, generation: int) -> None:
        """Write the vectors as `ExactIndex.save` does, and the graph as ``NAME.bin`` and ``NAME.json``.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        self.ready()
        with self._lock:
            self._exact.save(folder, generation)
            facts = {"generation": generation, "count": len(self._exact), "removed": sorted(self._removed)}
            write_cache(
                folder, f"{self.extra}.json", {f"{self.extra}.bin": self._write}, {**facts, **self._parameters()}
            )
            self._saved = generation

    def ready(self) -> None:
        """Wait until the graph holds all vectors."""
        while (thread := self._thread) is not None:
            thread.join()
        with self._lock:
            if self._graph is None:  # the thread was stopped, or failed for want of memory
                self._insert_all()

    def close(self) -> None:
        """Stop building, which takes a second at most; searches are exact from then on."""
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
        originals: Originals | None = None,
        ef_search: int = EF_SEARCH,
    ) -> G | None:
        """Read what `save` wrote, with the default parameters of building.

        Args:
            folder: Where it was written.
            generation: The generation of the store that it must be of; None for any.
            d_in: Width of the vectors that it must have.
            originals: As in `ExactIndex.load`.
            ef_search: Candidates while searching.

        Returns:
            The index, or None when it is missing, of another generation, made with other parameters or another
            version of the library, damaged or half-written: build it again.

        Raises:
            MissingExtraError: The library is not installed.
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
            index._exact, index._removed = exact, set(removed.tolist())
            index._saved = facts["generation"]
            return index

        expected = {"generation": generation, **index._parameters()}
        return read_cache(folder, f"{cls.extra}.json", (f"{cls.extra}.bin",), expected, read)

    @abstractmethod
    def _new_graph(self, capacity: int) -> Any:
        """An empty graph."""

    @abstractmethod
    def _insert(self, graph: Any, labels: IntArray, vectors: FloatArray) -> None:
        """Put vectors into a graph."""

    @abstractmethod
    def _take_out(self, graph: Any, labels: IntArray) -> None:
        """Remove labels, all of which are there, from a graph."""

    def _own(self) -> None:  # noqa: B027  most graphs can be changed as they are
        """Make the graph one that can be changed."""

    @abstractmethod
    def _nearest(self, vector: FloatArray, wanted: int) -> IntArray:
        """Labels of about the nearest vectors; none when the graph does not reach `wanted` of them."""

    @abstractmethod
    def _write(self, path: Path) -> None:
        """Write the graph, or raise OSError."""

    @abstractmethod
    def _read(self, path: Path, removed: IntArray) -> IntArray:
        """Read the graph, whose file has the right checksum; return the labels in it that were not removed."""

    def _parameters(self) -> dict[str, object]:
        """What a cache must have been made with."""
        version = importlib.metadata.version(self.module)
        return {"d_in": self.d_in, "M": self._m, "ef_construction": self._ef_construction, self.module: version}

    def _rebuild(self) -> None:
        """Build a new graph, in a thread when it is large; the lock is held."""
        self._stop.set()  # a thread that builds another one
        if len(self._exact) > LATER:
            self._removed = set()
            self._begin(self._new_graph(len(self._exact)), np.empty(0, np.int64))
        else:
            self._insert_all()

    def _insert_all(self) -> None:
        rowids = self._exact.rowids
        self._graph, self._removed = self._new_graph(max(1024, len(rowids))), set()
        self._insert(self._graph, rowids, self._exact.vectors_of(rowids))

    def _begin(self, graph: Any, done: IntArray) -> None:
        """Insert in a thread what a graph lacks; the lock is held.

        Args:
            graph: What searches used until now, or a new one.
            done: The labels in it that were not removed.
        """
        self._graph, self._stop = None, threading.Event()
        arguments = graph, done, frozenset(self._removed), self._stop
        self._thread = threading.Thread(target=self._catch_up, args=arguments, name="graph of steersearch", daemon=True)
        _building.add(self)
        self._thread.start()

    def _catch_up(self, graph: Any, done: IntArray, removed: frozenset[int], stop: threading.Event) -> None:
        """Runs in the thread, and holds the lock only to look what there is to do.

        The exact index is asked for vectors without it: for a damaged one that goes on to the store, whose lock other
        threads hold while they wait for this one.
        """
        try:
            while not stop.is_set():
                with self._lock:
                    rowids = self._exact.rowids
                    todo = np.setdiff1d(rowids, done, assume_unique=True)
                    if len(todo) == 0 and not stop.is_set():
                        gone = np.setdiff1d(done, rowids, assume_unique=True)
                        self._take_out(graph, gone)
                        self._graph, self._removed = graph, {*removed, *gone.tolist()}
                        return
                inserted = [done]
                for start in range(0, len(todo), _STEP):
                    step = todo[start : start + _STEP]
                    try:
                        vectors = self._exact.vectors_of(step)
                    except DataError:  # one of them was removed a moment ago
                        stop.wait(0.01)
                        break
                    if stop.is_set():
                        return
                    self._insert(graph, step, vectors)
                    inserted.append(step)
                done = np.sort(np.concatenate(inserted))
        except Exception as error:
            logger.warning("a graph could not be built, and searches stay exact: %r", error)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
