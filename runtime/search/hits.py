"""Search results, and what steering did to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...arrays import FloatArray
from ..bundle.bundle import Bundle
from ..steering.concept_directions import VectorOf
from ..steering.explain import Explanation, Part, explain
from ..steering.resolver import SteeredQuery

COMPARED = 100
"""Hits that are searched without steering, or k where that is more."""


@dataclass(frozen=True)
class Hit:
    """One search result."""

    rank: int
    """1 for the best."""
    id: str
    """The document's id."""
    score: float
    """How well it fits the (steered) query: in the views dense, reconstruction and latent a cosine, -1 to 1; in words a
    BM25 score; in hybrid ``sum 1 / (60 + rank)``, or with weights the share of the best possible, 0 to 1. Compare
    scores of one search only, except in dense."""
    text: str
    """The document's text."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The document's metadata, as it was given."""
    rank_before: int | None = None
    """With `compare`: the rank without steering; None when it is beyond the first 100, or k where that is more."""
    moved_by: tuple[Part, ...] = ()
    """With `compare`: the features whose change moved it most, up or down, largest steered contribution first; at most
    5, of the dense score in every view."""


def compared(
    hits: Sequence[Hit], plain: Sequence[Hit], steered: SteeredQuery, vector_of: VectorOf, bundle: Bundle
) -> list[Hit]:
    """The same hits with `rank_before` and `moved_by`.

    Args:
        hits: With steering.
        plain: Without it, as deep as it is worth looking.
        steered: What the search searched with.
        vector_of: Id -> vector; None for a document that was deleted a moment ago.
        bundle: Knows the atoms and the features.
    """
    ranks = {hit.id: hit.rank for hit in plain}
    made = []
    for hit in hits:
        vector = vector_of(hit.id)
        reason = None if vector is None else explain_steered(hit.id, steered, vector, bundle)
        made.append(replace(hit, rank_before=ranks.get(hit.id), moved_by=reason.moved_by() if reason else ()))
    return made


def explain_steered(id: str, steered: SteeredQuery, vector: FloatArray, bundle: Bundle) -> Explanation:
    """`explain` for a query that was steered with its code."""
    assert steered.change is not None
    return explain(id, steered.original, vector, steered.change, bundle.atoms, bundle.features)
