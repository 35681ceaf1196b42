"""Texts to unit vectors with the embedder of a training, whatever its kind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np

from ..arrays import FloatArray
from ..corpus.repair import encodable
from ..errors import ConfigError, DataError
from ..text import first_line
from .embedder_source import EmbedderSource, resolve_embedder
from .embedders.graph import GraphModel
from .embedders.model import EmbeddingModel
from .embedders.static import open_static
from .embedders.transformer import TransformerModel

__all__ = ["Embedder", "EmbedderSource", "resolve_embedder"]

TRIED_LENGTH = 2048
"""Tokens up to which a text of the greatest length is tried when a model is opened: .1 s for 512 tokens of MiniLM, but
gigabytes for 8,192 of a large model, which has no table of positions that could be too short."""
BLOCK_SIZE = 16_384
"""Texts that are sorted by length together, so that those of one batch are about equally long."""


class Embedder:
    """A model that embeds: text in, unit vector out.

    The same text always gives the same vector, up to about 1e-6: its batch changes the padding, and so the rounding.
    """

    def __init__(
        self, source: EmbedderSource | str | PathLike[str], *, device: str = "auto", precision: str = "fp32"
    ) -> None:
        """Load the model; a transformer takes seconds, since sentence-transformers is imported then.

        Args:
            source: What `resolve_embedder` returns or takes.
            device: A torch device name, or ``auto``: CUDA, else MPS, else CPU. A table of token vectors and an ONNX
                graph always run on the CPU.
            precision: ``fp32``, or ``bf16``: products in bfloat16 (autocast), 1.5 times as fast or more where the
                hardware knows it; vectors keep a cosine of .9999 with those of fp32.

        Raises:
            DataError: There is no such model, its files cannot be loaded, or it cannot embed a text of `max_length`.
            ConfigError: This machine does not have `device`, or there is no such precision for this kind of model.
        """
        if precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision is {precision!r}: choose fp32 or bf16")
        self.source = source if isinstance(source, EmbedderSource) else resolve_embedder(source)
        """Where the model came from."""
        rough = precision == "bf16"
        self._model = _open(self.source, None if device == "auto" else device, rough=rough)
        self.fingerprint: str = self.source.fingerprint() + (" bf16" if rough else "")
        """Identifies weights, tokenizer, pooling and `max_length`: embeddings with equal fingerprints can be mixed."""
        with self._tried("the text 'width'", "copy the model again, or choose another embedder"):
            self.d_in: int = self.embed(["width"]).shape[1]
            """Width of the embeddings."""
        if self.d_in < (self.source.truncate_dim or 0):
            raise DataError(
                f"truncate_dim is {self.source.truncate_dim}, but {self.source.id} gives {self.d_in} numbers: "
                f"choose at most {self.d_in}"
            )
        if self.max_length <= TRIED_LENGTH:
            cure = "lower max_seq_length in its sentence_bert_config.json"
            with self._tried(f"a text of {self.max_length} tokens, its max_seq_length", cure):
                self.embed(["a " * self.max_length])

    @property
    def max_length(self) -> int:
        """Tokens that are read of a text, including the special ones; the rest is cut off."""
        return self.source.max_length

    def describe(self) -> dict[str, str | int | None]:
        """Return what a checkpoint keeps of the embedder: all of its source, with the folder as `path`."""
        source = self.source
        return {
            "id": source.id,
            "revision": source.revision,
            "sha256": source.sha256,
            "max_length": source.max_length,
            "path": source.path_or_name,
            "query_prefix": source.query_prefix,
            "document_prefix": source.document_prefix,
            "kind": source.kind,
            "pooling": source.pooling,
            "truncate_dim": source.truncate_dim,
        }

    @property
    def query_prefix(self) -> str:
        """The prefix of queries."""
        return self.source.query_prefix

    @property
    def document_prefix(self) -> str:
        """The prefix of documents."""
        return self.source.document_prefix

    def embed_queries(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts with the queries' prefix, else like `embed`: unit rows, shape (n, d_in), float32."""
        return self._embed(texts, self.query_prefix)

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts with the documents' prefix, else like `embed`: unit rows, shape (n, d_in), float32."""
        return self._embed(texts, self.document_prefix)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts as they are, without a prefix; give many at once, they are sorted by length inside.

        Returns:
            Unit rows in the order of `texts`, shape (n, d_in), float32. The empty text has one too.

        Raises:
            DataError: `texts` is one string, or the model gives a row that has no direction (NaN, infinite or zero).
        """
        return self._embed(texts, "")

    def _embed(self, texts: Sequence[str], prefix: str) -> FloatArray:
        if isinstance(texts, str):
            raise DataError("embed takes a list of texts, not one string: put it in a list")
        if not texts:
            return np.empty((0, self.d_in), np.float32)
        blocks = [self._embed_block(texts[at : at + BLOCK_SIZE], prefix) for at in range(0, len(texts), BLOCK_SIZE)]
        rows = np.concatenate(blocks)[:, : self.source.truncate_dim]  # (n, d_in)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)  # (n, 1)
        bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] < 1e-12))
        if len(bad):
            raise DataError(
                f"{len(bad)} embeddings have no direction, first that of text {bad[0]} ({texts[bad[0]][:60]!r}), of "
                f"length {norms[bad[0], 0]}: the weights of {self.source.id} are damaged or overflow on this device"
            )
        return np.asarray(rows / norms, np.float32)

    def _embed_block(self, block: Sequence[str], prefix: str) -> FloatArray:
        """Embed the longest texts first: what does not fit into memory fails at once and not after an hour."""
        texts = [prefix + encodable(text) for text in block]
        # encode() of sentence-transformers sorts too, but by characters. Sorting by tokens saves a quarter of the work
        # on mixed texts.
        order = np.argsort(-self._model.lengths(texts), kind="stable")
        size = self._model.batch_size
        rows: FloatArray | None = None
        for at in range(0, len(texts), size):
            chosen = order[at : at + size]
            batch = self._model.encode([texts[i] for i in chosen])
            if rows is None:
                rows = np.empty((len(texts), batch.shape[1]), np.float32)
            rows[chosen] = batch
        assert rows is not None  # a block is never empty
        return rows

    @contextmanager
    def _tried(self, what: str, cure: str) -> Iterator[None]:
        """Turn what a model raises that cannot embed a text into a DataError, before the training."""
        try:
            yield
        except DataError:
            raise
        # A table that is too short, the memory, a tokenizer that gives up: each library and device has its own. A
        # fault in Rust is below BaseException only.
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            reason = first_line(str(error), type(error).__name__)
            raise DataError(f"{self.source.id} cannot embed {what} ({reason}): {cure}") from error


def _open(source: EmbedderSource, device: str | None, *, rough: bool) -> EmbeddingModel:
    """Open the model of a source by its kind."""
    if source.kind == "transformer":
        return TransformerModel(source, device=device, rough=rough)
    if rough:
        raise ConfigError(f"precision is 'bf16', but {source.id} is no model of torch: use fp32")
    if source.kind == "static":
        return open_static(Path(source.path_or_name), source.max_length, source.truncate_dim)
    return GraphModel(Path(source.path_or_name), max_length=source.max_length, pooling=source.pooling)
