"""A bundle: the exported folder, opened for use without torch."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from ...arrays import FloatArray, IntArray
from ...errors import DataError
from ..steering.concept_directions import Contexts
from .embedder import OnnxEmbedder, Progress
from .features import Features, read_features
from .manifest import Manifest, read_manifest
from .onnx_session import TOKENS_PER_RUN, Profile, check_profile, check_threads, open_session, run

if TYPE_CHECKING:
    from .interpretation import Interpretation

BATCH = 1024
REMEMBERED = 128
"""Queries whose embeddings are kept: 200 kB."""


class Bundle:
    """Embedder, encoder, decoder and features of one exported model. Make it with `load`.

    Safe to use from several threads. Graphs are opened on first use.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int | None = None, profile: Profile = "fast") -> None:
        self.path = path
        """The folder."""
        self.manifest = manifest
        """What export recorded about the model, its files and its parity with torch."""
        self.d_in, self.n_latents, self.k = manifest.d_in, manifest.n_latents, manifest.k
        self.profile: Profile = profile
        """How the graphs are opened."""
        self._threads = threads
        self._embed_query = lru_cache(REMEMBERED)(self._embedded)

    @classmethod
    def load(
        cls, path: str | Path, *, verify: bool = True, threads: int | None = None, profile: Profile = "fast"
    ) -> Bundle:
        """Open a bundle.

        Args:
            path: The folder that ``sae-export`` wrote.
            verify: Compare the checksum of every file; False opens faster and trusts the disk.
            threads: CPU threads per graph; by default all usable ones, or one when `lean`.
            profile: ``fast``, or ``lean`` for the least memory; embeddings are the same up to rounding.

        Raises:
            ConfigError: There is no such profile, or `threads` is below 1.
            BundleError: The folder is missing or incomplete.
            FormatVersionError: It was written by a newer steersearch.
            ChecksumError: A file was altered.
        """
        folder = Path(path)
        check_profile(profile)
        check_threads(threads)
        bundle = cls(folder, read_manifest(folder, verify=verify), threads, profile)
        bundle.features  # noqa: B018  read now, so that a damaged bundle fails here and not in the first search
        return bundle

    def embed(self, texts: list[str], *, progress: Progress | None = None) -> FloatArray:
        """Unit embeddings of texts, shape (n, d_in), float32.

        Raises:
            DataError: Not a list of strings.
        """
        return self._embedder.embed(texts, progress=progress)

    def embed_query(self, text: str) -> FloatArray:
        """The embedding of one text, shape (d_in,), not to be written to; the last ones are remembered.

        People steer, explain and page through the query that they have just asked.

        Raises:
            DataError: Not a valid text.
        """
        return self._embed_query(text)

    def forget(self) -> None:
        """Drop what `embed_query` remembers, as a measurement of its time has to."""
        self._embed_query.cache_clear()

    def tokenise(self, texts: list[str]) -> list[IntArray]:
        """Token ids of texts as the embedder reads them: with special tokens, cut at its maximal length.

        Raises:
            DataError: Not a list of strings, or a text without tokens.
        """
        return self._embedder.tokenise(texts)

    def token_text(self, token: int) -> str:
        """A token as people read it; empty for one that does not exist."""
        return self._embedder.token_text(token)

    def encode(self, embeddings: FloatArray) -> tuple[IntArray, FloatArray]:
        """Sparse codes of embeddings.

        Args:
            embeddings: Unit rows, shape (n, d_in), float32.

        Returns:
            Latent ids (n, k) int64 and activations (n, k) float32 >= 0, strongest first; 0 = not active.

        Raises:
            DataError: Wrong shape, or NaN or infinite numbers.
        """
        rows = self._check(embeddings)
        indices, values = np.empty((len(rows), self.k), np.int64), np.empty((len(rows), self.k), np.float32)
        for start in range(0, len(rows), BATCH):
            block = slice(start, start + BATCH)
            indices[block], values[block] = run(self._encoder, None, {"embeddings": rows[block]})
        return indices, values

    def decode(self, indices: IntArray, values: FloatArray) -> FloatArray:
        """Reconstruct embeddings from sparse codes of any number m of latents per row.

        Args:
            indices: Latent ids, shape (n, m), int64.
            values: Activations, shape (n, m), float32.

        Returns:
            Shape (n, d_in), float32; not normalised.

        Raises:
            DataError: Shapes differ, an id is outside the bundle, or a value is not finite.
        """
        ids, acts = np.asarray(indices, np.int64), np.asarray(values, np.float32)
        if ids.ndim != 2 or ids.shape != acts.shape:
            raise DataError(f"indices have shape {ids.shape} and values {acts.shape}: both must be (n, m)")
        if ids.size and not (0 <= ids.min() and ids.max() < self.n_latents):
            raise DataError(
                f"latent ids reach from {ids.min()} to {ids.max()}: this bundle has 0 to {self.n_latents - 1}"
            )
        if not np.isfinite(acts).all():
            raise DataError("values hold NaN or infinite numbers")
        rows = np.tile(self.b_dec, (len(ids), 1)) if ids.shape[1] == 0 else np.empty((len(ids), self.d_in), np.float32)
        for start in range(0, len(ids) if ids.shape[1] else 0, BATCH):
            block = slice(start, start + BATCH)
            rows[block] = run(self._decoder, None, {"sae_indices": ids[block], "sae_values": acts[block]})[0]
        return rows

    @cached_property
    def features(self) -> Features:
        """What each latent is called and how it behaves, as people edited it.

        Raises:
            BundleError: The features, or the edits beside the bundle, cannot be used.
        """
        from .feature_edits import Edits  # which needs what is defined here

        path = self.path / "features.json"
        features = read_features(path, n_latents=self.n_latents, d_in=self.d_in, bundle=self)
        edits = Edits.load(self)
        return edits.apply(features) if edits else features

    @cached_property
    def interpretation(self) -> Interpretation | None:
        """What `sae features label` found out about each latent; None when the bundle was never interpreted.

        Raises:
            BundleError: It cannot be read.
        """
        from ..interpret.storage import read_interpretation

        return read_interpretation(self)

    @cached_property
    def contexts(self) -> Contexts:
        """Finds out what phrases add to the texts that they stand in."""
        return Contexts(self)

    @cached_property
    def b_dec(self) -> FloatArray:
        """The decoder's bias, shape (d_in,): the reconstruction of an empty code."""
        nothing = {"sae_indices": np.zeros((1, 1), np.int64), "sae_values": np.zeros((1, 1), np.float32)}
        row: FloatArray = run(self._decoder, None, nothing)[0][0]
        return row

    @cached_property
    def atoms(self) -> FloatArray:
        """W_dec, unit rows, shape (n_latents, d_in), float32: one direction per latent."""
        # Read through the graph, so that the weights exist once on disk. Zero codes tell the bias apart exactly.
        ids = np.arange(self.n_latents, dtype=np.int64)[:, None]
        return self.decode(ids, np.ones_like(ids, np.float32)) - self.b_dec

    def _embedded(self, text: str) -> FloatArray:
        row: FloatArray = self.embed([text])[0]
        row.flags.writeable = False
        return row

    def _check(self, embeddings: FloatArray) -> FloatArray:
        rows = np.ascontiguousarray(embeddings, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.d_in:
            raise DataError(f"embeddings have shape {np.shape(embeddings)}: this bundle takes (n, {self.d_in})")
        if not np.isfinite(rows).all():
            raise DataError("embeddings hold NaN or infinite numbers")
        return rows

    @cached_property
    def _embedder(self) -> OnnxEmbedder:
        return OnnxEmbedder(
            self._session("embedder.onnx", mapped=self.profile == "lean" and self.manifest.precision == "fp32"),
            self.path / "tokenizer.json",
            max_length=self.manifest.max_length,
            d_in=self.d_in,
            batch_invariant=self.manifest.batch_invariant,
            tokens_per_run=TOKENS_PER_RUN[self.profile],
        )

    @cached_property
    def _encoder(self) -> ort.InferenceSession:
        return self._session("encoder.onnx")

    @cached_property
    def _decoder(self) -> ort.InferenceSession:
        return self._session("decoder.onnx")

    def _session(self, name: str, mapped: bool = False) -> ort.InferenceSession:
        return open_session(self.path / name, self._threads, profile=self.profile, mapped=mapped)
