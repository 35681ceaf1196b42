"""Queries and embeddings that come from outside, checked at the edge."""

from __future__ import annotations

import numpy as np

from ...arrays import FloatArray
from ...errors import DataError
from ..bundle.bundle import Bundle

UNIT = 1e-3
"""How much the length of a unit vector may differ from 1."""


def query_vector(query: str | FloatArray, bundle: Bundle) -> FloatArray:
    """The unit vector of a query, shape (d_in,), float32.

    Raises:
        DataError: Not a text or a unit vector of length d_in.
    """
    if isinstance(query, str):
        return bundle.embed_query(query)
    if not isinstance(query, np.ndarray) or query.ndim != 1:
        raise DataError(f"the query is {type(query).__name__}: give a text or a unit vector of length {bundle.d_in}")
    if query.dtype == np.float32 and query.shape == (bundle.d_in,) and query.flags.c_contiguous:
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number, or near the limit, is looked at below
            if abs(float(np.sqrt(query @ query)) - 1) <= UNIT / 2:
                return query
    row: FloatArray = check_unit_rows(query[None], "the query", bundle.d_in)[0]
    return row


def check_unit_rows(rows: FloatArray, name: str, d_in: int) -> FloatArray:
    """Unit rows as contiguous float32, shape (n, d_in).

    Raises:
        DataError: Another shape, or a row whose length is not 1.
    """
    array = np.ascontiguousarray(rows, np.float32)
    if array.ndim != 2 or array.shape[1] != d_in:
        raise DataError(f"{name} has shape {np.shape(rows)}: this index takes rows of length {d_in}")
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(array, axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))  # also true for NaN
    if len(bad):
        raise DataError(
            f"{name}: row {bad[0]} has length {lengths[bad[0]]:.4g}, expected 1: divide rows by their length"
        )
    return array
