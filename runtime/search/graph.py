"""Approximate nearest neighbours by a graph: the common part of hnswlib and usearch, and guards for both."""

import atexit
import copy
import importlib.metadata
import logging
import operator
import threading
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import FloatArray, IntArray, distinct, positions_of
from ...errors import DataError
from ...extras import require
from ..store.cache_files import read_cache, write_cache
from ..store.documents import DocumentStore
from ..store.epochs import UNKNOWN, Origin
from .exact import Candidates, ExactIndex, ascending, best, check_k, check_query, check_rowids, wide_scores
from .graphs.effort import EFFORTS
from .graphs.recall import DEPTH, crowded_share, recall_of
from .graphs.shared_nodes import RADIUS, SharedNodes

logger = logging.getLogger(__name__)

G = TypeVar("G", bound="GraphIndex")

EF_SEARCH = 384
"""Candidates of a search. Among 10,000 similar documents (questions about diseases), 128 find .91 of the ten nearest,
384 find .987."""
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

LOWEST_RECALL = 0.98
"""Recall@10 of an index below which it takes more effort."""
TESTED_FROM = 1_000
"""Documents from which the recall of an index is tested; fewer than three times `EF_SEARCH` are all but compared."""
_GROWN = 1.5  # growth after which an index is tested again
# Share of vectors with more near ones than an insertion compares, above which a graph is built with more links. Beside
# 3,000 sentences that differ in a number, questions about other things find .94 to .98 of the ten nearest.
_CROWDED = 0.01

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
    a lost cache changes no answer if nothing was deleted and the test below comes to the same end. More threads are
    faster, but the graph differs every time.

    If many vectors are missing from the graph, as after a lost cache, a thread inserts them while searches are exact.
    `wait_until_built` waits for it, and so does `save`; `close` stops it.

    Equal and nearly equal vectors share a node; see `SharedNodes`. An index tests itself when it is built, and again
    when it has grown by half: the recall of a sample of searches is compared with exact search, see `recall_of`. That
    takes 2 to 6 % of the time of building, and five times as much if the recall is doubtful. Below `LOWEST_RECALL` the
    index goes on to the next of `EFFORTS`, and says so. If many vectors are nearly equal without sharing a node, it
    begins with more links.

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
    margin: ClassVar[int] = 8
    """Candidates beyond `k`, so that exact scores and ties decide the last places."""

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
        self._base, self._threads = (m, ef_construction, ef_search), threads
        self._set_effort(0)
        self._recall: float | None = None
        self._tested = 0  # documents at the last test
        self._lock = threading.RLock()
        self._exact = ExactIndex(d_in)
        self._graph: Any = self._new_graph(1024)  # None while a thread builds it
        self._nodes = SharedNodes()
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
            if not self._removed.isdisjoint(labels.tolist()) or not self._is_intact():
                self._rebuild()
                return
            # A running thread inserts these too.
            if self._graph is None or len(labels) == 0:
                return
            self._make_writable()
            if len(labels) > THREAD_ABOVE:
                self._build_in_thread(self._graph, self._nodes, known)
                return
            try:
                self._place(self._graph, self._nodes, labels, self._exact.vectors_of(labels))
            except BaseException:
                self._exact.remove(labels)
                self._rebuild()  # a part may have been inserted
                raise
            self._settle()

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; unknown row ids are ignored. Above 25 % removed, the graph is rebuilt."""
        with self._lock:
            # Distinct, because hnswlib raises on a second removal.
            known = self._exact.rowids
            removed = known[positions_of(known, distinct(check_rowids(rowids)))]
            self._exact.remove(removed)
            self._removed.update(removed.tolist())
            # A running thread removes these too.
            if self._graph is None or len(removed) == 0:
                return
            many = len(self._removed) > _COMPACT_ABOVE * (len(self._removed) + len(self._exact))
            if many or not self._is_intact():
                self._rebuild()
                return
            self._make_writable()
            self._take_out(self._graph, self._nodes.remove(removed))

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """Search like `ExactIndex.search`, but approximately.

        The search is exact for a large `k`, if few vectors are allowed, and if fewer than `k` of the candidates are
        allowed: the result has `k` vectors whenever there are that many. It is also exact if the test of the recall
        said so.
        """
        vector = check_query(query, self.d_in)
        check_k(k)
        if self._graph is not None:
            with self._lock:
                found, allowed = self._found(vector, k, allowed)
                if found is not None:
                    return best(found, self._exact.scores_of(vector, found), k)
        return self._exact.search(vector, k, allowed)

    def candidates(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> Candidates:
        """Return what `search` finds with the vectors, which are read once; see `ExactIndex.candidates`."""
        vector = check_query(query, self.d_in)
        check_k(k)
        if self._graph is not None:
            with self._lock:
                found, allowed = self._found(vector, k, allowed)
                if found is not None:
                    found = np.sort(found)
                    vectors = self._exact.vectors_of(found).astype(np.float64)
                    nearest = np.zeros(len(found), np.bool_)
                    nearest[np.lexsort((found, -wide_scores(vectors, vector)))[:k]] = True
                    return Candidates(found, vectors, nearest)
        return self._exact.candidates(vector, k, allowed)

    def save(self, folder: Path, generation: int, origin: Origin = UNKNOWN) -> None:
        """Write the vectors as in `ExactIndex.save`; the graph as ``NAME.bin``, ``NAME-nodes.bin``, ``NAME.json``."""
        self.wait_until_built()
        with self._lock:
            self._exact.save(folder, generation, origin)
            facts = {
                "generation": generation,
                "count": len(self._exact),
                "removed": sorted(self._removed),
                "nodes": len(self._nodes),
                "effort": self._effort,
                "recall": self._recall,
                "tested": self._tested,
            }
            files = {f"{self.extra}.bin": self._write, f"{self.extra}-nodes.bin": self._nodes.write}
            write_cache(folder, f"{self.extra}.json", files, {**facts, **origin.facts, **self._parameters()})
            self._saved = generation

    def wait_until_built(self) -> None:
        """Wait until the graph holds all vectors and its recall was tested."""
        while True:
            while (thread := self._thread) is not None:
                thread.join()
            with self._lock:
                if self._graph is None and self._thread is None:  # the thread was stopped or failed
                    self._insert_all()
                self._settle()
                if self._graph is not None:
                    return

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

        Checksums find accidents and not people, who can compute them again. The libraries trust their files: a wrong
        number in one ends the process. So everything that they follow without a check is checked before: sizes,
        counts, links. Not checked are the numbers of the vectors: they decide what is found, and never its score.
        """
        index = cls(d_in, ef_search=ef_search)

        def read(facts: dict[str, Any]) -> G | None:
            exact = ExactIndex.load(folder, facts["generation"], d_in=d_in, originals=originals)
            if exact is None:
                return None
            index._set_effort(operator.index(facts["effort"]))
            removed, nodes = np.array(facts["removed"], np.int64), SharedNodes.read(folder / files[1], facts["nodes"])
            labels = np.sort(index._read(folder / files[0], distinct(removed[~np.isin(removed, nodes.shared)])))
            if (
                not np.array_equal(labels, nodes.nodes_among(exact.rowids))
                or not np.array_equal(labels, nodes.names)
                or np.isin(removed, exact.rowids).any()
                or not np.isin(nodes.sharing, exact.rowids).all()
                or len(exact) != facts["count"]
            ):
                return None
            index._exact, index._nodes, index._removed = exact, nodes, set(removed.tolist())
            index._recall, index._tested, index._saved = facts["recall"], int(facts["tested"]), facts["generation"]
            return index

        files = (f"{cls.extra}.bin", f"{cls.extra}-nodes.bin")
        expected = {"generation": generation, **index._parameters()}
        fits = None if originals is None else originals.is_origin_of
        return read_cache(folder, f"{cls.extra}.json", files, expected, read, fits=fits)

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

    def _is_intact(self) -> bool:
        """Return whether the graph is what was read; False if another program has written to the file it is in."""
        return True

    @abstractmethod
    def _nearest(self, vector: FloatArray, wanted: int) -> IntArray:
        """Return the labels of about the nearest vectors; none if the graph reaches fewer than `wanted`."""

    @abstractmethod
    def _write(self, path: Path) -> None:
        """Write the graph, or raise OSError."""

    @abstractmethod
    def _read(self, path: Path, removed: IntArray) -> IntArray:
        """Read the graph from a file whose checksum is right; return its labels that were not removed.

        Raises ValueError if the library could not read it safely.
        """

    def _found(self, vector: FloatArray, k: int, allowed: ArrayLike | None) -> tuple[IntArray | None, ArrayLike | None]:
        """Return documents that may be the `k` nearest, None where exact search is to answer, and the allowed row ids.

        The caller holds the lock.
        """
        live = len(self._exact)
        wanted, within = min(k + self.margin, live), None
        if self._graph is None:
            return None, allowed
        if allowed is not None:
            within = ascending(check_rowids(allowed))
            share = len(within) / max(live, 1)
            if share < _FILTER_ABOVE:
                return None, within
            wanted = max(wanted, int(_SPARE * wanted / share))
        if wanted >= _EXACT_ABOVE * live or self._effort == len(EFFORTS):
            return None, within
        if not self._is_intact():
            self._rebuild()
            return None, within
        found = self._candidates(vector, wanted, k, within)
        return (found if len(found) >= k else None), within

    def _candidates(self, vector: FloatArray, wanted: int, k: int, within: IntArray | None) -> IntArray:
        """Return documents that may be among the nearest, of `within` if it is given."""
        return self._nodes.documents(self._nearest(vector, min(wanted, len(self._nodes))), k, within)

    def _place(self, graph: Any, nodes: SharedNodes, labels: IntArray, vectors: FloatArray) -> None:
        """Insert vectors into a graph, except those that share a node."""
        alone = nodes.place(labels, vectors, self._exact.vectors_of)
        self._insert(graph, labels[alone], vectors[alone])

    def _set_effort(self, effort: int) -> None:
        if not 0 <= effort <= len(EFFORTS):
            raise ValueError(f"an effort of {effort} is unknown")
        links, candidates = EFFORTS[min(effort, len(EFFORTS) - 1)]
        m, ef_construction, ef_search = self._base
        self._effort, self._m, self._ef_construction = effort, links * m, links * ef_construction
        self._ef_search = candidates * ef_search

    def _settle(self) -> None:
        """Test a complete graph if it has not been, and build it again if its recall asks for that; holds the lock."""
        if self._graph is not None and not self._is_intact():
            self._rebuild()
        while self._graph is not None and self._test_is_due() and self._test():
            self._rebuild()

    def _test_is_due(self) -> bool:
        count = len(self._exact)
        changed = not self._tested / _GROWN < count < self._tested * _GROWN
        return count >= TESTED_FROM and changed and self._effort < len(EFFORTS)

    def _test(self) -> bool:
        """Measure the recall and raise the effort until it suffices; return whether the graph must be built again."""
        if self._crowded():
            return True
        while True:
            self._tested, self._recall = len(self._exact), recall_of(self._scores, self._exact, self._nodes.names)
            if self._recall >= LOWEST_RECALL:
                return False
            links = EFFORTS[self._effort].links
            self._set_effort(self._effort + 1)
            exact, again = self._effort == len(EFFORTS), self._m != links * self._base[0]
            logger.warning(
                "the graph of %s finds %.3f of the ten nearest of %d documents, which may be nearly equal: %s",
                self.extra,
                self._recall,
                len(self._exact),
                "searches are exact from now on"
                if exact
                else ("it is built again with more links" if again else "it compares more candidates from now on"),
            )
            if exact or again:
                return again

    def _crowded(self) -> bool:
        """Turn to more links if many vectors are nearly equal; return whether that was done now."""
        if EFFORTS[self._effort].links > 1 or len(self._exact) < TESTED_FROM:
            return False
        share = crowded_share(self._exact, self._ef_construction)
        if share <= _CROWDED:
            return False
        self._set_effort(next(i for i, effort in enumerate(EFFORTS) if effort.links > 1))
        logger.warning(
            "%.0f %% of the documents are nearly equal to more than %d others, which can hide some: the graph of %s "
            "is built with more links",
            100 * share,
            self._base[1],
            self.extra,
        )
        return True

    def _scores(self, query: FloatArray) -> FloatArray:
        found = self._candidates(query, DEPTH + self.margin, DEPTH, None)
        return best(found, self._exact.scores_of(query, found), DEPTH)[1]

    def _parameters(self) -> dict[str, object]:
        """Return the parameters that a cache must match."""
        version = importlib.metadata.version(self.module)
        m, ef_construction, _ = self._base
        return {"d_in": self.d_in, "M": m, "ef_construction": ef_construction, "radius": RADIUS, self.module: version}

    def _rebuild(self) -> None:
        """Build a new graph, in a thread if it is large; the caller holds the lock."""
        self._stop.set()  # a thread may be building the old graph
        if len(self._exact) > THREAD_ABOVE:
            self._removed, self._tested = set(), 0
            self._build_in_thread(self._new_graph(len(self._exact)), SharedNodes(), np.empty(0, np.int64))
        else:
            self._insert_all()

    def _insert_all(self) -> None:
        rowids = self._exact.rowids
        self._graph, self._nodes = self._new_graph(max(1024, len(rowids))), SharedNodes()
        self._removed, self._tested = set(), 0
        self._place(self._graph, self._nodes, rowids, self._exact.vectors_of(rowids))

    def _build_in_thread(self, graph: Any, nodes: SharedNodes, done: IntArray) -> None:
        """Insert vectors into a graph, except the labels in `done`, in a thread; the caller holds the lock."""
        self._graph, self._stop = None, threading.Event()
        given, name = (graph, nodes, done, frozenset(self._removed), self._stop), "graph of steersearch"
        self._thread = threading.Thread(target=self._insert_missing, args=given, name=name, daemon=True)
        _building.add(self)
        self._thread.start()

    def _insert_missing(
        self, graph: Any, nodes: SharedNodes, done: IntArray, removed: frozenset[int], stop: threading.Event
    ) -> None:
        """Run in the thread; hold the lock only to determine the missing vectors.

        Vectors are read without the lock: for a damaged row the exact index reads the store, whose lock other threads
        hold while they wait for this one.
        """
        tested = False
        try:
            graph = graph if len(done) else self._with_links(graph)
            while not stop.is_set():
                with self._lock:
                    rowids = self._exact.rowids
                    todo = np.setdiff1d(rowids, done, assume_unique=True)
                    if len(todo) == 0 and not stop.is_set():
                        deleted = np.setdiff1d(done, rowids, assume_unique=True)
                        self._take_out(graph, nodes.remove(deleted))
                        done, removed = rowids, removed | frozenset(deleted.tolist())
                        if tested or not self._test_is_due():
                            self._graph, self._nodes, self._removed = graph, nodes, set(removed)
                            return
                if len(todo) == 0:
                    try:
                        tested = not self._test_of(graph, nodes, stop)
                    except DataError:  # a document was just removed, or it is to stop
                        continue
                    if not tested:
                        graph, nodes = self._new_graph(len(rowids)), SharedNodes()
                        done, removed = np.empty(0, np.int64), frozenset()
                    continue
                done = np.union1d(done, self._insert_some(graph, nodes, todo, stop))
        except Exception as error:
            logger.warning("a graph could not be built, and searches stay exact: %r", error)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _insert_some(self, graph: Any, nodes: SharedNodes, todo: IntArray, stop: threading.Event) -> IntArray:
        """Insert documents until one of them is removed, or until the thread is to stop; return the inserted ones."""
        for start in range(0, len(todo), _THREAD_BATCH):
            batch = todo[start : start + _THREAD_BATCH]
            try:
                vectors = self._exact.vectors_of(batch)
            except DataError:  # one of them was just removed
                stop.wait(0.01)
                return todo[:start]
            if stop.is_set():
                return todo[:start]
            self._place(graph, nodes, batch, vectors)
        return todo

    def _with_links(self, graph: Any) -> Any:
        """Return an empty graph in place of this one if it needs more links."""
        with suppress(DataError):  # a document was just removed; the test at the end comes in any case
            return self._new_graph(len(self._exact)) if self._crowded() else graph
        return graph

    def _test_of(self, graph: Any, nodes: SharedNodes, stop: threading.Event) -> bool:
        """Run `_test` on a graph that nobody searches yet, without the lock; DataError if it is to stop."""
        tested = copy.copy(self)
        tested._graph, tested._nodes = graph, nodes
        tested._exact = cast(ExactIndex, _Until(stop, self._exact))
        again = tested._test()
        with self._lock:
            if not stop.is_set():
                self._set_effort(tested._effort)
                self._recall, self._tested = tested._recall, 0 if again else tested._tested
        return again


class _Until:
    """An exact index that raises DataError from a stop on, so that a long test ends."""

    def __init__(self, stop: threading.Event, exact: ExactIndex) -> None:
        self._stop, self._exact = stop, exact

    def __len__(self) -> int:
        return len(self._exact)

    def __getattr__(self, name: str) -> Any:
        if self._stop.is_set():
            raise DataError("the graph is no longer wanted")
        return getattr(self._exact, name)
