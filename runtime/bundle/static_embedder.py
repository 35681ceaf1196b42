"""The embedder of a bundle that is a table of token vectors: no graph and no onnxruntime.

Its files are `TABLE`, which is mapped into memory, `PARTS` with the small arrays, and `RULE`, what is done with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import UNIT_TOLERANCE, FloatArray, IntArray
from ...errors import BundleError, ConfigError
from ...static_table import ACTIVATIONS, MAX_CHARACTERS, NORMALIZE, Layer, Rule, StaticTable
from ...text import first_line
from .embedder import Progress, add_prefix, check_texts
from .manifest import CURE, MAX_WIDTH, PARTS, RULE, TABLE, TOKENIZER, Manifest
from .onnx_session import MemoryProfile
from .reading import MALFORMED, check_version, read_arrays, read_json
from .token_parts import TokenParts, parts_of_mean, spans_in
from .tokenizer import no_panic, open_tokenizer

FORMAT_VERSION = 1
"""Of `RULE`."""
MAX_LAYERS = 16
_MAX_BYTES = 2**16
"""Of `RULE`."""
_DTYPES = (np.dtype("<f4"), np.dtype("<f2"), np.dtype("i1"))
_WINDOW = 1024
"""Texts that are tokenised together."""


class StaticEmbedder:
    """A static embedder, see `StaticTable`. Safe to use from several threads.

    Args:
        table: The opened table.
        token_texts: Id of a token -> its text, as `tokenizers.Tokenizer.id_to_token`.
        query_prefix, document_prefix: Put in front of every query or document.
    """

    def __init__(
        self, table: StaticTable, token_texts: Any, *, query_prefix: str = "", document_prefix: str = ""
    ) -> None:
        self.table, self._token_texts = table, token_texts
        self.query_prefix, self.document_prefix = query_prefix, document_prefix

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts with the document prefix, as `embed`."""
        return self.embed(add_prefix(self.document_prefix, texts), progress=progress)

    def embed_queries(self, texts: Sequence[str], *, progress: Progress | None = None) -> FloatArray:
        """Embed texts with the query prefix, as `embed`."""
        return self.embed(add_prefix(self.query_prefix, texts), progress=progress)

    def embed(self, texts: Sequence[str], batch_size: int = _WINDOW, progress: Progress | None = None) -> FloatArray:
        """Embed texts without a prefix.

        Args:
            texts: Any texts, the empty one included: what has no known token gets a vector that is nearly orthogonal to
                all others. Of each, at most the first `MAX_CHARACTERS` characters are read.
            batch_size: Texts that are tokenised together.
            progress: See `Progress`.

        Returns:
            Unit rows in the order of `texts`, shape (n, d_in), float32.

        Raises:
            DataError: A single str, an item that is not a str, or a text that is not valid Unicode (lone surrogate).
            ConfigError: `batch_size` is below 1.
        """
        texts = check_texts(texts)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
        out = np.empty((len(texts), len(self.table.blank)), np.float32)
        for start in range(0, len(texts), batch_size):
            out[start : start + batch_size] = self.table.embed_tokens(self._tokenise(texts[start : start + batch_size]))
            if progress is not None:
                progress(min(start + batch_size, len(texts)), len(texts))
        if not np.isfinite(out).all():
            row = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
            raise BundleError(f"the embedder gave NaN or infinite numbers for text {row}: export the bundle again")
        return out

    def document_parts(self, texts: Sequence[str]) -> list[TokenParts] | None:
        """Return what each token of documents adds to their embeddings, the prefix's too; None with a bent layer.

        Errors as in `embed`.
        """
        texts, before = check_texts(texts), len(self.document_prefix)
        read = [self.document_prefix + text for text in texts]
        with no_panic(f"the tokenizer of the bundle gave up on a text of {max(map(len, read), default=0)} characters"):
            found = self.table.token_vectors(read)
        if found is None:
            return None
        return [
            TokenParts(parts_of_mean(vectors), spans_in(text, offsets, before))
            for text, (vectors, offsets) in zip(texts, found, strict=True)
        ]

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the ids of the known tokens of texts, without prefix; a text may have none.

        Raises:
            DataError: Not a list of texts.
        """
        return self._tokenise(check_texts(texts))

    def token_text(self, token: int) -> str:
        """Return the text of a token; empty for an unknown id."""
        return self._token_texts(token) or ""

    def _tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        with no_panic(f"the tokenizer of the bundle gave up on a text of {max(map(len, texts), default=0)} characters"):
            return self.table.tokenise(texts)


def open_static(folder: Path, manifest: Manifest, threads: int | None, profile: MemoryProfile) -> StaticEmbedder:
    """Open the embedder of a bundle; a BundleError when its files cannot be read or do not fit the manifest."""
    try:
        table = _read_table(folder / TABLE)
        content = read_json(folder / RULE, _MAX_BYTES)
        check_version(folder / RULE, content["format_version"], FORMAT_VERSION)
        plan = _read_plan(content, table.shape[1], manifest.d_in)
        parts = read_arrays(folder / PARTS, plan)
        _check_parts(parts, len(table))
        tokenizer = open_tokenizer(folder / TOKENIZER, manifest.max_length)
        held = min([len(parts[name]) for name in ("rows", "factors") if name in parts] or [len(table)])
        if "rows" not in parts:
            held = min(held, len(table))
        if (largest := max(tokenizer.get_vocab().values(), default=0)) >= held:
            raise ValueError(f"the tokenizer has the id {largest}, there are vectors for {held} tokens")
        opened = StaticTable(
            tokenizer,
            table,
            Rule(manifest.max_length, content["characters"], content["unknown"]),
            rows=parts.get("rows"),
            factors=parts.get("factors"),
            layers=[
                Layer(activation, parts.get(f"weight_{i}"), parts.get(f"bias_{i}"))
                for i, activation in enumerate(content["layers"])
            ],
            blank=parts["blank"],
        )
    except MALFORMED as error:
        reason = first_line(str(error), type(error).__name__)
        raise BundleError(f"the static embedder in {folder} cannot be used ({reason:.300}): {CURE}") from error
    prefixes = {"query_prefix": manifest.query_prefix, "document_prefix": manifest.document_prefix}
    return StaticEmbedder(opened, tokenizer.id_to_token, **prefixes)


def _read_table(path: Path) -> NDArray[Any]:
    """Map the table into memory; a ValueError when it is not one."""
    table = np.load(path, mmap_mode="r", allow_pickle=False)
    if table.ndim != 2 or table.dtype not in _DTYPES or not table.size or not table.flags.c_contiguous:
        raise ValueError(f"{path.name} is {table.dtype} {table.shape}, expected numbers (tokens, width)")
    # A plain array over the same memory: indexing a memmap takes twice as long.
    return np.asarray(table)


def _read_plan(content: Any, width: int, d_in: int) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Check the content of `RULE` and return the arrays of `PARTS` that it says: name -> kind and shape."""
    layers, shapes = content["layers"], content["shapes"]
    if not isinstance(layers, list) or not isinstance(shapes, dict) or len(layers) > MAX_LAYERS:
        raise ValueError(f"layers are {str(layers)[:80]}")
    for activation in layers:
        if activation not in (*ACTIVATIONS, NORMALIZE):
            raise ValueError(f"the activation {str(activation)[:40]!r} is not known")
    unknown, characters = content["unknown"], content["characters"]
    if not (unknown is None or (type(unknown) is int and unknown >= 0)):
        raise ValueError(f"unknown is {unknown!r}")
    if type(characters) is not int or not 1 <= characters <= MAX_CHARACTERS:
        raise ValueError(f"characters is {characters!r}, expected 1 to {MAX_CHARACTERS:,}")
    plan: dict[str, tuple[str, tuple[int | None, ...]]] = {"blank": ("f", (d_in,))}
    plan |= {name: (kind, (None,)) for name, kind in (("rows", "i"), ("factors", "f")) if content[name] is True}
    for i in range(len(layers)):
        if f"weight_{i}" in shapes:
            wide = shapes[f"weight_{i}"]
            if type(wide) is not int or not 1 <= wide <= MAX_WIDTH:
                raise ValueError(f"weight_{i} gives {wide!r} numbers")
            plan[f"weight_{i}"], width = ("f", (wide, width)), wide
        if f"bias_{i}" in shapes:
            plan[f"bias_{i}"] = ("f", (width,))
    if width != d_in:
        raise ValueError(f"it gives {width} numbers for a text, the manifest says {d_in}")
    return plan


def _check_parts(parts: dict[str, Any], n_rows: int) -> None:
    for name, array in parts.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite numbers")
    if abs(float(np.linalg.norm(parts["blank"])) - 1) > UNIT_TOLERANCE:
        raise ValueError("blank is no unit vector")
    rows = parts.get("rows")
    if rows is not None and len(rows) and (rows.min() < 0 or rows.max() >= n_rows):
        raise ValueError(f"a token points to row {rows.max()}, the table has {n_rows}")
