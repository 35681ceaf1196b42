"""Neuron-to-Graph for sentence encoders: from the words of a text, whether a latent fires on it.

Two readings of a latent that complete each other. Its *patterns*, a trie, are what people read: the words in its
strongest sentences that it cannot do without, with substitutes that work as well. Its *token shares* say what any word
of any text adds; they are what `predict` uses, since the few patterns of a latent match few of the texts it fires on.

References:
    Foote et al. 2023, "Neuron to Graph: Interpreting Language Model Neurons at Scale", arXiv:2305.19911.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import FloatArray, IntArray, unit_rows
from ...errors import DataError
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Pattern
from .scoring import Trial

RIDGE = 1.0
ITERATIONS = 20
DOCUMENT_WEIGHT = 2.0
"""How much more the fit to a document counts than that to a sentence: documents are what is predicted."""


@dataclass(frozen=True)
class TokenModel:
    """One vector per token; a text points where the sum of its tokens' vectors points.

    A latent's share in a token is the token's vector times the latent's atom, so one table explains all latents.
    """

    tokens: IntArray
    """Token ids that were seen, ascending, shape (m,)."""
    idf: FloatArray
    """Inverse document frequency of each, shape (m,)."""
    table: FloatArray
    """Shape (m, d_in)."""

    def directions(self, texts: Sequence[IntArray]) -> FloatArray:
        """Predicted embeddings.

        Args:
            texts: Token ids of each text.

        Returns:
            Unit rows, the mean taken away, shape (n, d_in); zeros for a text of which no token is known.
        """
        return unit_rows(self.sums(texts))

    def sums(self, texts: Sequence[IntArray]) -> FloatArray:
        """The same with the lengths that make the parts of a text add up to the text, shape (n, d_in)."""
        return _product(_rows(texts, self.tokens, self.idf, unit=False), self.table)

    def shares(self, atom: FloatArray) -> FloatArray:
        """What each token adds to a latent with this atom, before a text's length is divided out, shape (m,)."""
        share: FloatArray = self.idf * (self.table @ atom)
        return share


@dataclass(frozen=True)
class _Rows:
    """A sparse matrix, row by row."""

    columns: list[IntArray]
    values: list[FloatArray]


def fit_token_model(
    documents: Sequence[IntArray], targets: FloatArray, sentences: Sequence[IntArray], sentence_targets: FloatArray
) -> TokenModel:
    """Ridge regression from tokens to embeddings, by conjugate gradients.

    Args:
        documents: Token ids of each document.
        targets: Their embeddings, unit rows after the mean is taken away, shape (n, d_in).
        sentences: Token ids of sentences of the documents; they tell words apart that always come together.
        sentence_targets: The same for them.
    """
    tokens = np.unique(np.concatenate(list(documents)))
    found = np.zeros(len(tokens), np.int64)
    for ids in documents:
        found[np.searchsorted(tokens, np.unique(ids))] += 1
    idf = np.log(len(documents) / found).astype(np.float32)
    rows, more = _rows(documents, tokens, idf, unit=True), _rows(sentences, tokens, idf, unit=True)
    weighted = _Rows(rows.columns + more.columns, [v * np.float32(DOCUMENT_WEIGHT) for v in rows.values] + more.values)
    goal = np.concatenate([targets * np.float32(DOCUMENT_WEIGHT), sentence_targets])
    return TokenModel(tokens, idf, _solve(weighted, _transposed(weighted, len(tokens)), goal))


def _rows(texts: Sequence[IntArray], tokens: IntArray, idf: FloatArray, *, unit: bool) -> _Rows:
    """Weights (1 + log count) idf of the known tokens of each text."""
    columns, values = [], []
    for ids in texts:
        present, counts = np.unique(ids, return_counts=True)
        at = np.minimum(np.searchsorted(tokens, present), len(tokens) - 1)
        known = tokens[at] == present
        at, weight = at[known], ((1 + np.log(counts[known])) * idf[at[known]]).astype(np.float32)
        columns.append(at)
        values.append(weight / max(float(np.linalg.norm(weight)), 1e-6) if unit else weight)
    return _Rows(columns, values)


def _transposed(rows: _Rows, n_columns: int) -> _Rows:
    lengths = [len(columns) for columns in rows.columns]
    columns, values = np.concatenate(rows.columns), np.concatenate(rows.values)
    numbers = np.repeat(np.arange(len(lengths)), lengths)
    order = np.argsort(columns, kind="stable")
    ends = np.searchsorted(columns[order], np.arange(1, n_columns))
    return _Rows(np.split(numbers[order], ends), np.split(values[order], ends))


def _product(rows: _Rows, matrix: FloatArray) -> FloatArray:
    """Sparse times dense, shape (rows, width). One small product per row beats gathering blocks of rows fourfold."""
    out = np.empty((len(rows.columns), matrix.shape[1]), np.float32)
    for i, (columns, values) in enumerate(zip(rows.columns, rows.values, strict=True)):
        out[i] = values @ matrix[columns]
    return out


def _solve(rows: _Rows, transposed: _Rows, goal: FloatArray) -> FloatArray:
    """`argmin |rows X - goal|^2 + RIDGE |X|^2`, each column on its own, by conjugate gradients from zero."""
    left = _product(transposed, goal)
    solution, direction = np.zeros_like(left), left.copy()
    before = (left * left).sum(0)
    for _ in range(ITERATIONS):
        image = _product(transposed, _product(rows, direction)) + np.float32(RIDGE) * direction
        step = before / np.maximum((direction * image).sum(0), 1e-12)
        solution += step * direction
        left -= step * image
        after = (left * left).sum(0)
        direction = left + (after / np.maximum(before, 1e-12)) * direction
        before = after
    return solution


@dataclass(frozen=True)
class Calibration:
    """From the share that tokens have in a latent to its activation: ``slope * share + offset``, not below zero."""

    slope: FloatArray
    """Shape (n_latents,); 0 where a latent fired too seldom to fit anything."""
    offset: FloatArray
    """Shape (n_latents,)."""


def calibrate(shares: FloatArray, activations: FloatArray, trial: Trial) -> tuple[float, float]:
    """Least squares over the documents of a trial, where positives, near misses and random ones weigh the same.

    Args:
        shares: Cosine of predicted embedding and atom per document, shape (n,).
        activations: In typical units, shape (n,); 0 where not active.
        trial: Documents to fit on.

    Returns:
        Slope, at least 0, and offset.
    """
    kinds = [trial.positives, trial.near, trial.random]
    rows = np.concatenate(kinds)
    weights = np.concatenate([np.full(len(kind), 1 / len(kind)) for kind in kinds if len(kind)])
    x, y = shares[rows].astype(np.float64), activations[rows].astype(np.float64)
    weights /= weights.sum()
    x_mean, y_mean = weights @ x, weights @ y
    spread, together = weights @ (x - x_mean) ** 2, weights @ ((x - x_mean) * (y - y_mean))
    slope = max(float(together / spread), 0.0) if spread > 1e-12 else 0.0
    return slope, float(y_mean - slope * x_mean)


@dataclass(frozen=True)
class Neuron2Graph:
    """Predicts activations from words; see the module. `read_graph` of `storage` opens the one of a bundle."""

    bundle: Bundle
    """Tokenizer and atoms."""
    model: TokenModel
    """From tokens to directions."""
    calibration: Calibration
    """From directions to activations."""
    patterns: Mapping[int, tuple[Pattern, ...]]
    """Patterns of each latent that has any."""

    def predict(self, texts: list[str], latents: Sequence[int] | None = None) -> FloatArray:
        """Predicted activations in units of what is typical, shape (n, j), float32 >= 0.

        Args:
            texts: Texts, seen or not; the embedder is not run.
            latents: Latent ids, shape (j,); all when None.

        Raises:
            DataError: A latent outside the bundle, or not a list of texts.
        """
        ids = self._check(range(self.bundle.n_latents) if latents is None else latents)
        shares = self.model.directions(self.bundle.tokenise(texts)) @ self.bundle.atoms[ids].T
        predicted: FloatArray = np.maximum(shares * self.calibration.slope[ids] + self.calibration.offset[ids], 0.0)
        return predicted

    def shares(self, latent: int, text: str) -> list[tuple[str, float]]:
        """What each token of a text adds for a latent or takes away, in reading order; unknown tokens add nothing.

        Raises:
            DataError: A latent outside the bundle.
        """
        [row] = self._check([latent])
        [ids] = self.bundle.tokenise([text])
        known = self.model.shares(self.bundle.atoms[row])
        at = np.minimum(np.searchsorted(self.model.tokens, ids), len(known) - 1)
        added = np.where(self.model.tokens[at] == ids, known[at], 0.0)
        return [(self.bundle.token_text(int(token)), float(share)) for token, share in zip(ids, added, strict=True)]

    def matches(self, latent: int, text: str) -> tuple[Pattern, ...]:
        """Patterns of the latent that stand in the text: of every place at least one word."""
        words = f" {' '.join(text.casefold().split())} "
        return tuple(
            pattern
            for pattern in self.patterns.get(latent, ())
            if all(any(word in words for word in place) for place in pattern.tokens)
        )

    def _check(self, latents: Sequence[int]) -> IntArray:
        ids = np.asarray(latents, np.int64)
        last = self.bundle.n_latents - 1
        if ids.size and not (0 <= ids.min() and ids.max() <= last):
            raise DataError(f"latent ids reach from {ids.min()} to {ids.max()}: this bundle has 0 to {last}")
        return ids
