"""Array types, rows of unit length, and the checks of matrices that come from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError
from .sequences import as_list, is_masked, unmasked

FloatArray = NDArray[np.float32]
WideArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNIT_TOLERANCE = 1e-3
"""How much the length of a unit row may differ from 1 to be taken."""
EXACT_TOLERANCE = 2e-6
"""How much the length of a row may differ from 1 after a division by it in float32. Other rows are divided again."""
_BLOCK = 65_536
"""Rows that `first_not_unit` holds in memory at a time."""


def distinct(values: IntArray) -> IntArray:
    """Return the different numbers of an array, ascending; `numpy.unique` does it too, and loads `numpy.ma` for it."""
    ordered = np.sort(values, axis=None)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def unit_rows(x: FloatArray) -> FloatArray:
    """Divide every row by its length, shape (n, d). A row of zeros stays zero."""
    lengths: FloatArray = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, np.maximum(lengths, 1e-12), dtype=np.float32)


def as_numbers(values: object, name: str, has: str = "has") -> NDArray[Any]:
    """Return numbers as an array, by position; without a copy if they are one.

    Args:
        values: An array, a table of numbers, or rows: a list, a column, a generator of lists or arrays.
        name: Name of the argument, for messages.
        has: Its verb.

    Raises:
        DataError: They are no real numbers, some are masked, the rows differ in length, or they have no order.
    """
    values = unmasked(values, name)
    shape = getattr(values, "shape", None)
    if not isinstance(values, np.ndarray) and not (isinstance(shape, tuple) and len(shape) > 1):
        values = as_list(values, name)
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        values = list(values)
    if isinstance(values, list):
        values = [unmasked(row, f"{name}[{i}]") for i, row in enumerate(values)]
    try:
        given = np.asarray(values)
        # Objects are numbers of other libraries; NumPy would parse strings among them.
        if given.dtype == object and not any(isinstance(value, str | bytes) for value in given.flat):
            given = given.astype(np.float64)
    # Whatever the library of a tensor raises, rows of several lengths, an integer beyond a float.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name} cannot be read as numbers ({reason:.120}): give an array of shape (n, width)"
        ) from error
    if given.dtype.kind not in "fiu":
        raise DataError(f"{name} {has} dtype {given.dtype}: expected float32")
    return given


def check_unit_rows(rows: ArrayLike, name: str, width: int) -> FloatArray:
    """Check that every row has length 1, and return the rows as contiguous float32, shape (n, width).

    A row whose length differs by up to 0.001, as with rounded numbers, is divided by it, so that no score exceeds 1.

    Raises:
        DataError: The shape is another, or a row has another length, or they are no numbers. `name` and the first such
            row are named.
    """
    given = as_numbers(rows, name)
    if given.ndim != 2 or given.shape[1] != width:
        raise DataError(f"{name} has shape {given.shape}: this index takes rows of length {width}")
    if wrong := first_not_unit(given):
        raise DataError(f"{name}: row {wrong[0]} has length {wrong[1]:.4g}, expected 1: divide rows by their length")
    checked = np.ascontiguousarray(given, np.float32)
    return checked if first_not_unit(checked, EXACT_TOLERANCE) is None else _exact(checked)


def _exact(rows: FloatArray) -> FloatArray:
    """Divide those rows by their length that are not exactly of length 1; the others keep every bit."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(np.abs(lengths - 1) > EXACT_TOLERANCE, rows / lengths, rows).astype(np.float32)


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
    given = as_numbers(rows, name, has)
    if given.ndim != 2 or given.shape[1] != width or (n is not None and len(given) != n):
        wanted = expected or f"expected ({'n' if n is None else n}, {width})"
        raise DataError(f"{name} {has} shape {given.shape}: {wanted}")
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
    """Return whether a vector is contiguous float32 of shape (d_in,) and surely of length 1, a quick test."""
    if row.dtype != np.float32 or row.shape != (d_in,) or not row.flags.c_contiguous or is_masked(row):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return abs(float(np.sqrt(row @ row)) - 1) <= EXACT_TOLERANCE


def positions_of(ascending: IntArray, wanted: IntArray) -> IntArray:
    """Return where `wanted` stand among distinct ascending numbers, in their order, without missing ones."""
    count = len(ascending)
    if count and ascending[-1] - ascending[0] == count - 1:  # no gaps: a third of the time of a search
        positions = wanted - ascending[0]
        found: IntArray = positions[(positions >= 0) & (positions < count)]
        return found
    positions = np.searchsorted(ascending, wanted)
    inside = positions < count
    positions, wanted = positions[inside], wanted[inside]
    found = positions[ascending[positions] == wanted]
    return found
