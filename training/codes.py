"""Codes and reconstructions of whole corpora, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch

from ..metrics import FloatArray, IntArray
from .sae import SparseAutoencoder


@torch.no_grad()
def encode_all(sae: SparseAutoencoder, x: FloatArray, *, batch: int = 4096) -> tuple[IntArray, FloatArray]:
    """Codes of many embeddings in bounded memory: indices (n, k) int64, values (n, k) float32."""
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
    """Reconstructions of shape (n, d_in), float32."""
    device = sae.b_dec.device
    rows = sae.decode(torch.from_numpy(indices).to(device), torch.from_numpy(values).to(device))
    return rows.cpu().numpy()
