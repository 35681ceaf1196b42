"""Explanation of a score: parts that add up to it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from ...text import visible
from ..bundle.bundle import Bundle
from ..bundle.feature import Feature
from ..bundle.features import Features
from .change import Change, shifted
from .steered_query import SteeredQuery


@dataclass(frozen=True)
class Part:
    """The contribution of one feature of the query to the score."""

    feature: Feature
    before: float
    """Its activation in the query."""
    after: float
    """Its activation after steering."""
    contribution: float
    """Its contribution to the score; all parts and the rest add up to the score."""
    steered: float
    """The share of `contribution` that comes from steering."""


class Parts(Sequence[Part]):
    """The parts of a score, largest absolute contribution first, created on access.

    A steered query has about 150 latents, of which an explanation usually shows a few. `contributions`, and the share
    of each that comes from steering, have shape (m,) in the order of `change.latents`; `order` ranks them.
    """

    def __init__(
        self,
        features: Features | Sequence[Feature],
        change: Change,
        contributions: WideArray,
        steered: WideArray,
        order: IntArray,
    ) -> None:
        self._features, self._change, self._order = features, change, order
        self._contributions, self._steered = contributions, steered

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Part: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Part, ...]: ...
    def __getitem__(self, place: int | slice) -> Part | tuple[Part, ...]:
        if isinstance(place, slice):
            return tuple(self._part(i) for i in self._order[place].tolist())
        return self._part(int(self._order[place]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def most_steered(self, limit: int) -> tuple[Part, ...]:
        """Return the parts changed by steering, largest change first, ties in the order of the parts."""
        order = self._order[np.argsort(-np.abs(self._steered[self._order]), kind="stable")][:limit]
        return tuple(self._part(i) for i in order.tolist() if self._steered[i])

    def _part(self, i: int) -> Part:
        change = self._change
        return Part(
            self._features[int(change.latents[i])],
            float(change.before[i]),
            float(change.after[i]),
            float(self._contributions[i]),
            float(self._steered[i]),
        )


@dataclass(frozen=True)
class Explanation:
    """A decomposed score: ``score = sum(part.contribution) + rest``."""

    id: str
    """Id of the document."""
    score: float
    """Inner product of the steered query and the document."""
    parts: Parts
    """One per feature of the query, largest absolute contribution first."""
    rest: float
    """Contribution that no active feature expresses: ``(b_dec + residual) . d``."""

    def moved_by(self, limit: int = 5) -> tuple[Part, ...]:
        """Return the parts that steering changed, largest change of the score first, up or down."""
        return self.parts.most_steered(limit)

    def __str__(self) -> str:
        lines = [f"{visible(self.id)}: score {self.score:.4f}"]
        for part in self.parts[:10]:
            steered = f"  (of it {part.steered:+.4f} by steering)" if part.steered else ""
            lines.append(f"  {part.contribution:+.4f}  {visible(str(part.feature))}{steered}")
        others = sum(part.contribution for part in self.parts[10:])
        if len(self.parts) > 10:
            lines.append(f"  {others:+.4f}  {len(self.parts) - 10} further features")
        lines.append(f"  {self.rest:+.4f}  not expressed by any active feature")
        return "\n".join(lines)


def explain_all(
    ids: Sequence[str],
    query: FloatArray,
    documents: FloatArray,
    change: Change,
    atoms: FloatArray,
    features: Features | Sequence[Feature],
) -> list[Explanation]:
    """Decompose the scores ``q' . d`` of documents for one query.

    ``q' . d = (sum_f z'_f (W_dec[f] . d) + (b_dec + residual) . d) / |q + (z' - z) W_dec|``, where
    ``b_dec + residual = q - z W_dec``.

    Args:
        ids: Of the documents.
        query: The unsteered query, shape (d_in,).
        documents: Their vectors, shape (n, d_in).
        change: The query's code before and after steering.
        atoms: W_dec, shape (n_latents, d_in).
        features: One per latent.
    """
    wide, rows = query.astype(np.float64), documents.astype(np.float64)
    length = 1.0 if change.empty else float(np.linalg.norm(shifted(query, change, atoms)))
    projections = rows @ atoms[change.latents].astype(np.float64).T  # (n, m)
    contributions = change.after * projections / length
    steered = change.delta * projections / length
    rest = (rows @ wide - projections @ change.before) / length  # (n,)
    scores, orders = contributions.sum(1) + rest, np.argsort(-np.abs(contributions), axis=1, kind="stable")
    return [
        Explanation(id, score, Parts(features, change, contributions[i], steered[i], orders[i]), remainder)
        for i, (id, score, remainder) in enumerate(zip(ids, scores.tolist(), rest.tolist(), strict=True))
    ]


def explain_steered(id: str, query: SteeredQuery, document: FloatArray, bundle: Bundle) -> Explanation:
    """Decompose the score of a document, shape (d_in,), for a steered query; see `explain_all`."""
    return explain_all([id], query.original, document[None], query.change, bundle.atoms, bundle.features)[0]
