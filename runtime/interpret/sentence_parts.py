"""Sentences read with what each of their tokens adds to the embedding, where the bundle's embedder gives that.

One pass tells the embeddings of sentences, which words of a sentence a latent is active for, and what a token means on
average in its contexts, from which the token model starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...arrays import FloatArray, IntArray
from ..bundle.bundle import Bundle
from .neuron2graph import TokenMeans
from .occlusion import chunks_of

BLOCK = 256
Saliency = tuple[tuple[int, int, float], ...]


class SentenceParts(NamedTuple):
    """What `read_parts` finds out."""

    embeddings: FloatArray
    """Unit rows, shape (n, d_in)."""
    saliency: dict[tuple[str, int], Saliency]
    """(sentence, latent) -> characters of its chunks, and the share of what sets the sentence apart that each has in
    the latent, 0 to 1, in reading order."""
    means: TokenMeans


def gives_parts(bundle: Bundle) -> bool:
    """Return whether the embedder of a bundle tells what each token adds."""
    return bundle.document_parts([]) is not None


def read_parts(
    bundle: Bundle,
    texts: Sequence[str],
    latents: Mapping[str, Sequence[int]],
    mean: FloatArray,
    report: Callable[[int, int], None],
) -> SentenceParts:
    """Read sentences with a bundle that `gives_parts`.

    Args:
        bundle: The bundle.
        texts: The sentences.
        latents: Sentence -> latents whose words are looked for in it.
        mean: Mean embedding of the documents, shape (d_in,): what all texts have in common sets none apart.
        report: Called with (sentences read, all).
    """
    ids = bundle.tokenise([bundle.manifest.document_prefix + text for text in texts])
    tokens = np.unique(np.concatenate(ids)) if ids else np.empty(0, np.int64)
    sums, counts = np.zeros((len(tokens), bundle.d_in), np.float32), np.zeros(len(tokens), np.int64)
    embeddings = np.empty((len(texts), bundle.d_in), np.float32)
    saliency: dict[tuple[str, int], Saliency] = {}
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        parts = bundle.document_parts(list(block)) or []
        for i, (text, part) in enumerate(zip(block, parts, strict=True), start):
            embeddings[i] = part.vectors.sum(0, np.float64)
            wanted = list(latents.get(text, ()))
            above = (part.vectors - mean / len(part.vectors)) @ bundle.atoms[wanted].T
            chunks = chunks_of(text)
            for latent, column in zip(wanted, above.T, strict=True):
                saliency[text, latent] = _saliency(chunks, part.spans, column)
        # A text is the mean of its tokens, so a token's part grows with their number.
        vectors = np.concatenate([part.vectors * np.float32(len(part.vectors)) for part in parts])
        _add_up(sums, counts, np.searchsorted(tokens, np.concatenate(ids[start : start + BLOCK])), vectors)
        report(start + len(block), len(texts))
    middle = embeddings.sum(0) / max(len(texts), 1)
    centred = (sums - counts[:, None] * middle) / (counts[:, None] + 1)
    return SentenceParts(embeddings, saliency, TokenMeans(tokens, centred.astype(np.float32)))


def _saliency(chunks: Sequence[tuple[int, int]], spans: IntArray, shares: FloatArray) -> Saliency:
    total = float(shares.sum())
    if total <= 0:
        return ()
    inside = [(spans[:, 0] >= a) & (spans[:, 1] <= b) & (spans[:, 1] > spans[:, 0]) for a, b in chunks]
    return tuple(
        (a, b, round(float(np.clip(shares[here].sum() / total, 0, 1)), 3))
        for (a, b), here in zip(chunks, inside, strict=True)
    )


def _add_up(sums: FloatArray, counts: IntArray, rows: IntArray, vectors: FloatArray) -> None:
    """Add vectors, shape (n, d_in), to the rows of `sums` that are theirs."""
    order = np.argsort(rows, kind="stable")
    present, first, count = np.unique(rows[order], return_index=True, return_counts=True)
    sums[present] += np.add.reduceat(vectors[order], first, axis=0)
    counts[present] += count
