"""What concepts add to a query, worked out once for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...arrays import WideArray
from .change import amounts_of
from .concepts import Concept

if TYPE_CHECKING:
    from ..bundle.bundle import Bundle

CACHED = 512


class Steps:
    """What concepts add to a query at strength 1, remembered.

    Args:
        bundle: Knows the atoms.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: dict[Concept, WideArray] = {}

    def of(self, concept: Concept) -> WideArray:
        """``sum of weight * typical * atom``, shape (d_in,), float64; not to be written to."""
        known = self._known.get(concept)
        if known is None:
            latents, amounts = amounts_of(concept.weights, self._bundle.features.typical)
            known = amounts @ self._bundle.atoms[latents].astype(np.float64)
            if len(self._known) >= CACHED:
                self._known.clear()
            self._known[concept] = known
        return known
