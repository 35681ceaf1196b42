"""Exact nearest neighbours with NumPy: one matrix-vector product, then reproducible scores of the best candidates."""

import os
import threading
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import FloatArray, IntArray, WideArray, check_finite_rows, distinct, positions_of
from ...errors import ConfigError, DataError
from ..store.cache_files import read_cache, write_cache
from ..store.documents import DocumentStore
from ..store.epochs import UNKNOWN, Origin
from .mapped_rows import MappedRows, Rows, write_rows

_MAX_LENGTH = 1e6  # longer vectors could overflow float32
_COMPACT_ABOVE = 0.25  # share of removed rows
# Share of allowed rows below which copying them is cheaper than multiplying all rows.
_GATHER_BELOW = 0.25
_MAPPED = os.name != "nt"  # Windows cannot replace a mapped file


class Candidates(NamedTuple):
    """Documents near a query, by ascending row id, with their vectors."""

    rowids: IntArray
    """Shape (m,)."""
    vectors: WideArray
    """Shape (m, d_in)."""
    nearest: NDArray[np.bool_]
    """Which of them are the nearest that were asked for, shape (m,): the vectors of the others were read to tell."""


class ExactIndex:
    """Exact search for the vectors with the greatest inner product. Threads may share an index.

    Scores are reproducible to the last bit: the same query and vector give the same score regardless of the other
    vectors in the index, of the allowed rows, and of a reopen. BLAS alone does not guarantee that: with OpenBLAS
    0.3.31, a row's product differs in the last bits between a one-row and a 5,000-row matrix for half of the rows, and
    at block boundaries. The product therefore only selects candidates, all within its rounding error of the k-th best;
    each candidate's score is then computed from its own row alone in float64 and rounded to float32.
    """

    sidecars: ClassVar[tuple[str, ...]] = ("cache.json",)
    """The files that record the generation of the caches."""

    def __init__(self, d_in: int) -> None:
        self.d_in = d_in
        """Width of the vectors."""
        self._saved: int | None = None
        # Guards the attributes. Arrays in use by a search are never changed in place.
        self._lock = threading.Lock()
        self._base: MappedRows | None = None
        # Used rows come first in the next three; `_rowids` (ascending) and `_alive` also cover the base.
        self._tail = np.empty((0, d_in), np.float32)
        self._rowids = np.empty(0, np.int64)
        self._alive = np.empty(0, np.bool_)
        self._used = self._dead = 0
        self._longest = 0.0

    def __len__(self) -> int:
        with self._lock:
            return self._used - self._dead

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that this index was read from or written to; None if it is damaged."""
        return None if self._base is not None and self._base.repaired else self._saved

    @property
    def rowids(self) -> IntArray:
        """The row ids in the index, ascending."""
        return self._view()[1]

    def add(self, rowids: ArrayLike, vectors: ArrayLike) -> None:
        """Add vectors.

        Args:
            rowids: Shape (n,), integers that are not in the index. Ascending ones greater than all before are fastest.
            vectors: Unit rows, shape (n, d_in), finite.

        Raises:
            DataError: A row id exists or occurs twice, or `vectors` is invalid; nothing was added.
        """
        labels = check_rowids(rowids)
        rows = check_finite_rows(vectors, "vectors", self.d_in, n=len(labels))
        if len(labels) == 0:
            return
        longest = _longest(rows)
        with self._lock:
            self._longest = max(self._longest, longest)
            if np.any(labels[1:] <= labels[:-1]) or (self._used and labels[0] <= self._rowids[self._used - 1]):
                all_rows, known, positions = self._live()
                labels, rows = np.concatenate([known, labels]), np.concatenate([all_rows.take(positions), rows])
                order = np.argsort(labels, kind="stable")
                labels, rows = labels[order], rows[order]
                twice = np.flatnonzero(labels[1:] == labels[:-1])
                if len(twice):
                    raise DataError(f"rowid {labels[twice[0]]} is in the index already: remove it first")
                self._replace(rows, labels)
                return
            end = self._used + len(labels)
            first = self._first
            if end > len(self._rowids):
                self._grow(first + max(end - first, 2 * len(self._tail)))
            self._tail[self._used - first : end - first] = rows
            self._rowids[self._used : end], self._alive[self._used : end] = labels, True
            self._used = end

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; unknown row ids are ignored."""
        with self._lock:
            positions = positions_of(self._rowids[: self._used], distinct(check_rowids(rowids)))
            removed = positions[self._alive[positions]]
            if len(removed) == 0:
                return
            self._alive = self._alive.copy()  # a search may hold the old one
            self._alive[removed] = False
            self._dead += len(removed)
            if self._dead > _COMPACT_ABOVE * self._used:
                rows, known, positions = self._live()
                self._replace(rows.take(positions), known)

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """Return the vectors with the greatest inner product.

        Args:
            query: Unit vector, shape (d_in,), finite.
            k: Number of results, at least 1.
            allowed: Row ids to choose from; None for all. Unknown ones are ignored.

        Returns:
            Row ids int64 and scores float32, best first, ties by ascending row id; fewer than `k` if there are fewer.

        Raises:
            ConfigError: `k` is below 1.
            DataError: The query is invalid.
        """
        vector = check_query(query, self.d_in)
        check_k(k)
        rows, rowids, positions = self._view(allowed)
        scores = _approximate(rows, positions, vector)
        k = min(k, len(scores))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        # |float32 product - true product| <= d_in * eps / 2 * |query| * |row| in any order of summation (Higham,
        # Accuracy and Stability of Numerical Algorithms, 3.5), on either side; 16 more for the roundings after it.
        slack = (self.d_in + 16) * float(np.finfo(np.float32).eps) * float(np.linalg.norm(vector)) * self._longest
        near = np.flatnonzero(scores >= float(np.partition(scores, len(scores) - k)[len(scores) - k]) - slack)
        return best(rowids[near], row_scores(rows, near if positions is None else positions[near], vector), k)

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """Return the vectors of `rowids`, in that order, shape (n, d_in); DataError if one is not in the index."""
        rows, positions = self._find(rowids)
        return rows.take(positions)

    def candidates(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> Candidates:
        """Return what `search` finds with the vectors, for a ranking of another kind; arguments as in `search`."""
        found = np.sort(self.search(query, k, allowed)[0])
        return Candidates(found, self.vectors_of(found).astype(np.float64), np.ones(len(found), np.bool_))

    def scores_of(self, query: ArrayLike, rowids: ArrayLike) -> FloatArray:
        """Return the scores that `search` gives to `rowids`, in that order, shape (n,); errors as in `vectors_of`."""
        rows, positions = self._find(rowids)
        return row_scores(rows, positions, check_query(query, self.d_in))

    def wait_until_built(self) -> None:
        """Do nothing: an exact index is always fully built."""

    def close(self) -> None:
        """Do nothing: there is no thread to stop."""

    def save(self, folder: Path, generation: int, origin: Origin = UNKNOWN) -> None:
        """Write ``vectors.npy``, ``checks.npy``, ``rowids.npy`` and ``cache.json``; errors as in `write_cache`."""
        with self._lock:
            rows, rowids, positions = self._live()
            facts: dict[str, object] = {
                "generation": generation,
                "count": len(rowids),
                "d_in": self.d_in,
                "longest": self._longest,
            }
            facts |= origin.facts
        arrays: dict[str, NDArray[Any]] = {"rowids.npy": rowids}

        def write_vectors(path: Path) -> None:
            arrays["checks.npy"] = write_rows(path, rows, positions)

        def write(name: str, path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, arrays[name], allow_pickle=False)

        files = {
            "vectors.npy": write_vectors,
            "checks.npy": lambda path: write("checks.npy", path),
            "rowids.npy": lambda path: write("rowids.npy", path),
        }
        write_cache(folder, "cache.json", files, {"generation": generation, **facts, **origin.facts})
        self._saved = generation
        if self._base is not None:
            self._base.repaired = False

    @classmethod
    def load(
        cls, folder: Path, generation: int | None, *, d_in: int, originals: DocumentStore | None = None
    ) -> "ExactIndex | None":
        """Read the output of `save`.

        Args:
            folder: The folder of the cache.
            generation: The generation of the store that the cache must have; None for any.
            d_in: Width of the vectors that the cache must have.
            originals: The store of the vectors. If given, a cache of other documents is refused, the vectors stay in
                the mapped file, each is verified when it is first used, and a damaged one is read from the store;
                otherwise all are read and verified now.

        Returns:
            The index, or None if the cache is missing, of another generation or store, damaged or half-written.
        """
        source = originals if _MAPPED else None

        def read(facts: dict[str, Any]) -> ExactIndex | None:
            checks = np.load(folder / "checks.npy", allow_pickle=False)
            rowids = np.load(folder / "rowids.npy", allow_pickle=False)
            index = cls(d_in)
            if source is not None and len(rowids):
                index._base = MappedRows(folder / "vectors.npy", d_in, checks, lambda p: _originals(source, rowids[p]))
                matrix = index._base.matrix
            else:
                matrix = index._tail = np.load(folder / "vectors.npy", allow_pickle=False)
            if matrix.dtype != np.float32 or rowids.dtype != np.int64 or matrix.shape != (len(rowids), d_in):
                return None
            if not len(rowids) == len(checks) == facts["count"] or np.any(rowids[1:] <= rowids[:-1]):
                return None
            index._rowids, index._alive, index._used = rowids, np.ones(len(rowids), np.bool_), len(rowids)
            index._longest, index._saved = float(facts["longest"]), facts["generation"]
            # Otherwise a search would compare with NaN, and find nothing.
            return index if 0 <= index._longest <= _MAX_LENGTH else None

        expected, unchecked = {"generation": generation, "d_in": d_in}, () if source is None else ("vectors.npy",)
        names, fits = ("vectors.npy", "checks.npy", "rowids.npy"), None if originals is None else originals.is_origin_of
        return read_cache(folder, "cache.json", names, expected, read, unchecked, fits)

    def _view(self, allowed: ArrayLike | None = None) -> tuple[Rows, IntArray, IntArray | None]:
        """Return the vectors, the row ids to choose from, and their positions (None: row i has row id i)."""
        with self._lock:
            rows, rowids = self._rows(), self._rowids[: self._used]
            alive = self._alive[: self._used] if self._dead else None
        if allowed is not None:
            positions = positions_of(rowids, ascending(check_rowids(allowed)))
            if alive is not None:
                positions = positions[alive[positions]]
        elif alive is not None:
            positions = np.flatnonzero(alive)
        else:
            return rows, rowids, None
        return rows, rowids[positions], positions

    def _find(self, rowids: ArrayLike) -> tuple[Rows, IntArray]:
        wanted = check_rowids(rowids)
        with self._lock:
            rows, known, alive = self._rows(), self._rowids[: self._used], self._alive
        positions = positions_of(known, wanted)
        positions = positions[alive[positions]]
        if len(positions) < len(wanted):
            missing = np.setdiff1d(wanted, known[positions])
            raise DataError(f"rowid {missing[0]} is not in the index")
        return rows, positions

    @property
    def _first(self) -> int:
        """Position of the first row of the tail."""
        return 0 if self._base is None else len(self._base)

    def _rows(self) -> Rows:
        return Rows(self._base, self._tail[: self._used - self._first])

    def _live(self) -> tuple[Rows, IntArray, IntArray]:
        """Return the vectors, the row ids that were not removed, and their positions."""
        positions = np.flatnonzero(self._alive[: self._used])
        return self._rows(), self._rowids[positions], positions

    def _replace(self, matrix: FloatArray, rowids: IntArray) -> None:
        self._base, self._tail = None, matrix
        self._rowids, self._alive, self._used, self._dead = rowids, np.ones(len(rowids), np.bool_), len(rowids), 0

    def _grow(self, capacity: int) -> None:
        """Make room for `capacity` rows in all; the base does not change."""
        tail = np.empty((capacity - self._first, self.d_in), np.float32)
        rowids, alive = np.empty(capacity, np.int64), np.zeros(capacity, np.bool_)
        old, used = self._rows().tail, slice(0, self._used)
        tail[: len(old)], rowids[used], alive[used] = old, self._rowids[used], self._alive[used]
        self._tail, self._rowids, self._alive = tail, rowids, alive


def best(rowids: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Return the `k` best of a few candidates, best first, ties by ascending row id."""
    order = np.lexsort((rowids, -scores))[:k]
    return rowids[order], scores[order]


def row_scores(rows: Rows, positions: IntArray, query: FloatArray) -> FloatArray:
    """Return inner products of some rows with the query, each computed from its row alone in float64.

    `einsum` sums every row in the same order, however many rows there are (measured for 1 to 5,000 rows, widths 1 to
    768, aligned and not); matrix products do not.
    """
    scores = np.empty(len(positions), np.float32)
    for part, some in rows.blocks(positions):
        scores[part] = wide_scores(some.astype(np.float64), query)
    return scores


def wide_scores(rows: WideArray, query: FloatArray) -> FloatArray:
    """Return the scores of rows in float64, (n, d_in), as `row_scores` does."""
    scores: FloatArray = np.einsum("ij,j->i", rows, query.astype(np.float64)).astype(np.float32)
    return scores


def check_query(query: ArrayLike, d_in: int) -> FloatArray:
    """Check a query vector and return it as contiguous float32, shape (d_in,)."""
    given = np.asarray(query)
    if given.shape != (d_in,):
        raise DataError(f"the query has shape {given.shape}: expected ({d_in},)")
    if given.dtype == np.float32 and given.flags.c_contiguous:
        with np.errstate(over="ignore", invalid="ignore"):  # NaN is reported below
            if float(given @ given) <= _MAX_LENGTH**2:
                return given
    rows = check_finite_rows(given[None], "query", d_in, n=1)
    _longest(rows)
    vector: FloatArray = rows[0]
    return vector


def check_k(k: int) -> None:
    """Check the number of results; ConfigError below 1."""
    if k < 1:
        raise ConfigError(f"k is {k}: it must be at least 1")


def check_rowids(rowids: ArrayLike) -> IntArray:
    """Check an array of row ids and return it as int64, shape (n,)."""
    given = np.asarray(rowids)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise DataError(f"rowids has shape {given.shape} and dtype {given.dtype}: expected (n,) integers")
    labels = given.astype(np.int64)
    if labels.size and labels.min() < 0:
        raise DataError(f"rowids holds {labels.min()}: expected integers in [0, 2**63)")
    return labels


def ascending(rowids: IntArray) -> IntArray:
    """Return distinct row ids in ascending order; testing for order is faster than sorting."""
    return rowids if np.all(rowids[1:] > rowids[:-1]) else np.unique(rowids)


def _originals(source: DocumentStore, rowids: IntArray) -> FloatArray:
    """Return the vectors of documents, zeros for those that were removed, which no search returns."""
    try:
        return source.vectors_of(rowids)
    except DataError:
        present = np.isin(rowids, source.rowids())
        rows = np.zeros((len(rowids), source.d_in), np.float32)
        rows[present] = source.vectors_of(rowids[present])
        return rows


def _longest(rows: FloatArray) -> float:
    with np.errstate(over="ignore"):
        longest = float(np.sqrt(np.einsum("ij,ij->i", rows, rows).max(initial=0.0)))
    if longest > _MAX_LENGTH:
        raise DataError(f"a vector has length {longest:.4g}: expected unit vectors, length 1")
    return longest


def _approximate(rows: Rows, positions: IntArray | None, query: FloatArray) -> FloatArray:
    if positions is None or len(positions) >= _GATHER_BELOW * len(rows):
        scores = rows.product(query)
        return scores if positions is None else scores[positions]
    scores = np.empty(len(positions), np.float32)
    for part, some in rows.blocks(positions):
        scores[part] = some @ query
    return scores
