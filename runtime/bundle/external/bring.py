"""`bring`: what somebody gave as `embedder=`, made the embedder of a bundle that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import ConfigError
from ..embedder import Embedder
from ..manifest import NO_EMBEDDER, Manifest
from .external_embedder import ExternalEmbedder


def check_brought(given: Any, manifest: Manifest, folder: Path) -> ExternalEmbedder | None:
    """Check that an embedder may be brought to the bundle at `folder`, and return it with its limits.

    Raises:
        ConfigError: The bundle has an embedder, or `given` is nothing that embeds; see `ExternalEmbedder`.
    """
    if given is None:
        return None
    if manifest.embedder_kind != NO_EMBEDDER:
        raise ConfigError(f"{folder} has an embedder of its own: leave embedder= (--embedder-url) out")
    from .sources import source_of

    settings = given if isinstance(given, ExternalEmbedder) else ExternalEmbedder(given)
    source_of(settings.embedder, manifest.embedder["id"])
    return settings


def bring(settings: ExternalEmbedder, manifest: Manifest, folder: Path) -> Embedder:
    """Return the embedder of a bundle from what `check_brought` returned; what it needs is imported here."""
    from .brought import BroughtEmbedder

    return BroughtEmbedder(settings, manifest, folder)
