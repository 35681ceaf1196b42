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

from ...errors import DataError
from ...metrics import FloatArray, IntArray
from ..bundle import Bundle
from .detection import Trial
from .entries import Pattern
from .token_model import TokenModel


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
