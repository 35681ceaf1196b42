"""The documents that concepts are resolved against: those of an index or of another engine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, IntArray, WideArray

Words: TypeAlias = tuple[NDArray[np.uint32], WideArray]
"""Numbers of words, ascending, and their weights, shape (m,) each."""


class Documents:
    """An empty collection; indexes and engines override the methods that they support."""

    @property
    def generation(self) -> int | None:
        """Number of changes to the documents; None if unknown, so that nothing is cached."""
        return None

    def reading(self) -> AbstractContextManager[object]:
        """Show all that is read inside ``with`` one state of the documents, where they can."""
        return nullcontext()

    def vector_of(self, id: str) -> FloatArray | None:
        """Return the vector of a document, unit length, shape (d_in,); None for an unknown id."""
        return None

    def sample_vectors(self, limit: int) -> FloatArray | None:
        """Return vectors of an even sample of the documents, (n, d_in), n <= limit; None without documents."""
        return None

    def sample_codes(self, limit: int) -> tuple[IntArray, FloatArray]:
        """Return codes of an even sample of the documents: latents and activations, (n, k) each, n <= limit."""
        return np.zeros((0, 1), np.int64), np.zeros((0, 1), np.float32)

    def relevance(self, text: str, near: IntArray, limit: int) -> Words | None:
        """Return what the words of a text say of what it is about; None where nobody knows.

        Args:
            text: A query.
            near: Places in the sample that `sample_vectors(limit)` returns of the documents nearest to it.
            limit: Of the sample.
        """
        return None

    def nearest(self, rows: FloatArray) -> FloatArray:
        """Return the cosine of each unit row (n, d_in) to its nearest document, shape (n,); empty without documents."""
        return np.zeros(0, np.float32)
