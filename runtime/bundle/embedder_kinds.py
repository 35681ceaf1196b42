"""The kinds of embedders that a bundle may hold. A new kind takes a file that opens it and a line in `EMBEDDERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import BundleError
from .embedder import Embedder
from .external.missing import open_missing
from .manifest import NO_EMBEDDER, Manifest
from .onnx_embedder import open_onnx
from .onnx_session import MemoryProfile
from .static_embedder import open_static

Opener = Callable[[Path, Manifest, int | None, MemoryProfile], Embedder]
"""Called with the bundle's folder, its manifest, the threads and the profile."""
EMBEDDERS: dict[str, Opener] = {"onnx": open_onnx, "static": open_static, NO_EMBEDDER: open_missing}
"""`embedder_kind` of the manifest -> the function that opens it."""


def find_opener(manifest: Manifest, source: Path) -> Opener:
    """Return the function that opens the embedder of the bundle at `source`.

    Raises:
        BundleError: An unknown kind.
    """
    kind = manifest.embedder_kind
    if kind not in EMBEDDERS:
        raise BundleError(
            f"{source} has an embedder of the kind {kind!r}, this steersearch knows {', '.join(EMBEDDERS)}: "
            "upgrade: pip install -U steersearch"
        )
    return EMBEDDERS[kind]
