"""The sparse autoencoder as two ONNX graphs, always fp32: they are small, and quantisation would change the codes."""

from __future__ import annotations

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..training.sae import SparseAutoencoder
from .onnx_files import name_dimensions, to_onnx


class _Encoder(nn.Module):
    """`SparseAutoencoder.encode`, with its two biases added here and not in every run."""

    def __init__(self, sae: SparseAutoencoder) -> None:
        super().__init__()
        self.k = sae.config.k
        self.weight = nn.Parameter(sae.W_enc.detach().clone())  # (d_in, n_latents)
        self.bias = nn.Parameter((sae.b_enc - sae.b_dec @ sae.W_enc).detach())  # (n_latents,)
        self.step_size = nn.Parameter(sae.step_size.detach().clone())  # (encoder_depth - 1, n_latents)
        self.b_step = nn.Parameter(sae.b_step.detach().clone())
        self.decoder = _Decoder(sae) if len(self.step_size) else None

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = torch.addmm(self.bias, embeddings, self.weight).topk(self.k, dim=1, sorted=True)
        values = values.relu()
        if self.decoder is not None:
            for step_size, b_step in zip(self.step_size, self.b_step, strict=True):
                residual = embeddings - self.decoder(indices, values)
                pre_acts = (residual @ self.weight * step_size + b_step).scatter_add(1, indices, values)
                values, indices = pre_acts.topk(self.k, dim=1, sorted=True)
                values = values.relu()
        return indices, values


class _Decoder(nn.Module):
    """`SparseAutoencoder.decode` by look-up, since ONNX has no EmbeddingBag."""

    def __init__(self, sae: SparseAutoencoder) -> None:
        super().__init__()
        self.weight = nn.Parameter(sae.W_dec.detach().clone())  # (n_latents, d_in)
        self.bias = nn.Parameter(sae.b_dec.detach().clone())  # (d_in,)

    def forward(self, sae_indices: Tensor, sae_values: Tensor) -> Tensor:
        atoms = F.embedding(sae_indices, self.weight)  # (B, m, d_in)
        return (sae_values.unsqueeze(1) @ atoms).squeeze(1) + self.bias


def encoder_graph(sae: SparseAutoencoder) -> onnx.ModelProto:
    """Export encoder.onnx: `embeddings` (B, d_in) float32 to `sae_indices` (B, k) int64, `sae_values` (B, k) float32.

    The strongest latent comes first; a latent with a negative pre-activation has value 0.
    """
    d_in, k = sae.config.d_in, sae.config.k
    model = to_onnx(
        _Encoder(sae), {"embeddings": torch.zeros(2, d_in)}, ["sae_indices", "sae_values"], {"embeddings": [0]}
    )
    shapes = {"embeddings": ("batch", d_in), "sae_indices": ("batch", k), "sae_values": ("batch", k)}
    return name_dimensions(model, shapes)


def decoder_graph(sae: SparseAutoencoder) -> onnx.ModelProto:
    """Export decoder.onnx: `sae_indices` (B, m) int64, `sae_values` (B, m) float32 to `reconstruction` (B, d_in).

    `m` is dynamic, since a steered code may have more than `k` latents; a latent with value 0 adds nothing.
    """
    inputs = {"sae_indices": torch.zeros(2, 3, dtype=torch.int64), "sae_values": torch.zeros(2, 3)}
    model = to_onnx(_Decoder(sae), inputs, ["reconstruction"], {name: [0, 1] for name in inputs})
    code = ("batch", "active")
    shapes = {"sae_indices": code, "sae_values": code, "reconstruction": ("batch", sae.config.d_in)}
    return name_dimensions(model, shapes)
