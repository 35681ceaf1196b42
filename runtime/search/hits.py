"""Search results, and the effect of steering on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..steering.explain import Explanation, Part
from ..steering.highlights.parts import Sentence, WordPart, Words

COMPARE_DEPTH = 100
"""Number of unsteered hits that `compare` ranks, or k if that is more."""


@dataclass(frozen=True)
class Hit:
    """A search result."""

    rank: int
    """1 for the best."""
    id: str
    score: float
    """Similarity to the query: a cosine, -1 to 1, in the views dense, reconstruction and latent; a BM25 score in words;
    in hybrid ``sum 1 / (60 + rank)``, or with weights the share of the best possible, 0 to 1. With a boost, except in
    hybrid, the sum of the conditions: 0 where all are met, and lower the less they are. Except in dense, compare scores
    within one search only."""
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    rank_before: int | None = None
    """With `compare`: the rank without steering; None beyond the first 100, or k if that is more."""
    moved_by: tuple[Part, ...] = ()
    """With `compare`: the at most 5 features whose change moved the hit most, up or down, largest steered contribution
    first; of the dense score in every view."""
    words: Words | None = field(default=None, repr=False, compare=False)
    """With `highlight`: what each word adds to the dense score, in every view."""

    @property
    def highlights(self) -> tuple[WordPart, ...]:
        """With `highlight`: the words that made it match, in reading order, each with its place and what it adds."""
        return () if self.words is None else self.words.highlights

    @property
    def sentence(self) -> Sentence | None:
        """With `highlight`: the sentence that says best why it was found; None also for a text without words."""
        return None if self.words is None else self.words.sentence


def with_comparison(
    hits: Sequence[Hit], plain_ranks: Mapping[str, int], explanations: Mapping[str, Explanation]
) -> list[Hit]:
    """Return the hits with `rank_before`, from id -> rank without steering, and `moved_by`.

    `explanations` holds those of the hits' ids, except of documents deleted meanwhile.
    """
    made = []
    for hit in hits:
        found = explanations.get(hit.id)
        moved_by = () if found is None else found.moved_by()
        made.append(replace(hit, rank_before=plain_ranks.get(hit.id), moved_by=moved_by))
    return made
