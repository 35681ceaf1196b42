"""A sentence-transformers model as files of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..arrays import FloatArray
from ..runtime.bundle.manifest import EMBEDDER, TOKENIZER
from ..training.embedder_source import EmbedderSource
from .embedder import Via, embedder_graph, load_embedder, pooling_of, write_tokenizer
from .exportable import Report
from .onnx_files import write_model
from .parity import reference_embeddings
from .quantize import Precision, quantize


class TransformerExport:
    """A transformer, exported as one graph; see `ExportableEmbedder`."""

    kind = "onnx"

    def __init__(self, source: EmbedderSource) -> None:
        """Load the model; a DataError when its files cannot be loaded or it cannot be exported."""
        self._model = load_embedder(source)
        self.pooling = pooling_of(self._model)
        self.d_in = int(self._model.get_sentence_embedding_dimension() or 0)

    def write(self, folder: Path, precision: Precision, via: Via, report: Report) -> None:
        """Write embedder.onnx and tokenizer.json."""
        # First, since embedding changes the tokenizer.
        write_tokenizer(self._model, folder / TOKENIZER)
        graph = embedder_graph(self._model, via, folder, report)
        if precision != "fp32":
            report(f"converting the embedder to {precision}")
        write_model(quantize(graph, precision, folder), folder / EMBEDDER)

    def reference(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts with sentence-transformers."""
        return reference_embeddings(self._model, texts)
