"""The sparse autoencoder of a bundle: embeddings to sparse codes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import FloatArray, IntArray, as_numbers, check_finite_rows
from ...errors import BundleError, DataError
from .manifest import CURE, DECODER, ENCODER
from .onnx_session import MemoryProfile, open_session, run
from .reading import OpenedFiles

if TYPE_CHECKING:
    from .onnx_session import Session

BATCH = 1024
_CODE = ("sae_indices", "sae_values")


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
        files: OpenedFiles | None = None,
    ) -> None:
        self.d_in, self.n_latents, self.k = d_in, n_latents, k
        self._folder, self._threads, self._profile = folder, threads, profile
        self._files = files or OpenedFiles(folder)

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
            ids, activations = run(self._encoder, _CODE, {"embeddings": rows[block]})
            indices[block], values[block] = self._checked(np.asarray(ids), np.asarray(activations), len(rows[block]))
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
            rows[block] = self._decoded(ids[block], activations[block])
        return rows

    @cached_property
    def b_dec(self) -> FloatArray:
        """The decoder's bias, shape (d_in,): the reconstruction of an empty code."""
        row: FloatArray = self._decoded(np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32))[0]
        return row

    @cached_property
    def atoms(self) -> FloatArray:
        """W_dec, unit rows, shape (n_latents, d_in), float32: one direction per latent."""
        # The atoms are decoded, so that the weights are on disk only once. Subtracting the bias is exact.
        ids = np.arange(self.n_latents, dtype=np.int64)[:, None]
        return self.decode(ids, np.ones_like(ids, np.float32)) - self.b_dec

    def _checked(self, indices: IntArray, values: FloatArray, n: int) -> tuple[IntArray, FloatArray]:
        """Return what the encoder gave; a BundleError when it is not the codes of `n` rows."""
        shape = (n, self.k)
        good = indices.shape == values.shape == shape and indices.dtype == np.int64 and values.dtype == np.float32
        # With a NaN, minimum and maximum are NaN and compare false.
        fits = good and 0 <= indices.min() and indices.max() < self.n_latents
        if not (fits and 0 <= values.min() and values.max() < np.inf):
            found = f"{indices.dtype} {indices.shape} and {values.dtype} {values.shape}"
            raise BundleError(
                f"{self._folder / ENCODER} gave {found}, expected int64 and float32 {shape}, latents from 0 to "
                f"{self.n_latents - 1} and activations of 0 or more: {CURE}"
            )
        return indices, values

    def _decoded(self, ids: IntArray, values: FloatArray) -> FloatArray:
        """Run the decoder; a BundleError when it does not give embeddings."""
        # A graph may also give a list of arrays.
        rows = np.asarray(run(self._decoder, ["reconstruction"], {"sae_indices": ids, "sae_values": values})[0])
        good = rows.shape == (len(ids), self.d_in) and rows.dtype == np.float32
        if not good or not np.isfinite(rows).all():
            raise BundleError(
                f"{self._folder / DECODER} gave {rows.dtype} {rows.shape}, expected finite numbers of shape "
                f"{(len(ids), self.d_in)}: {CURE}"
            )
        return rows

    @cached_property
    def _encoder(self) -> Session:
        return self._open(ENCODER, {"embeddings"}, _CODE)

    @cached_property
    def _decoder(self) -> Session:
        return self._open(DECODER, set(_CODE), ("reconstruction",))

    def _open(self, name: str, inputs: set[str], outputs: tuple[str, ...]) -> Session:
        """Open a graph; a BundleError when its inputs and outputs have other names."""
        with self._files.unchanged(name, f"{name}.data"):
            session = open_session(self._folder / name, self._threads, profile=self._profile)
        found = {each.name for each in session.get_inputs()}, {each.name for each in session.get_outputs()}
        if found != (inputs, set(outputs)):
            raise BundleError(
                f"{self._folder / name} takes {sorted(found[0])} and gives {sorted(found[1])}, expected "
                f"{sorted(inputs)} and {sorted(outputs)}: {CURE}"
            )
        return session


def check_latents(latents: Sequence[int] | IntArray, n_latents: int) -> IntArray:
    """Return latent ids as int64.

    Raises:
        DataError: An id is outside the bundle.
    """
    ids = np.asarray(latents, np.int64)
    if ids.size and not (0 <= ids.min() and ids.max() < n_latents):
        raise DataError(f"latent ids reach from {ids.min()} to {ids.max()}: this bundle has 0 to {n_latents - 1}")
    return ids
