"""Search results, and the effect of steering on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from ...errors import MissingExtraError
from ...text import described, shown
from ..steering.explain import Explanation, Part
from ..steering.highlights.parts import Sentence, WordPart, Words
from ..store.pieces import document_of

COMPARE_DEPTH = 100
"""Number of unsteered hits that `compare` ranks, or k if that is more."""


if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
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
    def document(self) -> str:
        """The id of its document: of a chunk ``guide.md#3`` that is ``guide.md``."""
        return document_of(self.id, self.metadata)

    @property
    def title(self) -> str:
        """The title of its document, also of a later chunk, whose text does not begin with it; empty without one."""
        title = self.metadata.get("title")
        return title if isinstance(title, str) else ""

    @property
    def is_later_chunk(self) -> bool:
        """Whether it is a chunk of a long document, and not the first, so that its text lacks the title."""
        return self.document != self.id and self.metadata["chunk"] != 1

    @property
    def highlights(self) -> tuple[WordPart, ...]:
        """With `highlight`: the words that made it match, in reading order, each with its place and what it adds."""
        return () if self.words is None else self.words.highlights

    @property
    def sentence(self) -> Sentence | None:
        """With `highlight`: the sentence that says best why it was found; None also for a text without words."""
        return None if self.words is None else self.words.sentence

    def __repr__(self) -> str:
        return described("Hit", str(self.rank), shown(self.id, 60), f"{self.score:.4f}", shown(self.text))

    def _repr_html_(self) -> str:
        return Hits([self])._repr_html_()


class Hits(list[Hit]):
    """The hits of a search: a list, which notebooks show as a table and `print` as lines."""

    @overload
    def __getitem__(self, place: SupportsIndex) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> Hits: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Hit | Hits:
        return Hits(super().__getitem__(place)) if isinstance(place, slice) else super().__getitem__(place)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one mapping per hit, for JSON and data frames, for example ``polars.DataFrame(hits.to_dicts())``.

        ``rank, id, score, text, metadata``; with `compare` also ``rank_before, moved_by``.
        """
        from ...display.hits import rows_of

        return rows_of(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with a row per hit and a column per field of the metadata.

        A field that is called like another column becomes ``metadata.NAME``.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            cure = "pip install pandas, or take hits.to_dicts(), which polars reads too"
            raise MissingExtraError(f"pandas is not installed: {cure}") from error
        from ...display.hits import columns_of

        frame = pd.DataFrame(columns_of(self), columns=None if self else ["rank", "id", "score", "text"])
        # Whole numbers, though some are missing.
        return frame.astype({"rank_before": "Int64"}) if "rank_before" in frame else frame

    def __str__(self) -> str:
        from ...display.hits import hits_text

        return hits_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from ...display.hits import hits_html

        return hits_html(self)


def with_comparison(
    hits: Iterable[Hit], plain_ranks: Mapping[str, int | None], explanations: Mapping[str, Explanation]
) -> Hits:
    """Return the hits with `rank_before`, from id -> rank without steering, and `moved_by`.

    `explanations` holds those of the hits' ids, except of documents deleted meanwhile.
    """
    made = Hits()
    for hit in hits:
        found = explanations.get(hit.id)
        moved_by = () if found is None else found.moved_by()
        made.append(replace(hit, rank_before=plain_ranks.get(hit.id), moved_by=moved_by))
    return made
