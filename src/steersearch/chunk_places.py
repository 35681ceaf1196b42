"""Where a chunk stands in its document, beside the metadata of that."""

from __future__ import annotations

from collections.abc import Mapping

PLACE = ("chunk", "start", "end")
"""Fields of every chunk, and of nothing else under an id that ends with its number."""


def placed(metadata: Mapping[str, object], place: Mapping[str, object]) -> dict[str, object]:
    """Return the metadata of a document with the place of a chunk; what had a name of the place gets a prefix."""
    found = {name: value for name, value in metadata.items() if name not in place}
    for name in [name for name in metadata if name in place]:
        other = f"document.{name}"
        while other in metadata:
            other = f"document.{other}"
        found[other] = metadata[name]
    return {**found, **place}
