"""Why a document has its score: parts that add up to it, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .features import Feature, Features
from .steering import Change, FloatArray, shifted


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


@dataclass(frozen=True)
class Explanation:
    """A score taken apart: ``score = sum(part.contribution) + rest``."""

    id: str
    """The document."""
    score: float
    """Inner product of the steered query and the document."""
    parts: tuple[Part, ...]
    """One per feature of the query, largest absolute contribution first."""
    rest: float
    """From what no active feature expresses: ``(b_dec + residual) . d``."""

    def moved_by(self, limit: int = 5) -> tuple[Part, ...]:
        """The parts that steering changed, largest change of the score first, up or down."""
        moved = sorted((part for part in self.parts if part.steered), key=lambda part: -abs(part.steered))
        return tuple(moved[:limit])

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
    d = document.astype(np.float64)
    length = 1.0 if change.empty else float(np.linalg.norm(shifted(query, change, atoms)))
    projections = atoms[change.latents].astype(np.float64) @ d  # (m,)
    contributions = change.after * projections / length
    moved = change.delta * projections / length
    rest = (query.astype(np.float64) @ d - change.before @ projections) / length
    order = np.argsort(-np.abs(contributions), kind="stable")
    parts = tuple(
        Part(
            features[int(change.latents[i])],
            float(change.before[i]),
            float(change.after[i]),
            float(contributions[i]),
            float(moved[i]),
        )
        for i in order
    )
    return Explanation(id, float(contributions.sum() + rest), parts, float(rest))
