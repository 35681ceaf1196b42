"""`Term`: one condition on documents, as a part of their score. Pure NumPy.

A sum of similarities is an "or": a document that is very much about one thing needs nothing of the other. Here each
thing that a document should be about is a condition of its own, which costs little once it is met; the score is the sum
of the conditions, the logarithm of an "and". A condition on a concept costs at most ``-log FLOOR``, so that among
documents that have nothing of it the query alone decides.

References:
    Fagin 1996, "Combining Fuzzy Information from Multiple Systems", PODS (conjunctions of graded conditions);
    Sundararajan, Taly, Yan 2017, "Axiomatic Attribution for Deep Networks", ICML (parts that add up).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray
from ..concepts import Concept
from ..documents import Words

SLOPE, CONCEPT_SLOPE = 2.0, 3.0
"""Steepness of the query's condition and of those on what documents should not be about, and of those on concepts."""
POWER = 2 / 3
"""Exponent of a strength; see `factor_of`."""
FLOOR = 0.12
"""How far a document without a concept is believed to be about it nevertheless: a direction is no certainty."""
ABOUT, PRESENT, AVOIDED, ABSENT = 1.2, 0.6, 1.3, 0.35
"""Where a condition is half met, as a share of how much the most similar hundredth of the documents stands out: for the
query, for a concept, which more documents are about, for one of strength -1, which only costs documents whose subject
it is (half of it for -2: the more negative, the less is tolerated), and for one that is excluded."""
EXCLUDED = 4.0
"""Weight of the condition that a document is not about something excluded."""
QUERY_WORDS, CONCEPT_WORDS, AVOIDED_WORDS, EXCLUDED_WORDS = 2.0, 1.0, 1.0, 2.0
"""Standard deviations that a document with all words of the query, or of a phrase, gains, rare words counting most."""
ENOUGH = 0.7
"""Share of the query's words, as they weigh, that counts like all of them: a text need not repeat a question."""


@dataclass(frozen=True)
class Term:
    """A condition: documents should be about something, or, with a negative weight, should not.

    ``z = direction . (d - mean) + word_weight * share of the words in the document``. The query's is
    ``log sigmoid(SLOPE (z - threshold))``, a concept's ``weight * log(FLOOR + (1 - FLOOR) sigmoid(...))``, and of one
    that documents should not be about ``|weight| * log sigmoid(-...)``.
    """

    name: str
    """`query`, or the name of the concept."""
    weight: float
    """Factor of the condition, `factor_of` its strength: 1 for the query; negative for what should not be there."""
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
    said: Words | None = None
    """Its words with their weights, where these are not those of their rarity."""
    offset: float = field(init=False)
    """``-direction . mean``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", -float(self.direction @ self.mean))

    def presence(self, rows: FloatArray | WideArray, words: WideArray | float = 0.0) -> WideArray:
        """Return z of documents.

        Each is computed from its own row in one order of summation, so that it is the same to the last bit beside any
        others.

        Args:
            rows: Their vectors, shape (n, d_in).
            words: The share of the words that each has, shape (n,).
        """
        z: WideArray = np.einsum("ij,j->i", np.asarray(rows, np.float64), self.direction) + self.offset
        return z + self.word_weight * np.asarray(words, np.float64)

    @property
    def wanted(self) -> bool:
        """Whether documents should be about its concept."""
        return self.concept is not None and self.weight > 0

    def met(self, z: WideArray) -> WideArray:
        """Return how far the condition is met, 0 to 1."""
        made: WideArray = np.exp(-np.logaddexp(0.0, self._steepness * (self.threshold - z)))
        return made

    def value(self, z: WideArray | float) -> WideArray:
        """Return the term's part of the score, at most 0."""
        z = np.asarray(z, np.float64)
        made: WideArray
        if self.wanted:
            made = self.weight * np.log(FLOOR + (1 - FLOOR) * self.met(z))
        else:
            made = -abs(self.weight) * np.logaddexp(0.0, self._steepness * (self.threshold - z))
        return made

    @property
    def _steepness(self) -> float:
        if self.wanted:
            return CONCEPT_SLOPE
        return SLOPE if self.weight > 0 else -SLOPE

    def slope(self, z: WideArray) -> WideArray:
        """Return ``(value(z) - value(0)) / z``, the part of the score for each standard deviation; at 0 the derivative.

        Multiplied by the parts of z it gives parts of the score that add up: integrated gradients from the average
        document.
        """
        near = np.abs(z) < 1e-9
        z = np.where(near, 1e-6, z)
        made: WideArray = (self.value(z) - self.value(0.0)) / z
        return made


def factor_of(strength: float) -> float:
    """Return the factor of a condition: half the strength is .63 of it, twice the strength 1.59 times it.

    So half and twice the default both do nearly as well as it, and large strengths differ in what they do.
    """
    return math.copysign(abs(strength) ** POWER, strength)


def presences(
    terms: Sequence[Term], rows: FloatArray | WideArray, shares: Sequence[WideArray]
) -> tuple[list[WideArray], list[WideArray]]:
    """Return z of documents for each term, and the shares of words that count in it.

    Words of the query count where a document is about the concepts: they tell apart the documents that are, and those
    that are about none keep the order of the query alone.

    Args:
        terms: The query's own first.
        rows: Vectors of the documents, shape (n, d_in).
        shares: For each term the share of its words that documents have, shape (n,).
    """
    counted = list(shares)
    found = [term.presence(rows, share) for term, share in zip(terms[1:], shares[1:], strict=True)]
    met = [term.met(z) for term, z in zip(terms[1:], found, strict=True) if term.wanted]
    counted[0] = np.minimum(shares[0] / ENOUGH, 1.0)
    if met:
        counted[0] = counted[0] * np.min(met, axis=0)
    return [terms[0].presence(rows, counted[0]), *found], counted


def scores(
    terms: Sequence[Term], rows: FloatArray | WideArray, shares: Sequence[WideArray], similar: WideArray | None = None
) -> WideArray:
    """Return the scores of documents, the sum of all conditions; arguments as in `presences`.

    `similar` stands for similarity to the query where that is another than the vectors', 1 where the query's condition
    is half met, shape (n,).
    """
    found, counted = presences(terms, rows, shares)
    if similar is not None:
        found[0] = terms[0].threshold * similar + terms[0].word_weight * counted[0]
    total = np.zeros(len(rows))
    for term, z in zip(terms, found, strict=True):
        total += term.value(z)
    return total
