"""The model: a TopK sparse autoencoder over unit sentence embeddings.

References:
    Gao et al. 2024, "Scaling and evaluating sparse autoencoders", arXiv:2406.04093 (TopK, AuxK, tied init, unit norm).
    Kang, Wang, Xiong 2025, "Interpret and Control Dense Retrieval with Sparse Latent Features", arXiv:2411.00786.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import FloatArray, IntArray
from ..files import absolute
from .checkpoint import CheckpointInfo, read_checkpoint, write_checkpoint
from .config import SaeConfig
from .published import Stored, find_published, push_published, read_published, save_published
from .sparse_ops import select_top_k, sparse_sum


class Codes(NamedTuple):
    """The k strongest latents of each text. A latent with a negative pre-activation has the value 0."""

    indices: Tensor
    """Latent ids, strongest first, shape (n, k), int64."""
    values: Tensor
    """Activations, shape (n, k), >= 0."""

    def dense(self, n_latents: int) -> Tensor:
        """Return the codes as rows of all activations, shape (n, n_latents)."""
        rows = self.values.new_zeros(len(self.values), n_latents)
        return rows.scatter(1, self.indices, self.values)


class SparseAutoencoder(nn.Module):
    """``a = (x - b_dec) W_enc + b_enc;  z = ReLU(TopK_k(a));  x_hat = z W_dec + b_dec``.

    With `encoder_depth` 2 or more the encoder then corrects its code by the error of the reconstruction, once per
    further layer: ``r = x - x_hat;  z <- ReLU(TopK_k(z + step_size * (r W_enc) + b_step))``. This is a learned step of
    iterative shrinkage (Gregor, LeCun 2010, "Learning fast approximations of sparse coding") with shared weights.

    Args:
        config: Shape; `config.d_in` must be set.
        mean: Data mean, shape (d_in,), the start of `b_dec`; zeros by default. Not used with `tied=False`.
        tied: Start with W_enc = encoder_scale W_decᵀ, atoms of unit length; otherwise as two independent linear layers.
        encoder_scale: See `TrainConfig.encoder_scale`; used here without the correction for k.
        generator: Source of the initial weights.
    """

    def __init__(
        self,
        config: SaeConfig,
        *,
        mean: Tensor | None = None,
        tied: bool = True,
        encoder_scale: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if config.d_in < 1 and mean is not None:
            config = replace(config, d_in=len(mean))
        if config.d_in < 1:
            raise ValueError("SaeConfig.d_in is 0: set it to the width of the embeddings")
        self.config = config
        self.info = CheckpointInfo()
        d_in, n_latents = config.d_in, config.n_latents
        if tied:
            atoms = F.normalize(torch.randn(n_latents, d_in, generator=generator), dim=1)
            W_enc, b_enc = encoder_scale * atoms.T, torch.zeros(n_latents)
            b_dec = torch.zeros(d_in) if mean is None else mean.detach().clone().float()
        else:
            # The start of torch.nn.Linear: uniform in +-1/sqrt(fan in), for weights and biases.
            W_enc, b_enc = (_uniform(shape, d_in, generator) for shape in ((d_in, n_latents), (n_latents,)))
            atoms, b_dec = (_uniform(shape, n_latents, generator) for shape in ((n_latents, d_in), (d_in,)))
        self.W_enc = nn.Parameter(W_enc)  # (d_in, n_latents)
        self.b_enc = nn.Parameter(b_enc)  # (n_latents,)
        self.W_dec = nn.Parameter(atoms)  # (n_latents, d_in), one row = one atom
        self.b_dec = nn.Parameter(b_dec)  # (d_in,)
        corrections = config.encoder_depth - 1
        self.step_size = nn.Parameter(torch.full((corrections, n_latents), 0.5))
        self.b_step = nn.Parameter(torch.zeros(corrections, n_latents))
        self.product_dtype = torch.float32
        """Number type of the encoder's dense product. Training may use bfloat16; the results are always float32."""

    def pre_acts(self, x: Tensor, latents: Tensor | None = None) -> Tensor:
        """Return the first activations before TopK of embeddings (n, d_in), for all latents or some: (n, latents)."""
        W_enc, b_enc = (self.W_enc, self.b_enc) if latents is None else (self.W_enc[:, latents], self.b_enc[latents])
        return torch.addmm(b_enc - self.b_dec @ W_enc, x, W_enc)

    def encode(self, x: Tensor, k: int | None = None) -> Codes:
        """Return the `k` (by default the configured k) strongest latents of embeddings (n, d_in), strongest first."""
        width, dtype = min(k or self.config.k, self.config.n_latents), self.product_dtype
        # (x - b) W = x W - b W: no centred copy of x is made.
        values, indices = select_top_k(x, self.W_enc, self.b_enc - self.b_dec @ self.W_enc, width, dtype=dtype)
        for step_size, b_step in zip(self.step_size, self.b_step, strict=True):
            rest = x - self.decode(indices, values)
            values, indices = select_top_k(
                rest, self.W_enc, b_step, width, dtype=dtype, scale=step_size, prior=(indices, values)
            )
        return Codes(indices, values)

    def decode(self, indices: Tensor, values: Tensor) -> Tensor:
        """Reconstruct embeddings of shape (n, d_in) from sparse codes, without a dense code matrix."""
        return sparse_sum(indices, values, self.W_dec) + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode: return reconstructions of shape (n, d_in)."""
        return self.decode(*self.encode(x))

    @torch.no_grad()
    def normalise_atoms(self) -> None:
        """Scale every atom back to unit length."""
        self.W_dec.copy_(F.normalize(self.W_dec, dim=1))

    @torch.no_grad()
    def remove_parallel_gradient(self) -> None:
        """Remove the part of the atoms' gradient that would only change their length."""
        gradient = self.W_dec.grad
        if gradient is not None:
            gradient -= (gradient * self.W_dec).sum(1, keepdim=True) * self.W_dec

    def save(self, path: str | Path) -> Path:
        """Write a checkpoint that `load` and ``sae-export --ckpt`` read.

        Raises:
            StorageError: The disk is full or the folder cannot be written. An older file is unchanged.
        """
        return write_checkpoint(absolute(path), config=self.config, info=self.info, state=self.state_dict())

    @classmethod
    def load(cls, path: str | Path) -> SparseAutoencoder:
        """Read a checkpoint onto the CPU, without running any code from it.

        Raises:
            CheckpointError: The file is missing, damaged, newer than this version, or not a checkpoint.
        """
        config, info, state = read_checkpoint(absolute(path))
        sae = cls(config)
        sae.load_state_dict(state)
        sae.info = info
        return sae

    def save_pretrained(self, folder: str | Path, *, stored: Stored = "fp32", card: str | None = None) -> Path:
        """Write weights as safetensors, and a model card, into a folder; return it. No text of the corpus is in them.

        Args:
            folder: Made when it is not there; an older model in it is replaced.
            stored: ``fp32``; ``fp16``, half as large; ``int8``, a quarter.
            card: Text of the card; by default one with the facts of the checkpoint.

        Raises:
            StorageError: The disk is full or cannot be written.
        """
        return save_published(folder, (self.config, self.info, self.state_dict()), stored=stored, card=card)

    def push_to_hub(
        self,
        repo: str,
        *,
        stored: Stored = "fp32",
        card: str | None = None,
        private: bool = True,
        revision: str | None = None,
        message: str = "A sparse autoencoder for steersearch",
    ) -> str:
        """Send what `save_pretrained` writes to the Hugging Face hub in one commit, which is returned.

        Args:
            repo: ``owner/name``; made when it is not there.
            stored: As for `save_pretrained`.
            card: As for `save_pretrained`.
            private: Of a repository that is made now.
            revision: A branch that is there; ``main`` by default.
            message: Of the commit.

        Raises:
            ConfigError: `repo` has another form, or HF_HUB_OFFLINE is set.
            MissingExtraError: huggingface_hub is not installed.
            CheckpointError: The hub cannot be reached, or does not allow it.
        """
        checkpoint = (self.config, self.info, self.state_dict())
        return push_published(
            repo, checkpoint, stored=stored, card=card, private=private, revision=revision, message=message
        )

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> SparseAutoencoder:
        """Load what `save_pretrained` wrote: from a folder, a .safetensors file, or a repository of the hub.

        `info.origin` says which commit came from the hub.

        Args:
            name: A folder, a file, or ``owner/name``, which is downloaded the first time.
            revision: Branch, tag or commit; ``main`` by default. Give a commit to get the same model for ever.

        Raises:
            ConfigError: `name` is none of these, or `revision` is none.
            MissingExtraError: huggingface_hub is not installed.
            CheckpointError: It is damaged or newer, or the hub cannot be reached or does not have it.
        """
        path, origin = find_published(name, revision)
        config, info, state = read_published(path)
        sae = cls(config)
        sae.load_state_dict(state)
        sae.info = replace(info, origin=origin)
        return sae.eval().requires_grad_(False)


@torch.no_grad()
def encode_all(sae: SparseAutoencoder, x: FloatArray, *, batch: int = 4096) -> tuple[IntArray, FloatArray]:
    """Encode many embeddings in bounded memory: return indices (n, k) int64 and values (n, k) float32."""
    device = sae.b_dec.device
    indices = np.empty((len(x), sae.config.k), np.int64)
    values = np.empty((len(x), sae.config.k), np.float32)
    for start in range(0, len(x), batch):
        block = slice(start, start + batch)
        codes = sae.encode(torch.from_numpy(np.array(x[block], np.float32)).to(device))
        indices[block], values[block] = codes.indices.cpu().numpy(), codes.values.cpu().numpy()
    return indices, values


@torch.no_grad()
def decode_all(sae: SparseAutoencoder, indices: IntArray, values: FloatArray) -> FloatArray:
    """Return reconstructions of shape (n, d_in), float32."""
    device = sae.b_dec.device
    rows = sae.decode(torch.from_numpy(indices).to(device), torch.from_numpy(values).to(device))
    return rows.cpu().numpy()


def _uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator | None) -> Tensor:
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
