"""Search and steer with a bundle, without torch.

Packages, from the ground up: `bundle` (opening an exported bundle), `steering` (from a request to a steered query),
`language` (requests in plain words), `store` (documents in SQLite), `search` (the views of an index), `ingest` (adding
documents), and `interpret` (the meaning of each latent), which no other package imports. `index` combines them,
`maintenance` verifies an index, and `evaluate` scores a bundle.

Suggested reading order: `steering.change` (the core, pure NumPy), `steering.request`, `steering.resolver`,
`search.views`, `index`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .bundle.bundle import Bundle
from .bundle.external.external_embedder import ExternalEmbedder
from .bundle.feature import Feature
from .bundle.features import Features
from .bundle.onnx_session import MemoryProfile
from .index import SteerableIndex
from .language.request import Request
from .search.backends import Backend
from .search.hits import Hit, Hits
from .search.query import Fusion
from .search.view import View
from .search.views import ViewName
from .steering.attributes import Attribute
from .steering.concepts import Concept
from .steering.explain import Explanation, Part, TermValue
from .steering.highlights.parts import Sentence, WordPart, Words
from .steering.profiles.profile import Profile
from .steering.request import Blend, Boost, Key, Removable, Steering, Strength
from .steering.steered_query import SteeredQuery

if TYPE_CHECKING:
    from .bundle.external.service import EmbeddingService
    from .ingest.adding import Added
    from .language.grammar import understand
    from .maintenance import IndexStats, Verification

__all__ = [
    "Added",
    "Attribute",
    "Backend",
    "Blend",
    "Boost",
    "Bundle",
    "Concept",
    "EmbeddingService",
    "Explanation",
    "ExternalEmbedder",
    "Feature",
    "Features",
    "Fusion",
    "Hit",
    "Hits",
    "IndexStats",
    "Key",
    "MemoryProfile",
    "Part",
    "Profile",
    "Removable",
    "Request",
    "Sentence",
    "SteerableIndex",
    "SteeredQuery",
    "Steering",
    "Strength",
    "TermValue",
    "Verification",
    "View",
    "ViewName",
    "WordPart",
    "Words",
    "understand",
]


_LAZY = {
    "Added": "ingest.adding",
    "EmbeddingService": "bundle.external.service",
    "IndexStats": "maintenance",
    "Verification": "maintenance",
    "understand": "language.grammar",
}
"""Names that a search does without, and where they are: imported when they are first asked for."""


def __getattr__(name: str) -> Any:
    """Import what few programs need when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    """List the lazy name too, for completion and for the reference."""
    return sorted({*globals(), *__all__})
