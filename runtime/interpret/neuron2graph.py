"""Neuron-to-Graph for sentence encoders: predict from the words of a text whether a latent fires on it.

A latent is described in two ways. Its *patterns*, a trie, are for people: the words in its strongest sentences that it
cannot do without, with substitutes that work as well. Its *token shares* say how much any word of any text adds.
`predict` uses the shares, since the few patterns of a latent match few of the texts on which it fires. The table of
shares starts from what each token adds in the sentences that were read, where the embedder tells that.

References:
    Foote et al. 2023, "Neuron to Graph: Interpreting Language Model Neurons at Scale", arXiv:2305.19911.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...arrays import FloatArray, IntArray, unit_rows
from ..bundle.autoencoder import check_latents
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Pattern
from .scoring import EvaluationSet

RIDGE = 1.0
ITERATIONS = 20
DOCUMENT_WEIGHT = 2.0
"""Weight of a document in the fit, where a sentence has 1: the prediction is for documents."""


@dataclass(frozen=True)
class TokenModel:
    """One vector per token; a text points where the sum of its tokens' vectors points.

    The share of a token in a latent is the token's vector times the latent's atom, so one table serves all latents.
    """

    tokens: IntArray
    """Known token ids, ascending, shape (m,)."""
    idf: FloatArray
    """Inverse document frequency of each, shape (m,)."""
    table: FloatArray
    """One vector per token, shape (m, d_in)."""

    def directions(self, texts: Sequence[IntArray]) -> FloatArray:
        """Predict centred embeddings from token ids: unit rows, shape (n, d_in); zeros without a known token."""
        return unit_rows(self.sums(texts))

    def sums(self, texts: Sequence[IntArray]) -> FloatArray:
        """Return the same without scaling, so that the parts of a text add up to the text, shape (n, d_in)."""
        return _product(_weights(texts, self.tokens, self.idf, unit=False), self.table)

    def shares(self, atom: FloatArray) -> FloatArray:
        """Return how much each token adds to the latent with this atom, before scaling, shape (m,)."""
        share: FloatArray = self.idf * (self.table @ atom)
        return share


class TokenMeans(NamedTuple):
    """What tokens add to texts, on average over the places where they were read."""

    tokens: IntArray
    """Token ids, ascending, shape (m,)."""
    vectors: FloatArray
    """Centred, shape (m, d_in); shorter for a token that was read seldom."""


def fit_token_model(
    documents: Sequence[IntArray],
    targets: FloatArray,
    sentences: Sequence[IntArray],
    sentence_targets: FloatArray,
    means: TokenMeans | None = None,
) -> TokenModel:
    """Fit token vectors to embeddings: ridge regression by conjugate gradients.

    The regression knows only sums over whole texts. `means`, which an embedder tells that pools by the mean, know each
    token by itself: what is fitted then is the difference from them.

    Args:
        documents: Token ids of each document.
        targets: Their centred embeddings, unit rows, shape (n, d_in).
        sentences: Token ids of sentences of the documents; they separate words that always occur together.
        sentence_targets: Centred embeddings of the sentences.
        means: What the tokens add, where that is known.
    """
    tokens = np.unique(np.concatenate(list(documents)))
    frequency = np.zeros(len(tokens), np.int64)
    for ids in documents:
        frequency[np.searchsorted(tokens, np.unique(ids))] += 1
    idf = np.log(len(documents) / frequency).astype(np.float32)
    rows, more = _weights(documents, tokens, idf, unit=True), _weights(sentences, tokens, idf, unit=True)
    values = [v * np.float32(DOCUMENT_WEIGHT) for v in rows.values] + more.values
    weighted = _SparseRows(rows.columns + more.columns, values)
    goal = np.concatenate([targets * np.float32(DOCUMENT_WEIGHT), sentence_targets])
    start = np.zeros((len(tokens), targets.shape[1]), np.float32)
    if means is not None and len(means.tokens):
        at = np.minimum(np.searchsorted(means.tokens, tokens), len(means.tokens) - 1)
        known = means.tokens[at] == tokens
        start[known] = means.vectors[at[known]]
        image = _product(weighted, start)
        scale = np.float32((goal * image).sum() / max(float((image * image).sum()), 1e-12))
        start *= scale
        goal = goal - image * scale
    return TokenModel(tokens, idf, start + _solve(weighted, _transposed(weighted, len(tokens)), goal))


@dataclass(frozen=True)
class Calibration:
    """From the predicted share of a text in a latent to its activation: ``slope * share + offset``, at least 0."""

    slope: FloatArray
    """Shape (n_latents,); 0 where a latent fired too seldom to fit anything."""
    offset: FloatArray
    """Shape (n_latents,)."""


def calibrate(shares: FloatArray, activations: FloatArray, documents: EvaluationSet) -> tuple[float, float]:
    """Fit one latent by least squares, with the same total weight for positives, near misses and random negatives.

    Args:
        shares: Cosine of predicted embedding and atom per document, shape (n,).
        activations: In typical units, shape (n,); 0 where not active.
        documents: Documents to fit on.

    Returns:
        Slope, at least 0, and offset.
    """
    kinds = [documents.positives, documents.near_misses, documents.random]
    rows = np.concatenate(kinds)
    weights = np.concatenate([np.full(len(kind), 1 / len(kind)) for kind in kinds if len(kind)])
    x, y = shares[rows].astype(np.float64), activations[rows].astype(np.float64)
    weights /= weights.sum()
    x_mean, y_mean = weights @ x, weights @ y
    variance, covariance = weights @ (x - x_mean) ** 2, weights @ ((x - x_mean) * (y - y_mean))
    slope = max(float(covariance / variance), 0.0) if variance > 1e-12 else 0.0
    return slope, float(y_mean - slope * x_mean)


@dataclass(frozen=True)
class Neuron2Graph:
    """A predictor of activations from words. `read_graph` reads the one of a bundle."""

    bundle: Bundle
    model: TokenModel
    calibration: Calibration
    patterns: Mapping[int, tuple[Pattern, ...]]
    """Patterns of each latent that has any."""

    def predict(self, texts: list[str], latents: Sequence[int] | None = None) -> FloatArray:
        """Predict the activations of latents (j ids; all when None) without running the embedder.

        Returns:
            Activations in typical units, shape (n, j), float32 >= 0.

        Raises:
            DataError: A latent outside the bundle, or not a list of texts.
        """
        ids = check_latents(range(self.bundle.n_latents) if latents is None else latents, self.bundle.n_latents)
        shares = self.model.directions(self.bundle.tokenise(texts)) @ self.bundle.atoms[ids].T
        predicted: FloatArray = np.maximum(shares * self.calibration.slope[ids] + self.calibration.offset[ids], 0.0)
        return predicted

    def shares(self, latent: int, text: str) -> list[tuple[str, float]]:
        """Return how much each token of a text adds to a latent, in reading order; unknown tokens add nothing."""
        [row] = check_latents([latent], self.bundle.n_latents)
        [ids] = self.bundle.tokenise([text])
        known = self.model.shares(self.bundle.atoms[row])
        at = np.minimum(np.searchsorted(self.model.tokens, ids), len(known) - 1)
        added = np.where(self.model.tokens[at] == ids, known[at], 0.0)
        return [(self.bundle.token_text(int(token)), float(share)) for token, share in zip(ids, added, strict=True)]

    def matches(self, latent: int, text: str) -> tuple[Pattern, ...]:
        """Return the patterns of a latent that a text contains: at least one word of every place."""
        words = f" {' '.join(text.casefold().split())} "
        return tuple(
            pattern
            for pattern in self.patterns.get(latent, ())
            if all(any(word in words for word in place) for place in pattern.tokens)
        )


@dataclass(frozen=True)
class _SparseRows:
    """A sparse matrix, row by row."""

    columns: list[IntArray]
    values: list[FloatArray]


def _weights(texts: Sequence[IntArray], tokens: IntArray, idf: FloatArray, *, unit: bool) -> _SparseRows:
    """Return (1 + log count) idf of the known tokens of each text; as unit rows where `unit`."""
    columns, values = [], []
    for ids in texts:
        present, counts = np.unique(ids, return_counts=True)
        at = np.minimum(np.searchsorted(tokens, present), len(tokens) - 1)
        known = tokens[at] == present
        at, weight = at[known], ((1 + np.log(counts[known])) * idf[at[known]]).astype(np.float32)
        columns.append(at)
        values.append(weight / max(float(np.linalg.norm(weight)), 1e-6) if unit else weight)
    return _SparseRows(columns, values)


def _transposed(rows: _SparseRows, n_columns: int) -> _SparseRows:
    lengths = [len(columns) for columns in rows.columns]
    columns, values = np.concatenate(rows.columns), np.concatenate(rows.values)
    numbers = np.repeat(np.arange(len(lengths)), lengths)
    order = np.argsort(columns, kind="stable")
    ends = np.searchsorted(columns[order], np.arange(1, n_columns))
    return _SparseRows(np.split(numbers[order], ends), np.split(values[order], ends))


def _product(rows: _SparseRows, matrix: FloatArray) -> FloatArray:
    """Multiply sparse rows by a dense matrix, shape (rows, width).

    One small product per row is four times as fast as gathering blocks of rows.
    """
    out = np.empty((len(rows.columns), matrix.shape[1]), np.float32)
    for i, (columns, values) in enumerate(zip(rows.columns, rows.values, strict=True)):
        out[i] = values @ matrix[columns]
    return out


def _solve(rows: _SparseRows, transposed: _SparseRows, goal: FloatArray) -> FloatArray:
    """Minimise `|rows X - goal|^2 + RIDGE |X|^2` for each column by conjugate gradients, starting from zero."""
    residual = _product(transposed, goal)
    solution, direction = np.zeros_like(residual), residual.copy()
    before = (residual * residual).sum(0)
    for _ in range(ITERATIONS):
        image = _product(transposed, _product(rows, direction)) + np.float32(RIDGE) * direction
        step = before / np.maximum((direction * image).sum(0), 1e-12)
        solution += step * direction
        residual -= step * image
        after = (residual * residual).sum(0)
        direction = residual + (after / np.maximum(before, 1e-12)) * direction
        before = after
    return solution
