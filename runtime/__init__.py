"""Search and steer with a bundle, without torch.

Read in this order: `bundle` (what was exported, opened), `steering` (the heart, pure NumPy), `concepts` and `resolver`
(from words to latents), `explain`, `store` (the documents), `ann` (nearest neighbours), `index` (all of it together).
"""

from .bundle import Bundle
from .concepts import Concept
from .explain import Explanation, Part
from .features import Feature, Features
from .index import Hit, SteerableIndex
from .resolver import Boost, SteeredQuery

__all__ = [
    "Boost",
    "Bundle",
    "Concept",
    "Explanation",
    "Feature",
    "Features",
    "Hit",
    "Part",
    "SteerableIndex",
    "SteeredQuery",
]
