"""A service as `sae train --vectors` takes an embedder: limited, announced, and its vectors kept."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from .console import stderr

if TYPE_CHECKING:
    from ..arrays import FloatArray
    from ..runtime import ExternalEmbedder
    from ..vectors import Vectors

_COMPARED = 64
"""Rows of the given vectors that tell their model from another one of the same name."""


class TrainingService:
    """Embeds texts for training by a service; it has one side for documents and queries."""

    def __init__(self, given: ExternalEmbedder, held: Vectors) -> None:
        from ..runtime.bundle.external.calls import Calls
        from ..runtime.bundle.external.sources import source_of

        width, rows = held.rows.shape[1], np.ascontiguousarray(held.rows[:_COMPARED], np.float32)
        space = f"training {zlib.crc32(rows.tobytes()):08x}"
        self._calls = Calls(given, source_of(given.embedder, None), width, space, f"{held.name} has {width:,}")

    def expect(self, texts: list[str]) -> None:
        """Say how many calls these queries will be; an `EmbedderError` before the first where a limit forbids them."""
        count, calls = self._calls.expect(texts, "")
        name = self._calls.source.name
        stderr.print(
            f"queries: {count:,} texts in {calls:,} call{'s' if calls != 1 else ''} of {name}; "
            f"{len(set(texts)) - count:,} vectors are kept from before",
            soft_wrap=True,
        )

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """Embed documents anew: training compares them with their vectors, to see that the model is still the same."""
        return self._calls.embed_anew(texts, "documents")

    def embed_queries(self, texts: list[str]) -> FloatArray:
        """Embed queries, but for those whose vectors are kept."""
        return self._calls.embed(texts, "queries", "", None, lambda: None)

    def report(self) -> None:
        """Say what the service got."""
        usage = self._calls.usage
        stderr.print(
            f"{usage.calls:,} calls with {usage.texts:,} texts; {usage.cached:,} vectors were there", soft_wrap=True
        )
