"""Search and steer with a bundle, without torch.

Read in this order: `bundle` (what was exported, opened), `steering` (the heart, pure NumPy), `budget` and `protect`
(how far it may go), `directions` and `concepts` (from words to latents), `resolver` (from a boost to a steered query),
`evidence` and `conflicts` (what is probably not meant), `explain`, `store` (the documents), `ann` (nearest neighbours),
`hits`, `index` (all of it together).
"""

from .bundle.bundle import Bundle
from .bundle.features import Feature, Features
from .index import Hit, SteerableIndex
from .steering.concepts import Concept
from .steering.explain import Explanation, Part
from .steering.resolver import Boost, SteeredQuery
from .upkeep import Added, IndexStats
from .verify import Verification

__all__ = [
    "Added",
    "Boost",
    "Bundle",
    "Concept",
    "Explanation",
    "Feature",
    "Features",
    "Hit",
    "IndexStats",
    "Part",
    "SteerableIndex",
    "SteeredQuery",
    "Verification",
]
