"""Ranking by the terms of a query: candidates of a view, scored by every condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ...arrays import IntArray, WideArray
from ..steering.terms import Term, presences
from .contained import ContainedView
from .dense import DenseView
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
    rows, _ = dense.index.search(steered.vector, depth, allowed)
    similar = None
    if view is dense:
        rows = np.sort(rows)
    else:
        best, scores = view.search(alone, depth, allowed)
        top = float(scores[0]) if len(scores) else 0.0
        rows = np.union1d(rows, best)
        found, scores = view.search(alone, len(rows), rows)
        order = np.argsort(found, kind="stable")
        rows, similar = found[order], scores[order].astype(np.float64) / max(HALF * top, 1e-12)
    total = scores_of(source, steered.terms, rows, similar)
    return best_rows(rows, total.astype(np.float32), k)


def scores_of(source: Source, terms: Sequence[Term], rows: IntArray, similar: WideArray | None = None) -> WideArray:
    """Return the scores of documents, the sum of all terms.

    Args:
        source: Where the vectors and words of the documents are.
        terms: The query's own first.
        rows: Row ids, ascending, shape (n,).
        similar: What stands for the query's condition, 1 where it is half met, shape (n,).
    """
    vectors = cast(DenseView, source.view("dense")).index.vectors_of(rows)
    found, counted = presences(terms, vectors, word_shares(source, terms, rows))
    if similar is not None:
        found[0] = terms[0].threshold * similar + terms[0].word_weight * counted[0]
    total = np.zeros(len(rows))
    for term, z in zip(terms, found, strict=True):
        total += term.value(z)
    return total


def word_shares(source: Source, terms: Sequence[Term], rows: IntArray) -> list[WideArray]:
    """Return the share of each term's words that documents have, shape (n,) each."""
    index = None
    found = []
    for term in terms:
        if term.words and term.word_weight:
            index = index or cast(ContainedView, source.view("contained")).index
            found.append(index.shares(rows, term.words))
        else:
            found.append(np.zeros(len(rows)))
    return found
