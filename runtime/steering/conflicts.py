"""Boosts and clamps that contradict each other: obeyed, with a warning that names both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ...steering_warnings import warn
from ..bundle.features import short
from .change import amounts_of
from .concepts import Concept
from .steps import Steps

if TYPE_CHECKING:
    from ..bundle.bundle import Bundle

SAME = 0.85
"""Cosine from which two concepts are one: on Python's documentation `"unit testing"` and `"unit tests"` have .92,
`"compressed archives"` and `"zip files"` .67."""
NOTHING = 0.1
"""Share of a boost below which it is as good as gone."""
CACHED = 512

Given = tuple[Concept, float]


class Conflicts:
    """Finds contradictions, and remembers how much two concepts have in common.

    Args:
        bundle: Knows what is typical.
        steps: Of concepts.
    """

    def __init__(self, bundle: Bundle, steps: Steps) -> None:
        self._bundle, self._steps = bundle, steps
        self._cosines: dict[tuple[Concept, Concept], float] = {}

    def check(self, boosts: Sequence[Given], clamps: Sequence[Given]) -> None:
        """Warn of concepts that are pushed both up and down, and of boosts whose latents a clamp sets.

        Args:
            boosts: Concepts with weights, and their strengths or the signs of them.
            clamps: Concepts with weights, and their values.
        """
        for (one, up), (other, down) in combinations(boosts, 2):
            if up * down < 0 and (cosine := self._cosine(one, other)) > SAME:
                warn(
                    f"boost has {one.name!r} and {other.name!r} with opposite signs, and they are nearly the same "
                    f"(cosine {short(cosine)}), so they work against each other: leave one of them out"
                )
        for boosted, strength in boosts:
            for clamped, value in clamps:
                if strength and (self._left(boosted, clamped) < NOTHING or self._cosine(boosted, clamped) > SAME):
                    warn(
                        f"{boosted.name!r} is in boost and {clamped.name!r}, which is nearly the same or contains it, "
                        f"is in clamp at {value:g}: the clamp wins where they share latents; leave one of them out"
                    )

    def _cosine(self, one: Concept, other: Concept) -> float:
        known = self._cosines.get((one, other))
        if known is None:
            a, b = self._steps.of(one), self._steps.of(other)
            known = float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
            if len(self._cosines) >= CACHED:
                self._cosines.clear()
            self._cosines[one, other] = known
        return known

    def _left(self, boosted: Concept, clamped: Concept) -> float:
        """Share of what a boost adds that falls on latents that are not clamped."""
        latents, amounts = amounts_of(boosted.weights, self._bundle.features.typical)
        sizes = np.abs(amounts)
        free = [latent not in clamped.weights for latent in latents.tolist()]
        return float(sizes[free].sum() / max(sizes.sum(), 1e-12))
