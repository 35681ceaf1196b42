"""Explanations in words: the score of a document as a sum over its words, per condition and per feature.

A score that is a product of two vectors is linear in the document's, so each word has its part. A condition's value at
z is divided as `explain_terms` does: z is a sum over words, and its value, less that of the average document, is
divided in proportion (`Term.slope`). What a condition has of the words of its phrase is given to these words in the
text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray
from ...bundle.bundle import Bundle
from ..conditions.terms import Term
from ..explain import Explanation, amounts_of_terms
from ..steered_query import SteeredQuery
from .parts import Sentence, Words
from .spans import sentences_of
from .word_vectors import DIFFERENT, WordReader, WordVectors

Said: TypeAlias = Callable[[Term, Sequence[str]], WideArray]
"""From a condition and the words of a text to the share of its evidence that each has, shape (n,); they add up to 1."""


class _Scorer:
    """What a query makes of a vector: linear in it, once the presences of a document are known."""

    def __init__(self, query: SteeredQuery, bundle: Bundle) -> None:
        self.terms = query.terms
        if self.terms:
            self.latents, self.amounts, _ = amounts_of_terms(query, bundle.atoms)  # (m,), (T, m)
            self.directions = np.stack([term.direction for term in self.terms])  # (T, d_in)
            self.mean: WideArray = self.terms[0].mean
        else:
            change = query.change
            still = change.empty and not query.removed
            moved = query.original.astype(np.float64) if still else query.moved(bundle.atoms)
            length = 1.0 if still else float(np.linalg.norm(moved))
            self.latents, self.amounts = change.latents, (change.after.astype(np.float64) / length)[None]
            self.directions, self.mean = (moved / length)[None], np.zeros(len(moved))
        self.atoms: FloatArray = bundle.atoms[self.latents]  # (m, d_in)
        self.mean_atoms = self.atoms @ self.mean.astype(np.float32)

    def slopes(self, explanation: Explanation) -> WideArray:
        """Return the part of the score for each unit of each product, shape (T,)."""
        found = zip(self.terms, explanation.terms, strict=True)
        return np.array([float(term.slope(np.array(value.presence))) for term, value in found] or [1.0])


def in_words(
    explanations: Sequence[Explanation],
    query: SteeredQuery,
    texts: Sequence[str],
    vectors: FloatArray,
    said: Said,
    reader: WordReader,
    bundle: Bundle,
) -> list[Explanation]:
    """Return explanations with their `words`.

    Args:
        explanations: Of some documents, by `explain_steered`.
        query: The query that they explain.
        texts: Of the documents.
        vectors: Of the documents, shape (n, d_in), as they are stored.
        said: See `Said`.
        reader: Makes the vectors of the words.
        bundle: Has the atoms.
    """
    scorer = _Scorer(query, bundle)
    return [
        replace(explanation, words=_words(scorer, explanation, text, of_words, vector, said))
        for explanation, text, of_words, vector in zip(explanations, texts, reader.of(texts), vectors, strict=True)
    ]


def _words(
    scorer: _Scorer, explanation: Explanation, text: str, of_words: WordVectors, vector: FloatArray, said: Said
) -> Words:
    slopes, shares = scorer.slopes(explanation), of_words.shares[:, None]
    products = of_words.vectors.astype(np.float64) @ scorer.directions.T  # (n, T)
    by_term = slopes * (products - shares * (scorer.directions @ scorer.mean))
    pieces = [text[start:end] for start, end in of_words.spans.tolist()]
    for i, (term, value) in enumerate(zip(scorer.terms, explanation.terms, strict=True)):
        if value.words:
            by_term[:, i] += value.words * said(term, pieces)
    amounts = (slopes @ scorer.amounts).astype(np.float32)  # (m,)
    by_feature = amounts * (of_words.vectors @ scorer.atoms.T - shares.astype(np.float32) * scorer.mean_atoms)
    values: WideArray = by_term.sum(1)
    totals = [value.value for value in explanation.terms] or [explanation.score]
    rests = tuple(float(total - found) for total, found in zip(totals, by_term.sum(0), strict=True))
    return Words(
        text=text,
        exact=of_words.exact and float(np.linalg.norm(of_words.total - vector)) < DIFFERENT,
        spans=of_words.spans,
        values=values,
        by_term=by_term if scorer.terms else by_term[:, :0],
        latents=scorer.latents,
        by_feature=by_feature,
        rest=float(explanation.score - values.sum()),
        rests=rests if scorer.terms else (),
        sentences=_sentences(text, of_words.spans, values),
    )


def _sentences(text: str, spans: IntArray, values: WideArray) -> tuple[Sentence, ...]:
    """Return the sentences that hold a word, with the sum of what their words add."""
    if not len(spans):
        return ()
    bounds = sentences_of(text)
    places = np.searchsorted(bounds[:, 0], spans[:, 0], "right") - 1  # the sentence of each word
    sums, counts = np.bincount(places, values, len(bounds)), np.bincount(places, minlength=len(bounds))
    read = np.flatnonzero(counts).tolist()
    return tuple(
        Sentence(int(bounds[i, 0]), int(bounds[i, 1]), value=float(sums[i]), words=int(counts[i])) for i in read
    )
