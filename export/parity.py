"""The parity gate: exported graphs, run by the runtime itself, must reproduce the torch model on real texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ..arrays import FloatArray, IntArray
from ..errors import ExportMismatchError
from ..metrics import ranking_kept
from ..runtime.bundle.manifest import DECODER, ENCODER
from ..runtime.bundle.onnx_session import open_session
from ..training.sae import SparseAutoencoder
from .quantize import Precision

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MIN_TEXTS = 256
"""Real texts that every export is compared on, besides the edge cases."""
ALONE = 32
"""Texts that are also embedded alone, to see whether their batch changed them."""
SHORT = 160
"""Characters to which most texts are cut, so that the gate takes seconds."""
FULL_EVERY = 32
"""One text in this many is embedded in full."""
LONGEST = 40_000
"""Characters of the longest text, more than 512 tokens of any tokenizer."""
LONG_ENOUGH = 2048
"""Tokens from which on an embedder's full length is not tried: attention takes memory by the square of it."""
PARAGRAPH = 40
"""Characters that a paragraph of Python's documentation must exceed."""
BATCH_SIZE = 8
"""Small, since a long text pads all others of its batch to its length."""
EDGE_CASES = (
    "",
    " \t\n",
    "word",
    "\N{SLIGHTLY SMILING FACE}\N{ROCKET} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}",
    "ÀÉÎ naïve ß İ",
    "漢字 かな 한국어",
    "\x00\x07 control",
    "a" * 500,
    "x=[]; y={1:2}",
)
"""Texts that tokenizers or batches are known to treat differently."""


class Embed(Protocol):
    """An embedder of the runtime, as it embeds texts without a prefix."""

    def embed(self, texts: Sequence[str], batch_size: int = ...) -> FloatArray:
        """Embed texts as they are: unit rows, shape (n, d_in), float32."""


@dataclass(frozen=True)
class Tolerance:
    """The limits of one precision: a maximum for figures named `*_max_abs`, a minimum for all others."""

    embedder_max_abs: float
    embedder_min_cosine: float
    alone_max_abs: float
    end_to_end_agreement: float
    ndcg10_of_torch_ranking: float
    encoder_max_abs: float = 1e-4
    encoder_agreement: float = 0.999
    decoder_max_abs: float = 1e-4


FIGURES = tuple(field.name for field in fields(Tolerance))
SAE_FIGURES = ("encoder_max_abs", "encoder_agreement", "decoder_max_abs")
"""Figures that have a limit, and those of a bundle without an embedder."""
TOLERANCES: dict[Precision, Tolerance] = {
    # Measured on all-MiniLM-L6-v2: 2e-7. Deeper models have larger rounding errors; 1e-5 moves no score by .0001.
    "fp32": Tolerance(1e-5, 0.99999, 1e-5, end_to_end_agreement=0.999, ndcg10_of_torch_ranking=0.999),
    # Of a table of token vectors. Measured on 32,000 of 256 numbers: cosine .9999999.
    "fp16": Tolerance(1e-3, 0.9999, 1e-5, end_to_end_agreement=0.97, ndcg10_of_torch_ranking=0.98),
    # Measured: cosine .998; texts embedded alone and in a batch differ by 1e-7, since only weights are rounded.
    "w8": Tolerance(0.05, 0.99, 1e-5, end_to_end_agreement=0.85, ndcg10_of_torch_ranking=0.9),
    # Measured: cosine .995.
    "small": Tolerance(0.1, 0.97, 1e-5, end_to_end_agreement=0.75, ndcg10_of_torch_ranking=0.85),
    # Measured: cosine .97. Every text is run alone, so its batch cannot change it.
    "int8": Tolerance(0.15, 0.95, 1e-5, end_to_end_agreement=0.6, ndcg10_of_torch_ranking=0.75),
}


def parity_texts(sample_texts: Sequence[str], prefixes: Sequence[str] = ("",), max_length: int = 512) -> list[str]:
    """Choose at least `MIN_TEXTS` different real texts, the edge cases, and a text longer than the embedder reads.

    Args:
        sample_texts: Those of the checkpoint; paragraphs of Python's documentation are added where they are few.
        prefixes: The prefixes of documents and of queries.
        max_length: Tokens that the embedder reads. Above `LONG_ENOUGH`, the longest text has about so many.

    Returns:
        Each text with each prefix; once where the prefixes are the same.
    """
    real = list(dict.fromkeys(text for text in sample_texts if text.strip()))
    if len(real) < MIN_TEXTS:
        paragraphs = chain.from_iterable(topics[name].split("\n\n") for name in sorted(topics))
        real = list(dict.fromkeys([*real, *(text for text in paragraphs if len(text) > PARAGRAPH)]))[: 2 * MIN_TEXTS]
    spread = [real[i * len(real) // MIN_TEXTS] for i in range(MIN_TEXTS)]
    cut = [text if i % FULL_EVERY == 0 else text[:SHORT] for i, text in enumerate(spread)]
    longest = LONGEST if max_length <= LONG_ENOUGH else 4 * LONG_ENOUGH  # four characters a token
    texts = [*cut, *EDGE_CASES, " ".join(real)[:longest]]
    return [prefix + text for prefix in dict.fromkeys(prefixes) for text in texts]


def check_parity(
    folder: Path,
    embedder: Embed,
    reference: Callable[[Sequence[str]], FloatArray],
    sae: SparseAutoencoder,
    texts: Sequence[str],
    precision: Precision,
) -> dict[str, float | int]:
    """Compare what is in `folder` with the models that it was made of.

    Args:
        folder: Holds the graphs of the autoencoder.
        embedder: The exported embedder, opened by the runtime.
        reference: The embedder that was exported: texts to unit rows, shape (n, d_in), float32.
        sae: The autoencoder in torch, on the CPU.
        texts: From `parity_texts`.
        precision: Chooses the limits.

    Returns:
        The figures, for the manifest: maximal absolute differences, the smallest cosine, shares of equal latents, and
        `ndcg10_of_torch_ranking`: every text is a query for the others, and the first ten texts in torch's ranking are
        relevant, with grades from 10 to 1 (see `ranking_kept`). These are not human judgements.

    Raises:
        ExportMismatchError: A figure is outside its limit; all of them are named.
    """
    expected = reference(texts)
    actual = embedder.embed(texts, batch_size=BATCH_SIZE)
    # Shortest, longest, and some of every length between.
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows = [by_length[i * (len(texts) - 1) // (ALONE - 1)] for i in range(ALONE)]
    alone = np.concatenate([embedder.embed([texts[i]]) for i in rows])
    figures: dict[str, float | int] = {
        "texts": len(texts),
        "embedder_max_abs": _max_abs(actual, expected),
        "embedder_min_cosine": float((actual * expected).sum(1).min()),
        "alone_max_abs": _max_abs(alone, actual[rows]),
        "ndcg10_of_torch_ranking": ranking_kept(_cosines(expected), _cosines(actual)),
        **_compare_sae(folder, sae, expected, actual),
    }
    _check_tolerances(figures, precision)
    return figures


def check_sae_parity(folder: Path, sae: SparseAutoencoder, vectors: FloatArray) -> dict[str, float | int]:
    """Compare encoder and decoder in `folder` with torch, on vectors, shape (n, d_in), float32.

    Returns:
        The figures, for the manifest.

    Raises:
        ExportMismatchError: A figure is outside its limit; all of them are named.
    """
    compared = _compare_sae(folder, sae, vectors, vectors)
    figures: dict[str, float | int] = {"vectors": len(vectors), **compared}
    del figures["end_to_end_agreement"]
    _check_tolerances(figures, "fp32", SAE_FIGURES)
    return figures


def reference_embeddings(model: SentenceTransformer, texts: Sequence[str]) -> FloatArray:
    """Embed texts with sentence-transformers: unit rows, shape (n, d_in), float32."""
    # prompt="": as in training, texts have their prefix already and the model's default prompt is not added.
    rows = model.encode(list(texts), prompt="", batch_size=BATCH_SIZE, convert_to_numpy=True, show_progress_bar=False)
    return np.asarray(rows, np.float32)


def _compare_sae(folder: Path, sae: SparseAutoencoder, expected: FloatArray, actual: FloatArray) -> dict[str, float]:
    """Compare encoder and decoder on identical inputs, then the encoder on the embeddings of both embedders."""
    encoder, decoder = open_session(folder / ENCODER), open_session(folder / DECODER)
    with torch.no_grad():
        codes = sae.encode(torch.from_numpy(expected))
        decoded = sae.decode(codes.indices, codes.values).numpy()
    indices, values = (codes.indices.numpy(), codes.values.numpy())
    names = ["sae_indices", "sae_values"]
    same_indices, same_values = encoder.run(names, {"embeddings": expected})
    end_indices, _ = encoder.run(names, {"embeddings": actual})
    redecoded = decoder.run(["reconstruction"], {"sae_indices": indices, "sae_values": values})[0]
    return {
        # Both are sorted, so equal ranks are compared even where two equal latents are swapped.
        "encoder_max_abs": _max_abs(same_values, values),
        "encoder_agreement": topk_agreement(same_indices, indices),
        "end_to_end_agreement": topk_agreement(end_indices, indices),
        "decoder_max_abs": _max_abs(redecoded, decoded),
    }


def topk_agreement(a: IntArray, b: IntArray) -> float:
    """Return the share of latents that both codes of a text have, averaged over texts, in any order.

    Args:
        a: Latent ids, shape (n, k), unique within a row.
        b: The same shape.
    """
    n, k = a.shape
    shared = sum(len(np.intersect1d(row, other, assume_unique=True)) for row, other in zip(a, b, strict=True))
    return float(shared / (n * k))


def _cosines(embeddings: FloatArray) -> FloatArray:
    """Return the cosines of all pairs of texts, shape (n, n), with -2 for a text and itself."""
    scores: FloatArray = embeddings @ embeddings.T
    np.fill_diagonal(scores, -2)
    return scores


def _max_abs(a: FloatArray, b: FloatArray) -> float:
    return float(np.abs(a - b).max())


def _check_tolerances(figures: dict[str, float | int], precision: Precision, names: Sequence[str] = FIGURES) -> None:
    tolerance = TOLERANCES[precision]
    failures = []
    for name in names:
        limit = getattr(tolerance, name)
        value = figures[name]
        upper = name.endswith("_max_abs")
        # Written so that NaN fails.
        if not (value <= limit if upper else value >= limit):
            failures.append(f"{name} is {value:.6g}, allowed {'at most' if upper else 'at least'} {limit:g}")
    if failures:
        n = figures.get("texts", figures.get("vectors"))
        exact = "" if precision == "fp32" else "precision fp32, or "
        raise ExportMismatchError(
            f"the {precision} graphs do not reproduce the torch model on {n} texts, no bundle was "
            f"written: {'; '.join(failures)}. Try {exact}the other exporter (--via torch or optimum)"
        )
