"""Rows in 4 bits a number: `GROUP` neighbours share a scale. Measured by `benchmarks.fast_queries`: no worse than 8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....arrays import FloatArray

GROUP = 32
"""Neighbouring numbers of a row that have one scale."""
_ZERO = 8
"""The nibble that stands for 0; 1 to 15 stand for -7 to 7."""


def width_of(d_in: int) -> tuple[int, int]:
    """Return how many bytes and how many scales a packed row of `d_in` numbers has."""
    groups = -(-d_in // GROUP)
    return groups * GROUP // 2, groups


def pack(rows: FloatArray) -> tuple[NDArray[np.uint8], FloatArray]:
    """Pack rows, shape (n, d_in).

    Returns:
        Bytes, shape (n, width), and the scales of their groups, shape (n, groups), float32; see `width_of`.
    """
    n, d_in = rows.shape
    groups = width_of(d_in)[1]
    padded = np.zeros((n, groups * GROUP), np.float32)
    padded[:, :d_in] = rows
    grouped = padded.reshape(n, groups, GROUP)
    # As they are stored, so that numbers are rounded to what is read again.
    scale = (np.maximum(np.abs(grouped).max(2), 1e-6) / 7).astype(np.float16).astype(np.float32)
    nibbles = np.clip(np.round(grouped / scale[:, :, None]), -7, 7).astype(np.int8).reshape(n, -1) + _ZERO
    return (nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)).astype(np.uint8), scale


def unpack(packed: NDArray[np.uint8], scale: FloatArray, d_in: int) -> FloatArray:
    """Return the rows that `pack` packed, up to rounding, shape (n, d_in), float32."""
    n, width = packed.shape
    rows = np.empty((n, 2 * width), np.float32)
    rows[:, 0::2] = packed & 15
    rows[:, 1::2] = packed >> 4
    rows -= _ZERO
    grouped = rows.reshape(n, -1, GROUP)
    grouped *= scale[:, :, None]
    return grouped.reshape(n, -1)[:, :d_in]
