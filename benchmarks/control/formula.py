"""The conjunction as a formula on matrices, which the product is checked against.

``log s(2 (z_q - 3)) + strength log s(2 (z_c - 1))``: z_q and z_c are the similarity of a document to the query and to
the concept, standardised over the searched documents, and s is the logistic function. A document has to be far above
the mean for the query, and somewhat above it for the concept, so that a sum of both is an "and".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from steersearch.arrays import FloatArray

from .method import Method, Search
from .product import DEFAULT, STRENGTHS
from .scoring import Bench, Pairs, Rows, best

QUERY_AT, CONCEPT_AT, STEEPNESS = 3.0, 1.0, 2.0
WORDS = 2.0
"""What a document with all words of the phrase adds to z_c."""
BLOCK = 64


def conjunctions(bench: Bench, directions: FloatArray) -> list[Method]:
    """The formula without and with the words of the phrase.

    Args:
        bench: The task.
        directions: Of the concepts, shape (a, d_in).
    """
    presence = standardised(bench.searched @ directions.T, axis=0).T  # (a, searched)
    with_words = presence + WORDS * word_shares(bench)
    return [
        Method(
            name,
            {f"{strength:g}": _search(bench, rows, strength) for strength in STRENGTHS},
            DEFAULT,
            collateral=True,
        )
        for name, rows in (("formula, phrase", presence), ("formula, phrase and its words", with_words))
    ]


def standardised(similarities: FloatArray, axis: int) -> FloatArray:
    """Each minus its mean, divided by its standard deviation."""
    rows: FloatArray = (similarities - similarities.mean(axis, keepdims=True)) / similarities.std(axis, keepdims=True)
    return rows


def log_sigmoid(x: FloatArray) -> FloatArray:
    """``log(1 / (1 + exp(-x)))`` without overflow."""
    found: FloatArray = -np.logaddexp(0, -x)
    return found


def word_shares(bench: Bench) -> NDArray[np.float32]:
    """Share of the words of each phrase, weighted by idf, that a searched document has; shape (a, searched)."""
    texts = [_words(text) for text, on in zip(bench.task.texts, bench.task.seen, strict=True) if not on]
    count = Counter(word for words in texts for word in words)
    shares = np.zeros((len(bench.names), len(texts)), np.float32)
    for row, name in enumerate(bench.names):
        idf = {word: np.log(1 + (len(texts) - count[word] + 0.5) / (count[word] + 0.5)) for word in _words(name)}
        total = sum(idf.values()) or 1.0
        shares[row] = [sum(idf[word] for word in idf if word in words) / total for words in texts]
    return shares


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"\w+", text.lower())}


def _search(bench: Bench, presence: FloatArray, strength: float) -> Search:
    return partial(_top, bench, strength * log_sigmoid(STEEPNESS * (presence - CONCEPT_AT)))


def _top(bench: Bench, concept: FloatArray, pairs: Pairs) -> Rows:
    found: Sequence[Rows] = [
        best(
            log_sigmoid(
                STEEPNESS * (standardised(bench.queries[pairs.query[at]] @ bench.searched.T, axis=1) - QUERY_AT)
            )
            + concept[pairs.attribute[at]]
        )
        for at in (slice(start, start + BLOCK) for start in range(0, len(pairs.query), BLOCK))
    ]
    return np.concatenate(found) if found else np.zeros((0, 10), np.int64)
