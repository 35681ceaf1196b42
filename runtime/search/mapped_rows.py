"""Matrix rows in two parts: a mapped file whose rows are verified when first used, and newer rows in memory."""

from __future__ import annotations

import io
import logging
import os
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, IntArray

logger = logging.getLogger(__name__)

Checks = NDArray[np.uint32]
BLOCK = 4096
"""Rows that are copied at a time."""


class MappedRows:
    """A matrix that stays in its file: opening reads nothing, and a search reads only the rows that it compares.

    A damaged row is replaced by `repair`, which returns rows (m, d_in) at positions (m,). The file and the checksums,
    shape (n,), are from `write_rows`, n > 0; OSError and ValueError are raised if the file has another shape.

    A cache is only ever replaced by rename, which leaves a mapped file as it is. If another program writes into the
    file or cuts it, as ``rsync --inplace`` does, its time or size changes: that is compared before every use, 1 us, and
    all rows are then taken from `repair`. A file that is cut during a use ends the process (SIGBUS).
    """

    def __init__(self, path: Path, d_in: int, checks: Checks, repair: Callable[[IntArray], FloatArray]) -> None:
        header = _header(len(checks), d_in)
        # The header is compared as bytes, because NumPy parses it as Python code, which raises any error if damaged.
        with path.open("rb") as file:
            self._stamp = stamp_of(file.fileno())
            if file.read(len(header)) != header or file.seek(0, os.SEEK_END) != len(header) + 4 * len(checks) * d_in:
                raise ValueError(f"it does not hold {len(checks)} rows of {d_in} numbers")
            mapped = np.memmap(file, "<f4", mode="r", offset=len(header), shape=(len(checks), d_in))
            # Open as long as this object exists: another file may have the path by then.
            self._file = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._file)
        self.matrix: FloatArray = np.asarray(mapped)
        """All rows, shape (n, d_in), unverified until `all_rows` is called."""
        self.repaired = False
        """Whether a damaged row was found."""
        self._left = False  # whether the rows are in memory, because the file was written to
        self._path, self._checks, self._repair = path, checks, repair
        self._verified = np.zeros(len(checks), np.bool_)

    def __len__(self) -> int:
        return len(self._checks)

    def take(self, positions: IntArray) -> FloatArray:
        """Return copies of rows, shape (m, d_in)."""
        self._check_file()
        rows: FloatArray = self.matrix[positions]
        if self._verified[positions].all():
            return rows
        new = np.flatnonzero(~self._verified[positions])
        right = np.array([check_of(rows[i]) for i in new.tolist()], np.uint32) == self._checks[positions[new]]
        self._verified[positions[new[right]]] = True
        if not right.all():
            rows[new[~right]] = self._repaired(positions[new[~right]])
        return rows

    def all_rows(self) -> FloatArray:
        """Return all rows; the first call reads and verifies them."""
        self._check_file()
        if not self._verified.all():
            wrong = [
                start + i
                for start in range(0, len(self), BLOCK)
                for i, row in enumerate(self.matrix[start : start + BLOCK])
                if check_of(row) != self._checks[start + i]
            ]
            if wrong:
                matrix = np.array(self.matrix)
                matrix[wrong] = self._repaired(np.array(wrong, np.int64))
                self.matrix = matrix
            self._verified[:] = True
        return self.matrix

    def _check_file(self) -> None:
        """Leave the file if another program has written to it since it was opened."""
        if not self._left and stamp_of(self._file) != self._stamp:
            self.matrix = self._repaired(np.arange(len(self)))
            self._verified[:] = self._left = True

    def _repaired(self, positions: IntArray) -> FloatArray:
        if not self.repaired:
            logger.warning("the cache %s is damaged: the documents themselves are read in its place", self._path)
        self.repaired = True
        return self._repair(positions)


def stamp_of(file: int) -> tuple[int, int]:
    """Return what changes when an open file is written to."""
    found = os.fstat(file)
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class Rows:
    """A matrix in two parts, which searches may hold while rows are appended."""

    base: MappedRows | None
    """The first rows."""
    tail: FloatArray
    """The remaining rows, shape (m, d_in)."""

    def __len__(self) -> int:
        return len(self.tail) + (len(self.base) if self.base else 0)

    def take(self, positions: IntArray) -> FloatArray:
        """Return copies of rows, shape (m, d_in)."""
        if self.base is None:
            return self.tail[positions]
        first = len(self.base)
        inside = positions < first
        if inside.all():
            return self.base.take(positions)
        rows = np.empty((len(positions), self.tail.shape[1]), np.float32)
        rows[inside], rows[~inside] = self.base.take(positions[inside]), self.tail[positions[~inside] - first]
        return rows

    def product(self, query: FloatArray) -> FloatArray:
        """Return inner products of all rows with a query, shape (n,), with the rounding errors of BLAS."""
        scores: FloatArray = self.tail @ query
        return scores if self.base is None else np.concatenate([self.base.all_rows() @ query, scores])

    def blocks(self, positions: IntArray) -> Iterator[tuple[slice, FloatArray]]:
        """Yield copies of rows, at most `BLOCK` at a time, each with its slice of `positions`."""
        for start in range(0, len(positions), BLOCK):
            part = slice(start, start + BLOCK)
            yield part, self.take(positions[part])


def check_of(row: FloatArray) -> int:
    """Return the checksum of a contiguous row."""
    return zlib.crc32(row.data)


def _header(count: int, d_in: int) -> bytes:
    """Return the header of an .npy file of this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (count, d_in)})
    return file.getvalue()


def write_rows(path: Path, rows: Rows, positions: IntArray) -> Checks:
    """Write rows as an .npy file without holding them all in memory, and return their checksums, or raise OSError."""
    checks = np.empty(len(positions), np.uint32)
    with path.open("wb") as file:
        file.write(_header(len(positions), rows.tail.shape[1]))
        for part, some in rows.blocks(positions):
            file.write(np.ascontiguousarray(some, "<f4").data)
            checks[part] = [check_of(row) for row in some]
    return checks
