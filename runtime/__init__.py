"""Search and steer with a bundle, without torch.

Read in this order: `bundle` (what was exported, opened), `steering` (the heart, pure NumPy), `budget` and `protect`
(how far it may go), `directions` and `concepts` (from words to latents), `resolver` (from a boost to a steered query),
`evidence` and `conflicts` (what is probably not meant), `explain`, `store` (the documents), `ann` (nearest neighbours),
`hits`, `index` (all of it together).
"""

from .bundle import Bundle
from .concepts import Concept
from .explain import Explanation, Part
from .features import Feature, Features
from .index import Hit, SteerableIndex
from .resolver import Boost, SteeredQuery
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
