"""`TokenParts`: what each token of a text adds to its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...arrays import FloatArray, IntArray


class TokenParts(NamedTuple):
    """The tokens of a text that an embedder read, special tokens and those of a prompt too."""

    vectors: FloatArray
    """What each token adds, shape (n, d_in), float32: they add up to the embedding of the text, of length 1."""
    spans: IntArray
    """Where each stands in the text, first and last character plus one, shape (n, 2); two equal numbers for a token
    that stands for nothing of it."""


def parts_of_mean(tokens: FloatArray) -> FloatArray:
    """Return token vectors, shape (n, d), as parts of their mean after its division by its length, float32."""
    total = tokens.sum(0, np.float64)
    length = float(np.linalg.norm(total))
    made: FloatArray = (tokens / max(length, 1e-12)).astype(np.float32)
    return made


def spans_in(text: str, offsets: Sequence[Any], before: int) -> IntArray:
    """Return the spans of tokens in a text, shape (n, 2); two equal numbers for a token that is not of the text.

    Args:
        text: The document.
        offsets: Pairs of characters of what was read.
        before: Characters that stood in front of the text in what was read; negative where blanks were left out.
    """
    spans = np.array(offsets, np.int64).reshape(-1, 2) - before
    return np.clip(spans, 0, len(text))
