"""Rows from outside on their way to unit length: what is wrong with them, and a file that holds what was mended."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import UNIT_TOLERANCE, FloatArray, IntArray, WideArray
from ..block_file import storage_errors
from ..errors import DataError

BLOCK_BYTES = 64 << 20
"""Bytes of rows that are held in memory at a time."""
SHORTEST = 1e-12
"""Length below which a row is called zero: its direction would be that of its rounding errors."""


class Lengths:
    """The lengths of the rows that were seen, and which rows have no direction."""

    def __init__(self) -> None:
        self.rows = 0
        self.shortest, self.longest = np.inf, 0.0
        self.why = ""
        """What is wrong with the first row that has no direction."""
        self._bad: list[IntArray] = []

    @property
    def bad(self) -> IntArray:
        """Return the numbers of the rows that are zero, NaN or infinite."""
        return np.concatenate([np.zeros(0, np.int64), *self._bad])

    @property
    def unit(self) -> bool:
        """Whether every good row has length 1, to `UNIT_TOLERANCE`."""
        return self.longest <= 1 + UNIT_TOLERANCE and self.shortest >= 1 - UNIT_TOLERANCE

    def see(self, rows: NDArray[Any]) -> WideArray:
        """Note the next rows, shape (n, d), and return their lengths, shape (n,); those of bad rows are NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            # Of float64, since the square of a float32 of 1e20 is infinite.
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        good = np.isfinite(lengths) & (lengths > SHORTEST)
        bad = np.flatnonzero(~good)
        if len(bad) and not self.why:
            self.why = _why(rows[bad[0]])
        self._bad.append(self.rows + bad)
        self.rows += len(rows)
        if good.any():
            self.shortest = min(self.shortest, float(lengths[good].min()))
            self.longest = max(self.longest, float(lengths[good].max()))
        return np.where(good, lengths, np.nan)


class UnitRowsFile:
    """A file without a name that takes blocks of rows, divides each row by its length, and is read as one matrix.

    The file lies in a folder of the caller and is gone when the matrix is. Bad rows are kept as NaN.
    """

    def __init__(self, folder: Path) -> None:
        self.lengths = Lengths()
        """Of the rows as they came."""
        self._folder, self._width, self._missing = folder, 0, 0
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, prefix=".vectors.")
        # Also where something fails before the matrix is opened.
        weakref.finalize(self, self._file.close)

    def append(self, rows: NDArray[np.floating[Any]]) -> None:
        """Write rows of any float type, shape (n, d); a StorageError when the disk is full.

        Rows of no width, shape (n, 0), stand for vectors that are missing, before the first that is there.
        """
        if not rows.shape[1]:
            self._missing += len(rows)
            return
        if self._missing:
            missing, self._missing = self._missing, 0
            self.append(np.full((missing, rows.shape[1]), np.nan, np.float32))
        lengths = self.lengths.see(rows)
        unit = np.divide(rows, lengths[:, None]).astype("<f4")
        self._width = rows.shape[1]
        with storage_errors(self._folder, unit.nbytes):
            self._file.write(unit.tobytes())

    def open(self) -> FloatArray:
        """Return the rows that were written, shape (n, d), float32, memory-mapped and read-only."""
        shape = (self.lengths.rows, self._width)
        with storage_errors(self._folder):
            self._file.flush()
            if not self.lengths.rows:
                return np.zeros(shape, np.float32)
            rows = np.memmap(self._file, np.dtype("<f4"), "r", shape=shape)
        # The map keeps the file.
        self._file.close()
        return rows


def blocks(rows: NDArray[Any], order: IntArray | None = None) -> Iterator[NDArray[Any]]:
    """Yield a matrix in blocks of `BLOCK_BYTES`, in another order where one is given."""
    size = max(1, BLOCK_BYTES // max(1, rows.shape[1] * 8))
    for start in range(0, len(rows) if order is None else len(order), size):
        part = slice(start, start + size)
        yield np.asarray(rows[part] if order is None else rows[order[part]])


def check_matrix(rows: NDArray[Any], name: str) -> None:
    """Check that an array may hold vectors.

    Raises:
        DataError: It has another number of dimensions, no floats, or fewer than two rows or columns.
    """
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
        cure = "; turn whole numbers into floats with .astype('float32')" if rows.dtype.kind in "iu" else ""
        raise DataError(f"{name} has shape {rows.shape} and dtype {rows.dtype}: expected (n, width) of floats{cure}")
    if rows.shape[0] < 2 or rows.shape[1] < 2:
        raise DataError(f"{name} has shape {rows.shape}: expected at least 2 rows and 2 columns")


def _why(row: NDArray[Any]) -> str:
    if np.isnan(row).any():
        return "NaN or missing"
    return "infinite" if np.isinf(row).any() else "zero"
