"""Array types, and rows of unit length: the only definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
WideArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def unit_rows(x: FloatArray) -> FloatArray:
    """Every row divided by its length, shape (n, d); a row of zeros stays one."""
    lengths: FloatArray = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, np.maximum(lengths, 1e-12), dtype=np.float32)
