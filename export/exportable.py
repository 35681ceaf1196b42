"""What export asks of an embedder, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ..arrays import FloatArray
from .embedder import Via
from .quantize import Precision

Report = Callable[[str], None]
"""Called with a line before a step."""


class ExportableEmbedder(Protocol):
    """An embedder that was opened for export."""

    kind: str
    """`embedder_kind` of the manifest."""
    pooling: str
    """How token vectors become one, for the manifest."""
    d_in: int
    """Width of the embeddings."""

    def write(self, folder: Path, precision: Precision, via: Via, report: Report) -> None:
        """Write its files and tokenizer.json into the folder of a bundle.

        Raises:
            ConfigError: There is no such precision for this kind.
            DataError: It cannot be exported.
        """

    def reference(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts as in the training: unit rows, shape (n, d_in), float32."""
