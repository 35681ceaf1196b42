"""Exact nearest neighbours by NumPy: one matrix-vector product, then reproducible scores for the best candidates."""

import os
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import FloatArray, IntArray
from ...errors import ConfigError, DataError
from ..store.cache_files import read_cache, write_cache
from ..store.row_encoding import finite_rows
from .mapped_rows import MappedRows, Rows, write_rows

_MAX_LENGTH = 1e6  # float32 products of longer vectors could overflow
_COMPACT_ABOVE = 0.25  # share of removed rows at which the matrix is packed again
_GATHER_BELOW = 0.25  # share of allowed rows at which copying them is cheaper than multiplying all
_MAPPED = os.name != "nt"  # Windows does not replace a file that is mapped


class Originals(Protocol):
    """Where the vectors of a cache come from."""

    def vectors_of(self, rowids: ArrayLike) -> FloatArray:
        """The vectors of `rowids`, in that order, shape (n, d_in)."""


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
        self._saved: int | None = None
        self._lock = threading.Lock()  # guards the attributes; arrays in use by a search are never changed in place
        self._base: MappedRows | None = None
        self._tail = np.empty((0, d_in), np.float32)  # rows in use first, as in the next two, which cover the base too
        self._rowids = np.empty(0, np.int64)  # ascending
        self._alive = np.empty(0, np.bool_)
        self._used = self._dead = 0
        self._longest = 0.0

    def __len__(self) -> int:
        with self._lock:
            return self._used - self._dead

    @property
    def saved_generation(self) -> int | None:
        """The generation of the cache that this index was read from or written as; None when it is damaged."""
        return None if self._base is not None and self._base.mended else self._saved

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
                rows, known, positions = self._live()
                self._replace(rows.take(positions), known)

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
        """The vectors of `rowids`, in that order, shape (n, d_in).

        Raises:
            DataError: A rowid is not there.
        """
        rows, positions = self._find(rowids)
        return rows.take(positions)

    def scores_of(self, query: ArrayLike, rowids: ArrayLike) -> FloatArray:
        """The scores that `search` would give to `rowids`, in that order, shape (n,), float32.

        Raises:
            DataError: A rowid is not there.
        """
        rows, positions = self._find(rowids)
        return row_scores(rows, positions, check_query(query, self.d_in))

    def ready(self) -> None:
        """It always is; graphs have something to wait for."""

    def close(self) -> None:
        """Nothing to do; graphs have something to stop."""

    def save(self, folder: Path, generation: int) -> None:
        """Write ``vectors.npy``, ``checks.npy``, ``rowids.npy`` and ``cache.json`` into a folder, made when missing.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        with self._lock:
            rows, rowids, positions = self._live()
            facts = {"generation": generation, "count": len(rowids), "d_in": self.d_in, "longest": self._longest}
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
        write_cache(folder, "cache.json", files, facts)
        self._saved = generation
        if self._base is not None:
            self._base.mended = False

    @classmethod
    def load(
        cls, folder: Path, generation: int | None, *, d_in: int, originals: Originals | None = None
    ) -> "ExactIndex | None":
        """Read what `save` wrote.

        Args:
            folder: Where it was written.
            generation: The generation of the store that it must be of; None for any.
            d_in: Width of the vectors that it must have.
            originals: Where it was made from. With it, the vectors stay in the file and are compared with their
                checksums when they are touched, and those that are damaged come from here; without it, all are read
                and compared now.

        Returns:
            The index, or None when it is missing, of another generation, damaged or half-written.
        """
        source = originals if _MAPPED else None

        def read(facts: dict[str, Any]) -> ExactIndex | None:
            checks = np.load(folder / "checks.npy", allow_pickle=False)
            rowids = np.load(folder / "rowids.npy", allow_pickle=False)
            index = cls(d_in)
            if source is not None and len(rowids):
                index._base = MappedRows(folder / "vectors.npy", d_in, checks, lambda p: source.vectors_of(rowids[p]))
                matrix = index._base.matrix
            else:
                matrix = index._tail = np.load(folder / "vectors.npy", allow_pickle=False)
            if matrix.dtype != np.float32 or rowids.dtype != np.int64 or matrix.shape != (len(rowids), d_in):
                return None
            if not len(rowids) == len(checks) == facts["count"] or np.any(rowids[1:] <= rowids[:-1]):
                return None
            index._rowids, index._alive, index._used = rowids, np.ones(len(rowids), np.bool_), len(rowids)
            index._longest, index._saved = float(facts["longest"]), facts["generation"]
            return index

        expected, later = {"generation": generation, "d_in": d_in}, () if source is None else ("vectors.npy",)
        return read_cache(folder, "cache.json", ("vectors.npy", "checks.npy", "rowids.npy"), expected, read, later)

    def _view(self, allowed: ArrayLike | None = None) -> tuple[Rows, IntArray, IntArray | None]:
        """The vectors, the rowids to choose from, and where they stand (None: row i is rowid i)."""
        with self._lock:
            rows, rowids = self._rows(), self._rowids[: self._used]
            alive = self._alive[: self._used] if self._dead else None
        if allowed is not None:
            positions = _places(rowids, ascending(check_rowids(allowed)))
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
        places = _places(known, wanted)
        places = places[alive[places]]
        if len(places) < len(wanted):
            missing = np.setdiff1d(wanted, known[places])
            raise DataError(f"rowid {missing[0]} is not in the index")
        return rows, places

    @property
    def _first(self) -> int:
        """Where the tail begins: how many rows the base has."""
        return 0 if self._base is None else len(self._base)

    def _rows(self) -> Rows:
        return Rows(self._base, self._tail[: self._used - self._first])

    def _live(self) -> tuple[Rows, IntArray, IntArray]:
        """The vectors, the rowids that were not removed, and where they stand."""
        positions = np.flatnonzero(self._alive[: self._used])
        return self._rows(), self._rowids[positions], positions

    def _replace(self, matrix: FloatArray, rowids: IntArray) -> None:
        self._base, self._tail = None, matrix
        self._rowids, self._alive, self._used, self._dead = rowids, np.ones(len(rowids), np.bool_), len(rowids), 0

    def _grow(self, capacity: int) -> None:
        """Room for so many rows in all; the base keeps its own."""
        tail = np.empty((capacity - self._first, self.d_in), np.float32)
        rowids, alive = np.empty(capacity, np.int64), np.zeros(capacity, np.bool_)
        old, used = self._rows().tail, slice(0, self._used)
        tail[: len(old)], rowids[used], alive[used] = old, self._rowids[used], self._alive[used]
        self._tail, self._rowids, self._alive = tail, rowids, alive


def best(rowids: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The `k` best of a few candidates, best first, equal scores by ascending rowid."""
    order = np.lexsort((rowids, -scores))[:k]
    return rowids[order], scores[order]


def row_scores(rows: Rows, positions: IntArray, query: FloatArray) -> FloatArray:
    """Inner products of some rows with the query, each computed from its row alone, in float64.

    `einsum` adds up every row in the same order however many there are (measured for 1 to 5,000 rows, widths 1 to 768,
    aligned and not); matrix products do not.
    """
    wide, scores = query.astype(np.float64), np.empty(len(positions), np.float32)
    for part, some in rows.blocks(positions):
        scores[part] = np.einsum("ij,j->i", some.astype(np.float64), wide)
    return scores


def check_query(query: ArrayLike, d_in: int) -> FloatArray:
    """Check a query vector and return it as contiguous float32, shape (d_in,)."""
    given = np.asarray(query)
    if given.shape != (d_in,):
        raise DataError(f"the query has shape {given.shape}: expected ({d_in},)")
    if given.dtype == np.float32 and given.flags.c_contiguous:
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is named below
            if float(given @ given) <= _MAX_LENGTH**2:
                return given
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


def _approximate(rows: Rows, positions: IntArray | None, query: FloatArray) -> FloatArray:
    if positions is None or len(positions) >= _GATHER_BELOW * len(rows):
        scores = rows.product(query)
        return scores if positions is None else scores[positions]
    scores = np.empty(len(positions), np.float32)
    for part, some in rows.blocks(positions):
        scores[part] = some @ query
    return scores
