"""Whether an embedder made the vectors that somebody has: a few documents are embedded and compared."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from ..arrays import FloatArray
from ..errors import ConfigError
from .given import Vectors

logger = logging.getLogger(__name__)

COMPARED = 8
"""Documents that an embedder embeds, to see that it is the one that made the vectors."""
SAME_EMBEDDER = 0.8
"""Least median cosine with their vectors. Texts with a title or a prompt more stay above, other models are near 0."""


def check_fits(embed: Callable[[list[str]], FloatArray], held: Vectors) -> None:
    """Check that an embedder gives the vectors of a few documents.

    Args:
        embed: Texts to unit rows, shape (n, width), float32; called once.
        held: Vectors with their documents.

    Raises:
        ConfigError: They have another width or another direction.
    """
    assert held.documents is not None
    n = len(held.rows)
    rows = np.unique(np.linspace(0, n - 1, min(COMPARED, n)).astype(int))
    wanted = set(rows.tolist())
    texts = [text for at, text in enumerate(held.documents.texts()) if at in wanted]
    found = embed(texts)
    if found.shape[1] != held.rows.shape[1]:
        raise ConfigError(
            f"the embedder gives {found.shape[1]} numbers per text, {held.name} has {held.rows.shape[1]}: give the "
            "embedder that made these vectors"
        )
    cosine = float(np.median((found * held.rows[rows]).sum(1)))
    if cosine < SAME_EMBEDDER:
        raise ConfigError(
            f"the embedder and {held.name} have a median cosine of {cosine:.2f} on {len(found)} documents, expected "
            f"at least {SAME_EMBEDDER}: give the embedder that made these vectors, and the texts that it embedded"
        )
    logger.info("the embedder gives the vectors of %d documents with a median cosine of %.4f", len(found), cosine)
