"""`Term`: one condition on documents, as a part of their score. Pure NumPy.

A sum of similarities is an "or": a document that is very much about one thing needs nothing of the other. Here each
thing that a document should be about is a condition of its own, ``log sigmoid(SLOPE (z - threshold))``, which costs
little once it is met and much while it is not; the score is their sum, the logarithm of an "and".

References:
    Fagin 1996, "Combining Fuzzy Information from Multiple Systems", PODS (conjunctions of graded conditions);
    Sundararajan, Taly, Yan 2017, "Axiomatic Attribution for Deep Networks", ICML (parts that add up).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from .concepts import Concept

SLOPE = 2.0
ABOUT, PRESENT, ABSENT = 1.2, 0.6, 0.6
"""Where a condition is half met, as a share of how much the most similar hundredth of the documents stands out: for the
query, for a concept, which more documents are about, and for what documents should not be about."""
EXCLUDED = 4.0
"""Weight of the condition that a document is not about something excluded."""
QUERY_WORDS, CONCEPT_WORDS, EXCLUDED_WORDS = 1.0, 1.0, 2.0
"""Standard deviations that a document with all words of the query, or of a phrase, gains, rare words counting most."""


@dataclass(frozen=True)
class Term:
    """A condition: documents should be about something, or, with a negative weight, should not.

    ``z = direction . (d - mean) + word_weight * share of the words in the document``.
    """

    name: str
    """`query`, or the name of the concept."""
    weight: float
    """Factor of the condition: 1 for the query; negative if documents should not be about it."""
    direction: WideArray
    """In standard deviations, shape (d_in,)."""
    mean: WideArray
    """Of the documents, shape (d_in,)."""
    threshold: float
    """z at which the condition is half met."""
    latents: IntArray
    """Latents that the direction is made of, shape (m,); none for the query."""
    amounts: WideArray
    """Their coefficients, shape (m,): ``direction = amounts . W_dec[latents] + share * query``."""
    share: float
    """Coefficient of the query's vector."""
    words: str = ""
    """Text whose words are evidence too."""
    word_weight: float = 0.0
    concept: Concept | None = None
    """None for the query."""
    offset: float = field(init=False)
    """``-direction . mean``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", -float(self.direction @ self.mean))

    def presence(self, rows: FloatArray, words: FloatArray | float = 0.0) -> WideArray:
        """Return z of documents.

        Each is computed from its own row in one order of summation, so that it is the same to the last bit beside any
        others.

        Args:
            rows: Their vectors, shape (n, d_in).
            words: The share of the words that each has, shape (n,).
        """
        z: WideArray = np.einsum("ij,j->i", rows.astype(np.float64), self.direction) + self.offset
        return z + self.word_weight * np.asarray(words, np.float64)

    def value(self, z: WideArray | float) -> WideArray:
        """Return the term's part of the score, at most 0."""
        sign = 1.0 if self.weight > 0 else -1.0
        made: WideArray = -abs(self.weight) * np.logaddexp(0.0, -sign * SLOPE * (np.asarray(z) - self.threshold))
        return made

    def slope(self, z: WideArray) -> WideArray:
        """Return ``(value(z) - value(0)) / z``, the part of the score for each standard deviation; at 0 the derivative.

        Multiplied by the parts of z it gives parts of the score that add up: integrated gradients from the average
        document.
        """
        near = np.abs(z) < 1e-9
        z = np.where(near, 1e-6, z)
        made: WideArray = (self.value(z) - self.value(0.0)) / z
        return made
