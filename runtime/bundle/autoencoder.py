"""The sparse autoencoder of a bundle: embeddings to sparse codes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ...arrays import FloatArray, IntArray, as_numbers, check_finite_rows
from ...errors import DataError
from .manifest import DECODER, ENCODER
from .onnx_session import MemoryProfile, open_session, run

BATCH = 1024


class Autoencoder:
    """Encoder and decoder of a bundle, in two ONNX graphs that are opened on first use (`open_session`).

    Of the `n_latents` latents, `k` may be active per embedding. Safe to use from several threads.
    """

    def __init__(
        self,
        folder: Path,
        *,
        d_in: int,
        n_latents: int,
        k: int,
        threads: int | None = None,
        profile: MemoryProfile = "fast",
    ) -> None:
        self.d_in, self.n_latents, self.k = d_in, n_latents, k
        self._folder, self._threads, self._profile = folder, threads, profile

    def encode(self, embeddings: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the sparse codes of unit embeddings, shape (n, d_in), float32.

        Returns:
            Latent ids (n, k) int64 and activations (n, k) float32 >= 0, strongest first; 0 = not active.

        Raises:
            DataError: Wrong shape, or NaN or infinite numbers.
        """
        rows = check_finite_rows(
            embeddings,
            "embeddings",
            self.d_in,
            has="have",
            expected=f"this bundle takes (n, {self.d_in})",
            not_finite="embeddings hold NaN or infinite numbers",
        )
        indices, values = np.empty((len(rows), self.k), np.int64), np.empty((len(rows), self.k), np.float32)
        for start in range(0, len(rows), BATCH):
            block = slice(start, start + BATCH)
            indices[block], values[block] = run(self._encoder, None, {"embeddings": rows[block]})
        return indices, values

    def decode(self, indices: IntArray, values: FloatArray) -> FloatArray:
        """Reconstruct embeddings, shape (n, d_in), float32, not normalised.

        Args:
            indices: Latent ids, shape (n, m), int64; any m.
            values: Activations, shape (n, m), float32.

        Raises:
            DataError: Shapes differ, an id is outside the bundle, or a value is not finite.
        """
        latents, activations = as_numbers(indices, "indices", "have"), as_numbers(values, "values", "have")
        if latents.size and latents.dtype.kind not in "iu":
            raise DataError(f"indices have dtype {latents.dtype}: expected integers, the ids of latents")
        # A number too large for float32 becomes inf, which is refused below.
        with np.errstate(over="ignore"):
            ids, activations = latents.astype(np.int64, copy=False), activations.astype(np.float32, copy=False)
        if ids.ndim != 2 or ids.shape != activations.shape:
            raise DataError(f"indices have shape {ids.shape} and values {activations.shape}: both must be (n, m)")
        check_latents(ids, self.n_latents)
        if not np.isfinite(activations).all():
            raise DataError("values hold NaN or infinite numbers")
        if ids.shape[1] == 0:
            return np.tile(self.b_dec, (len(ids), 1))
        rows = np.empty((len(ids), self.d_in), np.float32)
        for start in range(0, len(ids), BATCH):
            block = slice(start, start + BATCH)
            rows[block] = run(self._decoder, None, {"sae_indices": ids[block], "sae_values": activations[block]})[0]
        return rows

    @cached_property
    def b_dec(self) -> FloatArray:
        """The decoder's bias, shape (d_in,): the reconstruction of an empty code."""
        empty = {"sae_indices": np.zeros((1, 1), np.int64), "sae_values": np.zeros((1, 1), np.float32)}
        row: FloatArray = run(self._decoder, None, empty)[0][0]
        return row

    @cached_property
    def atoms(self) -> FloatArray:
        """W_dec, unit rows, shape (n_latents, d_in), float32: one direction per latent."""
        # The atoms are decoded, so that the weights are on disk only once. Subtracting the bias is exact.
        ids = np.arange(self.n_latents, dtype=np.int64)[:, None]
        return self.decode(ids, np.ones_like(ids, np.float32)) - self.b_dec

    @cached_property
    def _encoder(self) -> ort.InferenceSession:
        return open_session(self._folder / ENCODER, self._threads, profile=self._profile)

    @cached_property
    def _decoder(self) -> ort.InferenceSession:
        return open_session(self._folder / DECODER, self._threads, profile=self._profile)


def check_latents(latents: Sequence[int] | IntArray, n_latents: int) -> IntArray:
    """Return latent ids as int64.

    Raises:
        DataError: An id is outside the bundle.
    """
    ids = np.asarray(latents, np.int64)
    if ids.size and not (0 <= ids.min() and ids.max() < n_latents):
        raise DataError(f"latent ids reach from {ids.min()} to {ids.max()}: this bundle has 0 to {n_latents - 1}")
    return ids
