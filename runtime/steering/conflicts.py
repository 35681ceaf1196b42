"""Boosts and clamps that contradict each other: they are obeyed, with a warning that names both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from ...arrays import WideArray
from ...bounded_cache import BoundedCache
from ...steering_warnings import warn
from ...text import shown
from ..bundle.bundle import Bundle
from ..bundle.feature import format_share
from .change import amounts_of
from .concepts import Concept

SAME = 0.85
"""Cosine above which two concepts count as one: on Python's documentation `"unit testing"` and `"unit tests"` have .92,
`"compressed archives"` and `"zip files"` .67."""
NOTHING = 0.1
"""Share of a boost's unclamped latents below which the boost counts as cancelled."""
CACHED = 512

Weighted = tuple[Concept, float]


class Conflicts:
    """Detection of contradictions, with a cache of the cosines between concepts.

    `step_of` returns the addition of a concept at strength 1, shape (d_in,).
    """

    def __init__(self, bundle: Bundle, step_of: Callable[[Concept], WideArray]) -> None:
        self._bundle, self._step_of = bundle, step_of
        self._cosines: BoundedCache[tuple[Concept, Concept], float] = BoundedCache(CACHED)

    def check(self, boosts: Sequence[Weighted], clamps: Sequence[Weighted], excluded: Sequence[Concept] = ()) -> None:
        """Warn of similar concepts with opposite signs, of boosts whose latents are clamped, and of those excluded."""
        for (one, up), (other, down) in combinations(boosts, 2):
            if up * down < 0 and (cosine := self._cosine(one, other)) > SAME:
                warn(
                    f"boost has {shown(one.name)} and {shown(other.name)} with opposite signs, and they are nearly the "
                    f"same (cosine {format_share(cosine)}), so they work against each other: leave one of them out",
                    "conflict",
                )
        for boosted, strength in boosts:
            for concept in excluded:
                if strength > 0 and (cosine := self._cosine(boosted, concept)) > SAME:
                    warn(
                        f"{shown(boosted.name)} is in boost and {shown(concept.name)}, which is nearly the same "
                        f"(cosine {format_share(cosine)}), is in exclude, so they work against each other: leave one "
                        "of them out",
                        "conflict",
                    )
            for clamped, value in clamps:
                if strength and (self._free_share(boosted, clamped) < NOTHING or self._cosine(boosted, clamped) > SAME):
                    warn(
                        f"{shown(boosted.name)} is in boost and {shown(clamped.name)}, which is nearly the same or "
                        f"contains it, is in clamp at {value:g}: the clamp wins where they share latents; leave one of "
                        "them out",
                        "conflict",
                    )

    def _cosine(self, one: Concept, other: Concept) -> float:
        def cosine() -> float:
            a, b = self._step_of(one), self._step_of(other)
            return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)

        return self._cosines.get_or_make((one, other), cosine)

    def _free_share(self, boosted: Concept, clamped: Concept) -> float:
        """Return the share of a boost that falls on unclamped latents."""
        latents, amounts = amounts_of(boosted.weights, self._bundle.features.typical)
        sizes = np.abs(amounts)
        free = [latent not in clamped.weights for latent in latents.tolist()]
        return float(sizes[free].sum() / max(sizes.sum(), 1e-12))
