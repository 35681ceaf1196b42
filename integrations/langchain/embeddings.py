"""`SteerableEmbeddings`: the bundle's embedder, without torch, for any LangChain vector store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import ArrayLike

from ...arrays import FloatArray
from ...errors import ConfigError, DataError
from ...runtime import Bundle

PROBE = "The observatory recorded three solar storms in the spring of 1989."
"""Any sentence: two embedders that agree on it to `SAME_EMBEDDER` are taken for the same."""
SAME_EMBEDDER = 0.8
"""Least cosine of one text under one embedder in two precisions, or with and without its prompt. Others are near 0."""


class SteerableEmbeddings(Embeddings):
    """Unit embeddings from a bundle (a folder or an opened one), so that it can steer another store's vectors."""

    def __init__(self, bundle: str | Path | Bundle) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the unit vectors of texts, shape (n, d_in); `DataError` for anything but a list of strings."""
        rows: list[list[float]] = self.bundle.embed_documents(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a text, shape (d_in,); `DataError` for anything but a string."""
        row: list[float] = self.bundle.embed_queries([text])[0].tolist()
        return row


def normalised(vectors: ArrayLike, what: str) -> FloatArray:
    """Return vectors as unit rows (n, d), float32; `DataError` when they differ in width or one has no direction."""
    try:
        rows = np.asarray(vectors, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: the vectors are no numbers of one width ({error})") from error
    if rows.ndim != 2:
        raise DataError(f"{what}: the vectors have shape {rows.shape}, expected (n, d)")
    lengths = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise DataError(f"{what}: vector {bad[0]} has length {lengths[bad[0]]:.4g} and so no direction")
    unit: FloatArray = (rows / lengths[:, None]).astype(np.float32)
    return unit


def bundle_for(bundle: str | Path | Bundle, embeddings: Any, default: Any, what: str) -> Bundle:
    """Open a bundle with what embeds its texts.

    Args:
        bundle: The folder, or an opened bundle.
        embeddings: What was given as ``embeddings=``; None for nothing.
        default: The embeddings of a store, for a bundle without an embedder to which none was given.
        what: The store, for messages.

    Raises:
        ConfigError: The bundle has no embedder and neither is there.
        BundleError: The bundle cannot be used.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    if opened.embeds:
        return opened
    brought = default if embeddings is None else embeddings
    if brought is None:
        made = opened.manifest.embedder["id"]
        raise ConfigError(
            f"{opened.path} has no embedder and {what} names none: give embeddings=, those that made its vectors"
            + (f" ({made})" if made else "")
        )
    return opened.with_embedder(brought)


def check_same_space(embedding: Any, bundle: Bundle, what: str) -> None:
    """Check that an embedder and a bundle embed one sentence alike: else steering would be noise, a `ConfigError`."""
    theirs, ours = normalised([embedding.embed_query(PROBE)], what)[0], bundle.embed_queries([PROBE])[0]
    cure = f"use the bundle of that embedder, or embed the documents with SteerableEmbeddings({str(bundle.path)!r})"
    if len(theirs) != len(ours):
        raise ConfigError(f"{what} has dimension {len(theirs)} and the bundle {bundle.path} has {len(ours)}: {cure}")
    cosine = float(theirs @ ours)
    if cosine < SAME_EMBEDDER:
        raise ConfigError(
            f"{what} and the bundle {bundle.path} embed the same sentence with cosine {cosine:.2f}, "
            f"expected at least {SAME_EMBEDDER}: they are different embedders; {cure}"
        )
