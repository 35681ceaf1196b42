"""Vectors in rows: those of a mapped file, compared with their checksums when they are touched, and newer ones."""

from __future__ import annotations

import io
import logging
import os
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
    """A matrix that stays in its file: opening it reads nothing, and a search reads the rows that it compares.

    A row that is not what was written is taken from `mend` in its place, however often it is touched. What is altered
    after its row was compared, while the file is mapped, is not noticed.

    Args:
        path: What `write_rows` wrote, shape (n, d_in), n > 0.
        d_in: Width of the rows.
        checks: What it returned, shape (n,).
        mend: Positions (m,) -> what their rows should be, (m, d_in).

    Raises:
        OSError, ValueError: Not such a file.
    """

    def __init__(self, path: Path, d_in: int, checks: Checks, mend: Callable[[IntArray], FloatArray]) -> None:
        header = _header(len(checks), d_in)
        with path.open(
            "rb"
        ) as file:  # NumPy's reader of headers raises whatever a damaged one makes of Python's parser
            if file.read(len(header)) != header or file.seek(0, os.SEEK_END) != len(header) + 4 * len(checks) * d_in:
                raise ValueError(f"it does not hold {len(checks)} rows of {d_in} numbers")
            mapped = np.memmap(file, "<f4", mode="r", offset=len(header), shape=(len(checks), d_in))
        self.matrix: FloatArray = np.asarray(mapped)
        """All rows, shape (n, d_in), unchecked until `whole`."""
        self.mended = False
        """Whether a damaged row was met."""
        self._path, self._checks, self._mend = path, checks, mend
        self._known = np.zeros(len(checks), np.bool_)

    def __len__(self) -> int:
        return len(self._checks)

    def take(self, positions: IntArray) -> FloatArray:
        """Copies of rows, shape (m, d_in)."""
        rows: FloatArray = self.matrix[positions]
        new = np.flatnonzero(~self._known[positions])
        right = np.array([check_of(rows[i]) for i in new.tolist()], np.uint32) == self._checks[positions[new]]
        self._known[positions[new[right]]] = True
        if not right.all():
            rows[new[~right]] = self._mended(positions[new[~right]])
        return rows

    def whole(self) -> FloatArray:
        """All rows; the first call reads and compares them."""
        if not self._known.all():
            wrong = [
                start + i
                for start in range(0, len(self), BLOCK)
                for i, row in enumerate(self.matrix[start : start + BLOCK])
                if check_of(row) != self._checks[start + i]
            ]
            if wrong:
                matrix = np.array(self.matrix)
                matrix[wrong] = self._mended(np.array(wrong, np.int64))
                self.matrix = matrix
            self._known[:] = True
        return self.matrix

    def _mended(self, positions: IntArray) -> FloatArray:
        if not self.mended:
            logger.warning("the cache %s is damaged: the documents themselves are read in its place", self._path)
        self.mended = True
        return self._mend(positions)


@dataclass(frozen=True)
class Rows:
    """A matrix in two parts, which searches may hold while more is added behind it."""

    base: MappedRows | None
    """The first rows."""
    tail: FloatArray
    """The others, shape (m, d_in)."""

    def __len__(self) -> int:
        return len(self.tail) + (len(self.base) if self.base else 0)

    def take(self, positions: IntArray) -> FloatArray:
        """Copies of rows, shape (m, d_in)."""
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
        """Inner products of all rows with a query, shape (n,), with the rounding errors of BLAS."""
        scores: FloatArray = self.tail @ query
        return scores if self.base is None else np.concatenate([self.base.whole() @ query, scores])

    def blocks(self, positions: IntArray) -> Iterator[tuple[slice, FloatArray]]:
        """Copies of rows, at most `BLOCK` at a time, each with its place among `positions`."""
        for start in range(0, len(positions), BLOCK):
            part = slice(start, start + BLOCK)
            yield part, self.take(positions[part])


def check_of(row: FloatArray) -> int:
    """The checksum of a contiguous row."""
    return zlib.crc32(row.data)


def _header(count: int, d_in: int) -> bytes:
    """How an .npy file of so many rows begins."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (count, d_in)})
    return file.getvalue()


def write_rows(path: Path, rows: Rows, positions: IntArray) -> Checks:
    """Write rows as an .npy file, without holding them all in memory; returns their checksums.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    checks = np.empty(len(positions), np.uint32)
    with path.open("wb") as file:
        file.write(_header(len(positions), rows.tail.shape[1]))
        for part, some in rows.blocks(positions):
            file.write(np.ascontiguousarray(some, "<f4").data)
            checks[part] = [check_of(row) for row in some]
    return checks
