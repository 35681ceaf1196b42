"""Exact nearest neighbours by NumPy: one matrix-vector product, then reproducible scores for the best candidates."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError, DataError
from ..metrics import FloatArray, IntArray
from .cachefiles import read_cache, write_cache
from .records import finite_rows

_MAX_LENGTH = 1e6  # float32 products of longer vectors could overflow
_COMPACT_ABOVE = 0.25  # share of removed rows at which the matrix is packed again
_GATHER_BELOW = 0.25  # share of allowed rows at which copying them is cheaper than multiplying all
_BLOCK = 4096  # rows that are copied at a time


class ExactIndex:
    """Finds the vectors with the greatest inner product, exactly. Threads may share it.

    Scores are reproducible to the last bit: the same query and the same vector give the same score whatever else is in
    the index, whichever rows are allowed, before and after a reopen. BLAS alone does not give that: with
    OpenBLAS 0.3.31, a row's product differs in the last bits between a one-row and a 5,000-row matrix for half of the
    rows, and at the edges of its blocks. So the product only selects candidates, all within its rounding error of the
    k-th best, and each candidate's score is then computed from its own row alone, in float64, rounded to float32.
    """

    def __init__(self, d_in: int) -> None:
        self.d_in = d_in
        """Width of the vectors."""
        self.saved_generation: int | None = None
        """The generation of the cache that this index was read from or written as."""
        self._lock = threading.Lock()  # guards the attributes; arrays in use by a search are never changed in place
        self._matrix = np.empty((0, d_in), np.float32)  # rows in use first, in ascending order of rowid
        self._rowids = np.empty(0, np.int64)
        self._alive = np.empty(0, np.bool_)
        self._used = self._dead = 0
        self._longest = 0.0

    def __len__(self) -> int:
        with self._lock:
            return self._used - self._dead

    @property
    def rowids(self) -> IntArray:
        """The rowids in the index, ascending."""
        return self._view()[1]

    def add(self, rowids: ArrayLike, vectors: ArrayLike) -> None:
        """Add vectors.

        Args:
            rowids: Shape (n,), integers that are not in the index. Ascending ones, greater than all before, are quick.
            vectors: Unit rows, shape (n, d_in), finite.

        Raises:
            DataError: A rowid is there already or twice, or `vectors` is not as above; nothing was added.
        """
        labels = check_rowids(rowids)
        rows = finite_rows("vectors", vectors, len(labels), self.d_in)
        if len(labels) == 0:
            return
        longest = _longest(rows)
        with self._lock:
            self._longest = max(self._longest, longest)
            if np.any(labels[1:] <= labels[:-1]) or (self._used and labels[0] <= self._rowids[self._used - 1]):
                matrix, known = self._live()
                labels, rows = np.concatenate([known, labels]), np.concatenate([matrix, rows])
                order = np.argsort(labels, kind="stable")
                labels, rows = labels[order], rows[order]
                twice = np.flatnonzero(labels[1:] == labels[:-1])
                if len(twice):
                    raise DataError(f"rowid {labels[twice[0]]} is in the index already: remove it first")
                self._replace(rows, labels)
                return
            end = self._used + len(labels)
            if end > len(self._matrix):
                self._grow(max(end, 2 * len(self._matrix)))
            self._matrix[self._used : end], self._rowids[self._used : end] = rows, labels
            self._alive[self._used : end] = True
            self._used = end

    def remove(self, rowids: ArrayLike) -> None:
        """Remove vectors; rowids that are not there are passed over."""
        with self._lock:
            places = _places(self._rowids[: self._used], np.unique(check_rowids(rowids)))
            gone = places[self._alive[places]]
            if len(gone) == 0:
                return
            self._alive = self._alive.copy()  # a search may hold the old one
            self._alive[gone] = False
            self._dead += len(gone)
            if self._dead > _COMPACT_ABOVE * self._used:
                self._replace(*self._live())

    def search(self, query: ArrayLike, k: int, allowed: ArrayLike | None = None) -> tuple[IntArray, FloatArray]:
        """The vectors with the greatest inner product.

        Args:
            query: Unit vector, shape (d_in,), finite.
            k: Results wanted, at least 1.
            allowed: Rowids to choose from; None for all. Others than those in the index are passed over.

        Returns:
            Rowids int64 and scores float32, best first, equal scores by ascending rowid; fewer than `k` when there
            are fewer.

        Raises:
            ConfigError: `k` is below 1.
            DataError: The query is not as above.
        """
        vector = check_query(query, self.d_in)
        check_k(k)
        matrix, rowids, positions = self._view(allowed)
        scores = _approximate(matrix, positions, vector)
        k = min(k, len(scores))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        # |float32 product - true product| <= d_in * eps / 2 * |query| * |row| in any order of summation (Higham,
        # Accuracy and Stability of Numerical Algorithms, 3.5), on either side; 16 more for the roundings after it.
        slack = (self.d_in + 16) * float(np.finfo(np.float32).eps) * float(np.linalg.norm(vector)) * self._longest
        near = np.flatnonzero(scores >= float(np.partition(scores, len(scores) - k)[len(scores) - k]) - slack)
        return best(rowids[near], row_scores(matrix, near if positions is None else positions[near], vector), k)

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """The vectors of `rowids`, in that order, shape (n, d_in).

        Raises:
            DataError: A rowid is not there.
        """
        matrix, positions = self._find(rowids)
        rows: FloatArray = matrix[positions]
        return rows

    def scores_of(self, query: ArrayLike, rowids: ArrayLike) -> FloatArray:
        """The scores that `search` would give to `rowids`, in that order, shape (n,), float32.

        Raises:
            DataError: A rowid is not there.
        """
        matrix, positions = self._find(rowids)
        return row_scores(matrix, positions, check_query(query, self.d_in))

    def save(self, folder: Path, generation: int) -> None:
        """Write ``vectors.npy``, ``rowids.npy`` and ``cache.json`` into a folder, made when missing.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        with self._lock:
            matrix, rowids = self._live()

        def write(array: FloatArray | IntArray, path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, array, allow_pickle=False)

        files = {"vectors.npy": lambda path: write(matrix, path), "rowids.npy": lambda path: write(rowids, path)}
        facts = {"generation": generation, "count": len(rowids), "d_in": self.d_in}
        write_cache(folder, "cache.json", files, facts)
        self.saved_generation = generation

    @classmethod
    def load(cls, folder: Path, generation: int | None, *, d_in: int) -> "ExactIndex | None":
        """Read what `save` wrote.

        Args:
            folder: Where it was written.
            generation: The generation of the store that it must be of; None for any.
            d_in: Width of the vectors that it must have.

        Returns:
            The index, or None when it is missing, of another generation, damaged or half-written.
        """

        def read(facts: dict[str, Any]) -> ExactIndex | None:
            matrix = np.load(folder / "vectors.npy", allow_pickle=False)
            rowids = np.load(folder / "rowids.npy", allow_pickle=False)
            if matrix.dtype != np.float32 or rowids.dtype != np.int64 or matrix.shape != (len(rowids), d_in):
                return None
            if len(rowids) != facts["count"] or np.any(rowids[1:] <= rowids[:-1]):
                return None
            index = cls(d_in)
            index._longest = _longest(matrix)
            index._replace(matrix, rowids)
            index.saved_generation = facts["generation"]
            return index

        return read_cache(
            folder, "cache.json", ("vectors.npy", "rowids.npy"), {"generation": generation, "d_in": d_in}, read
        )

    def _view(self, allowed: ArrayLike | None = None) -> tuple[FloatArray, IntArray, IntArray | None]:
        """The matrix, the rowids to choose from, and their rows of the matrix (None: row i is rowid i)."""
        with self._lock:
            matrix, rowids = self._matrix[: self._used], self._rowids[: self._used]
            alive = self._alive[: self._used] if self._dead else None
        if allowed is not None:
            positions = _places(rowids, ascending(check_rowids(allowed)))
            if alive is not None:
                positions = positions[alive[positions]]
        elif alive is not None:
            positions = np.flatnonzero(alive)
        else:
            return matrix, rowids, None
        return matrix, rowids[positions], positions

    def _find(self, rowids: ArrayLike) -> tuple[FloatArray, IntArray]:
        wanted = check_rowids(rowids)
        with self._lock:
            matrix, known, alive = self._matrix[: self._used], self._rowids[: self._used], self._alive
        places = _places(known, wanted)
        places = places[alive[places]]
        if len(places) < len(wanted):
            missing = np.setdiff1d(wanted, known[places])
            raise DataError(f"rowid {missing[0]} is not in the index")
        return matrix, places

    def _live(self) -> tuple[FloatArray, IntArray]:
        used = slice(0, self._used)
        if not self._dead:
            return self._matrix[used], self._rowids[used]
        alive = self._alive[used]
        return self._matrix[used][alive], self._rowids[used][alive]

    def _replace(self, matrix: FloatArray, rowids: IntArray) -> None:
        self._matrix, self._rowids, self._alive = matrix, rowids, np.ones(len(rowids), np.bool_)
        self._used, self._dead = len(rowids), 0

    def _grow(self, capacity: int) -> None:
        matrix, rowids = np.empty((capacity, self.d_in), np.float32), np.empty(capacity, np.int64)
        alive, used = np.zeros(capacity, np.bool_), slice(0, self._used)
        matrix[used], rowids[used], alive[used] = self._matrix[used], self._rowids[used], self._alive[used]
        self._matrix, self._rowids, self._alive = matrix, rowids, alive


def best(rowids: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The `k` best of a few candidates, best first, equal scores by ascending rowid."""
    order = np.lexsort((rowids, -scores))[:k]
    return rowids[order], scores[order]


def row_scores(matrix: FloatArray, positions: IntArray, query: FloatArray) -> FloatArray:
    """Inner products of some rows with the query, each computed from its row alone, in float64.

    `einsum` adds up every row in the same order however many there are (measured for 1 to 5,000 rows, widths 1 to 768,
    aligned and not); matrix products do not.
    """
    wide, scores = query.astype(np.float64), np.empty(len(positions), np.float32)
    for start in range(0, len(positions), _BLOCK):
        part = slice(start, start + _BLOCK)
        scores[part] = np.einsum("ij,j->i", matrix[positions[part]].astype(np.float64), wide)
    return scores


def check_query(query: ArrayLike, d_in: int) -> FloatArray:
    """Check a query vector and return it as contiguous float32, shape (d_in,)."""
    given = np.asarray(query)
    if given.shape != (d_in,):
        raise DataError(f"the query has shape {given.shape}: expected ({d_in},)")
    rows = finite_rows("query", given[None], 1, d_in)
    _longest(rows)
    vector: FloatArray = rows[0]
    return vector


def check_k(k: int) -> None:
    """Raise a ConfigError when fewer than one result is wanted."""
    if k < 1:
        raise ConfigError(f"k is {k}: it must be at least 1")


def check_rowids(rowids: ArrayLike) -> IntArray:
    """Check an array of rowids and return it as int64, shape (n,)."""
    given = np.asarray(rowids)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise DataError(f"rowids has shape {given.shape} and dtype {given.dtype}: expected (n,) integers")
    labels = given.astype(np.int64)
    if labels.size and labels.min() < 0:
        raise DataError(f"rowids holds {labels.min()}: expected integers in [0, 2**63)")
    return labels


def ascending(rowids: IntArray) -> IntArray:
    """Rowids in ascending order, each once; a store's own are so already, which is quicker to see than to sort."""
    return rowids if np.all(rowids[1:] > rowids[:-1]) else np.unique(rowids)


def _longest(rows: FloatArray) -> float:
    with np.errstate(over="ignore"):
        longest = float(np.sqrt(np.einsum("ij,ij->i", rows, rows).max(initial=0.0)))
    if longest > _MAX_LENGTH:
        raise DataError(f"a vector has length {longest:.4g}: expected unit vectors, length 1")
    return longest


def _places(sorted_rowids: IntArray, wanted: IntArray) -> IntArray:
    """Where those of `wanted` that are there stand in an ascending array, in the order of `wanted`."""
    places = np.searchsorted(sorted_rowids, wanted)
    inside = places < len(sorted_rowids)
    places, wanted = places[inside], wanted[inside]
    there: IntArray = places[sorted_rowids[places] == wanted]
    return there


def _approximate(matrix: FloatArray, positions: IntArray | None, query: FloatArray) -> FloatArray:
    if positions is None:
        scores: FloatArray = matrix @ query
        return scores
    if len(positions) >= _GATHER_BELOW * len(matrix):
        scores = matrix @ query
        return scores[positions]
    scores = np.empty(len(positions), np.float32)
    for start in range(0, len(positions), _BLOCK):
        part = slice(start, start + _BLOCK)
        scores[part] = matrix[positions[part]] @ query
    return scores
