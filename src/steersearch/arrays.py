"""Array types, rows of unit length, and the checks of matrices that come from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError

FloatArray = NDArray[np.float32]
WideArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNIT_TOLERANCE = 1e-3
"""How much the length of a unit row may differ from 1."""
_BLOCK = 65_536
"""Rows that `first_not_unit` holds in memory at a time."""


def unit_rows(x: FloatArray) -> FloatArray:
    """Divide every row by its length, shape (n, d). A row of zeros stays zero."""
    lengths: FloatArray = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, np.maximum(lengths, 1e-12), dtype=np.float32)


def check_unit_rows(rows: ArrayLike, name: str, width: int) -> FloatArray:
    """Check that every row has length 1, and return the rows as contiguous float32, shape (n, width).

    Raises:
        DataError: The shape is another, or a row has another length. `name` and the first such row are named.
    """
    given = np.asarray(rows)
    if given.ndim != 2 or given.shape[1] != width:
        raise DataError(f"{name} has shape {given.shape}: this index takes rows of length {width}")
    if wrong := first_not_unit(given):
        raise DataError(f"{name}: row {wrong[0]} has length {wrong[1]:.4g}, expected 1: divide rows by their length")
    return np.ascontiguousarray(given, np.float32)


def first_not_unit(rows: NDArray[Any], tolerance: float = UNIT_TOLERANCE) -> tuple[int, float] | None:
    """Return (row, its length) of the first row whose length is not 1, NaN and infinity included; None without one.

    The rows, shape (n, d), may be memory-mapped: they are read block by block.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), _BLOCK):
            lengths = np.linalg.norm(np.asarray(rows[start : start + _BLOCK], np.float32), axis=1)
            bad = np.flatnonzero(~(np.abs(lengths - 1) <= tolerance))  # also true for NaN
            if len(bad):
                return start + int(bad[0]), float(lengths[bad[0]])
    return None


def check_finite_rows(
    rows: ArrayLike,
    name: str,
    width: int,
    *,
    n: int | None = None,
    has: str = "has",
    expected: str | None = None,
    not_finite: str | None = None,
) -> FloatArray:
    """Check that every number is finite in float32, and return the rows as contiguous float32, shape (n, width).

    `has` is the verb of `name` in the messages. `expected` ends the message about a wrong shape, and `not_finite`
    replaces the message about a number that is not finite, which names the first one.

    Raises:
        DataError: The shape is another, the values are not numbers, or one is not finite in float32.
    """
    given = np.asarray(rows)
    if given.ndim != 2 or given.shape[1] != width or (n is not None and len(given) != n):
        wanted = expected or f"expected ({'n' if n is None else n}, {width})"
        raise DataError(f"{name} {has} shape {given.shape}: {wanted}")
    if given.dtype.kind not in "fiu":
        raise DataError(f"{name} {has} dtype {given.dtype}: expected float32")
    # A number too large for float32 becomes inf, which is refused below.
    with np.errstate(over="ignore"):
        checked = np.ascontiguousarray(given, dtype="<f4")
    finite = np.isfinite(checked).all(axis=1)
    if not finite.all():
        bad = int(np.argmin(finite))
        value = given[bad][~np.isfinite(checked[bad])][0]
        raise DataError(not_finite or f"{name}[{bad}] holds {value}: every number must be finite in float32")
    return checked


def is_unit(row: FloatArray, d_in: int) -> bool:
    """Return whether a vector is contiguous float32 of shape (d_in,) and clearly of length 1, a quick test."""
    if row.dtype != np.float32 or row.shape != (d_in,) or not row.flags.c_contiguous:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return abs(float(np.sqrt(row @ row)) - 1) <= UNIT_TOLERANCE / 2
