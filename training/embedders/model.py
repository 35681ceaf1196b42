"""What `training.embedding.Embedder` asks of a model, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...arrays import FloatArray, IntArray


class EmbeddingModel(Protocol):
    """A model that was opened from an `EmbedderSource`."""

    @property
    def batch_size(self) -> int:
        """Texts that `encode` takes at once."""

    def lengths(self, texts: Sequence[str]) -> IntArray:
        """Return how long texts are to the model, shape (n,); those of a batch should be about equally long."""

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts as they are: rows of any length, shape (n, d_in), in the order of `texts`."""
