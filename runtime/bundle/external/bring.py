"""`bring`: what somebody gave as `embedder=`, made the embedder of a bundle that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....errors import ConfigError
from ....text import shown
from ..embedder import Embedder
from ..manifest import NO_EMBEDDER, Manifest

_METHODS = ("embed_documents", "embed_queries", "tokenise", "token_text")


def check_brought(given: Any, manifest: Manifest, folder: Path) -> None:
    """Check that an embedder may be brought to the bundle at `folder`.

    Raises:
        ConfigError: The bundle has an embedder, or `given` is nothing that embeds.
    """
    if given is None:
        return
    if manifest.embedder_kind != NO_EMBEDDER:
        raise ConfigError(f"{folder} has an embedder of its own: leave embedder= out")
    if not all(callable(getattr(given, name, None)) for name in _METHODS):
        raise ConfigError(f"embedder is {shown(given)} ({type(given).__name__}): give an object that embeds")


def bring(given: Any, manifest: Manifest, folder: Path) -> Embedder:
    """Return the embedder of a bundle from what was brought; see `check_brought`."""
    embedder: Embedder = given
    return embedder
