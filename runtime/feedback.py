"""From what a phrase says to what the documents say about it: pseudo-relevance feedback on a direction."""

from __future__ import annotations

import numpy as np

from ..metrics import FloatArray, unit_rows

SHARE = 0.04
"""Share of the documents that are asked. The more a document stands out among them the more it counts, so that a narrow
phrase is told by its few documents and a broad one by all of them."""
ROUNDS = 2
AGREEMENT = 0.5
"""Cosine with what was asked below which the documents are about something else. On held-out queries, kinds of question
about diseases bring 1.16 times what the phrase's embedding brings; when such documents are followed too, .98 times."""


def refined(direction: FloatArray, documents: FloatArray) -> FloatArray:
    """The direction from the mean of all documents to a mean of those that lie furthest along a direction.

    A phrase is no document. The documents nearest to it hold what they have in common. Where that is something else
    (for "inheritance" a group of diseases, not what is inherited), the phrase is the better guide and stays as it is.

    Args:
        direction: Shape (d_in,), any length: what was asked for, seen from the mean of the documents.
        documents: Unit rows, shape (n, d_in), spread over the index.

    Returns:
        Unit direction, shape (d_in,).

    References:
        Rocchio 1971, "Relevance feedback in information retrieval".
    """
    asked: FloatArray = unit_rows(np.asarray(direction, np.float32)[None])[0]
    count = round(SHARE * len(documents))
    if not 0 < count < len(documents):
        return asked
    mean, found = documents.mean(0, dtype=np.float32), asked
    for _ in range(ROUNDS):
        along = documents @ found
        order = np.argpartition(-along, count)
        furthest, limit = order[:count], along[order[count]]  # the first that is not asked
        weights = np.sqrt(np.maximum(along[furthest] - limit, 0))
        if not weights.sum() > 0:
            break
        common: FloatArray = unit_rows((weights @ documents[furthest] / weights.sum() - mean)[None])[0]
        if common @ asked < AGREEMENT:
            break
        found = common
    return found
