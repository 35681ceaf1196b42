"""Why a document has its score: parts that add up to it, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from ..bundle.features import Feature, Features
from .change import Change, shifted


@dataclass(frozen=True)
class Part:
    """What one feature of the query adds to the score."""

    feature: Feature
    """The feature."""
    before: float
    """Its activation in the query."""
    after: float
    """Its activation after steering."""
    contribution: float
    """What it adds to the score; all parts and the rest add up to the score."""
    steered: float
    """The share of `contribution` that comes from steering."""


class Parts(Sequence[Part]):
    """The parts of a score, largest absolute contribution first; each is made when it is looked at.

    A steered query has 150 latents, and whoever explains ten hits looks at a handful of parts of each.

    Args:
        features: What to call the latents.
        change: The query's code before and after steering.
        contributions: Shape (m,), in the order of `change.latents`.
        moved: What of it comes from steering, shape (m,).
        order: Places of the contributions, largest absolute one first, shape (m,).
    """

    def __init__(
        self,
        features: Features | Sequence[Feature],
        change: Change,
        contributions: WideArray,
        moved: WideArray,
        order: IntArray,
    ) -> None:
        self._features, self._change, self._contributions, self._moved = features, change, contributions, moved
        self._order = order

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

    def most_moved(self, limit: int) -> tuple[Part, ...]:
        """Those that steering changed, largest change first, equal ones in the order of the parts."""
        order = self._order[np.argsort(-np.abs(self._moved[self._order]), kind="stable")][:limit]
        return tuple(self._part(i) for i in order.tolist() if self._moved[i])

    def _part(self, i: int) -> Part:
        change = self._change
        return Part(
            self._features[int(change.latents[i])],
            float(change.before[i]),
            float(change.after[i]),
            float(self._contributions[i]),
            float(self._moved[i]),
        )


@dataclass(frozen=True)
class Explanation:
    """A score taken apart: ``score = sum(part.contribution) + rest``."""

    id: str
    """The document."""
    score: float
    """Inner product of the steered query and the document."""
    parts: Parts
    """One per feature of the query, largest absolute contribution first."""
    rest: float
    """From what no active feature expresses: ``(b_dec + residual) . d``."""

    def moved_by(self, limit: int = 5) -> tuple[Part, ...]:
        """The parts that steering changed, largest change of the score first, up or down."""
        return self.parts.most_moved(limit)

    def __str__(self) -> str:
        lines = [f"{self.id}: score {self.score:.4f}"]
        for part in self.parts[:10]:
            moved = f"  (of it {part.steered:+.4f} by steering)" if part.steered else ""
            lines.append(f"  {part.contribution:+.4f}  {part.feature}{moved}")
        others = sum(part.contribution for part in self.parts[10:])
        if len(self.parts) > 10:
            lines.append(f"  {others:+.4f}  {len(self.parts) - 10} further features")
        lines.append(f"  {self.rest:+.4f}  not expressed by any active feature")
        return "\n".join(lines)


def explain(
    id: str,
    query: FloatArray,
    document: FloatArray,
    change: Change,
    atoms: FloatArray,
    features: Features | Sequence[Feature],
) -> Explanation:
    """Take ``q' . d`` apart.

    ``q' . d = (sum_f z'_f (W_dec[f] . d) + (b_dec + residual) . d) / |q + (z' - z) W_dec|``, where
    ``b_dec + residual = q - z W_dec``.

    Args:
        id: Name of the document.
        query: The unsteered query, shape (d_in,).
        document: The document's vector, shape (d_in,).
        change: The query's code before and after steering.
        atoms: W_dec, shape (n_latents, d_in).
        features: What to call the latents.
    """
    return explain_all([id], query, document[None], change, atoms, features)[0]


def explain_all(
    ids: Sequence[str],
    query: FloatArray,
    documents: FloatArray,
    change: Change,
    atoms: FloatArray,
    features: Features | Sequence[Feature],
) -> list[Explanation]:
    """`explain` for many documents, shape (n, d_in), of one query."""
    wide, rows = query.astype(np.float64), documents.astype(np.float64)
    length = 1.0 if change.empty else float(np.linalg.norm(shifted(query, change, atoms)))
    projections = rows @ atoms[change.latents].astype(np.float64).T  # (n, m)
    contributions = change.after * projections / length
    moved = change.delta * projections / length
    rest = (rows @ wide - projections @ change.before) / length  # (n,)
    scores, orders = contributions.sum(1) + rest, np.argsort(-np.abs(contributions), axis=1, kind="stable")
    return [
        Explanation(id, score, Parts(features, change, contributions[i], moved[i], orders[i]), left)
        for i, (id, score, left) in enumerate(zip(ids, scores.tolist(), rest.tolist(), strict=True))
    ]
