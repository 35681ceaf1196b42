"""Ranking by the terms of a query: candidates of a view, scored by every condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ...arrays import IntArray, WideArray
from ..steering.conditions.terms import Term
from ..steering.conditions.terms import scores as scores_of
from ..steering.documents import Words
from .dense import DenseView
from .lexical.contained import ContainedView
from .lexical.word_sets import WordSets, spread_over
from .query import Query, RankedRows, best_rows
from .view import Source, View

DEPTH = 200
"""Candidates of a search, or four times the results."""
HALF = 0.7
"""Share of the best similarity, in a view other than dense, at which a document is as likely about the query as not."""


def search_terms(view: View, source: Source, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
    """Return the best documents by the sum of the query's terms, of `allowed` if that is given.

    Candidates are the documents near `SteeredQuery.vector`, and in a view other than dense also its best for the query
    alone. In the dense view the query's condition compares embeddings; in others the view's own similarity stands for
    it, relative to the best. What a document has of a concept is the same in all.
    """
    steered, alone = query.steered, query.alone
    dense = cast(DenseView, source.view("dense"))
    avoids = any(term.weight < 0 for term in steered.terms)
    depth = max(DEPTH, 4 * k) * (2 if avoids else 1)
    near = dense.index.candidates(steered.vector, depth, allowed)
    if view is dense:
        # Those that only decided which are the nearest are scored with them: a copy without them would take longer.
        shares = word_shares(source, steered.terms, near.rowids)
        scores = scores_of(steered.terms, near.vectors, shares).astype(np.float32)
        return best_rows(near.rowids[near.nearest], scores[near.nearest], k)
    best, scores = view.search(alone, depth, allowed)
    top = float(scores[0]) if len(scores) else 0.0
    rows = np.union1d(near.rowids[near.nearest], best)
    found, scores = view.search(alone, len(rows), rows)
    order = np.argsort(found, kind="stable")
    rows, similar = found[order], scores[order].astype(np.float64) / max(HALF * top, 1e-12)
    shares = word_shares(source, steered.terms, rows)
    return best_rows(
        rows, scores_of(steered.terms, dense.index.vectors_of(rows), shares, similar).astype(np.float32), k
    )


def word_shares(source: Source, terms: Sequence[Term], rows: IntArray) -> list[WideArray]:
    """Return the share of each term's words that documents have, shape (n,) each."""
    if not any(term.words and term.word_weight for term in terms):
        return [np.zeros(len(rows)) for _ in terms]
    index = cast(ContainedView, source.view("contained")).index
    return index.shares_of(rows, [_words_of(index, term) for term in terms])


def said_by(source: Source, term: Term, pieces: Sequence[str]) -> WideArray:
    """Return how a condition's evidence in words is spread over the words of a text, shape (n,); see `spread_over`."""
    index = cast(ContainedView, source.view("contained")).index
    return spread_over(pieces, _words_of(index, term))


def _words_of(index: WordSets, term: Term) -> Words:
    if not (term.words and term.word_weight):
        return index.rarity("")
    return index.rarity(term.words) if term.said is None else term.said
