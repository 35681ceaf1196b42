"""Sparse encode and decode with gradients that never build the (batch, n_latents) matrix again.

A TopK code touches k of n_latents atoms, so the gradients of the weights are products with a matrix of n * k non-zeros.
PyTorch's own backward of `topk` and `embedding_bag` makes dense matrices of them; these two functions do not, and the
dense product of the encoder's forward pass is all that is left of the order n * n_latents * d_in.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

_GATHERED = 2**20
"""Numbers that one gather of atoms may hold: 4 MB, which nearly stays in a CPU's cache."""


class SelectTopK(Function):
    """``values, indices = topk(x W_enc + b, k)`` with ``b = b_enc - b_dec W_enc``; ReLU on the values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Shapes: x (n, d_in), W_enc (d_in, n_latents), b_enc (n_latents,), b_dec (d_in,) -> two of (n, k)."""
        values, indices = torch.addmm(b_enc - b_dec @ W_enc, x, W_enc).topk(k, dim=1)
        values = values.relu()
        ctx.save_for_backward(x, W_enc, b_dec, indices, values)
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor, None]:
        """Gradients of the weights; of `x` only where it is asked for."""
        x, W_enc, b_dec, indices, values = ctx.saved_tensors
        g = grad_values * (values > 0)
        grad_b = torch.zeros_like(W_enc[0]).index_add_(0, indices.flatten(), g.flatten())  # (n_latents,)
        grad_W = transposed_product(indices, g, x, W_enc.shape[1]).T - torch.outer(b_dec, grad_b)
        grad_x = row_sums(indices, g, W_enc.T) if ctx.needs_input_grad[0] else None
        return grad_x, grad_W, grad_b, -(W_enc @ grad_b), None


class SparseSum(Function):
    """``out[i] = sum_j values[i, j] * rows[indices[i, j]]``: a sparse code times a matrix."""

    @staticmethod
    def forward(ctx: Any, indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
        """Shapes: indices and values (n, k), rows (n_latents, d) -> (n, d)."""
        ctx.save_for_backward(indices, values, rows)
        return row_sums(indices, values, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        """Gradients of the values and of the rows."""
        indices, values, rows = ctx.saved_tensors
        n, k = indices.shape
        grad_values = torch.empty_like(values)
        step = max(1, _GATHERED // (k * rows.shape[1]))
        for start in range(0, n, step):
            block = slice(start, start + step)
            gathered = rows[indices[block]]  # (block, k, d)
            grad_values[block] = torch.bmm(gathered, grad[block, :, None]).squeeze(2)
        return None, grad_values, transposed_product(indices, values, grad, len(rows))


def select_top_k(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and indices of the `k` strongest latents, each (n, k), strongest first; see `SelectTopK`."""
    values, indices = SelectTopK.apply(x, W_enc, b_enc, b_dec, k)  # type: ignore[no-untyped-call]
    return values, indices


def sparse_sum(indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """A sparse code (n, k) times a matrix (n_latents, d), shape (n, d); see `SparseSum`."""
    out: Tensor = SparseSum.apply(indices, values, rows)  # type: ignore[no-untyped-call]
    return out


def row_sums(indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """``Z rows`` for the sparse ``Z`` of a code, shape (n, d), without gradient."""
    return F.embedding_bag(indices, rows, per_sample_weights=values, mode="sum")


def transposed_product(indices: Tensor, values: Tensor, x: Tensor, n_latents: int) -> Tensor:
    """``Zᵀ x`` for the sparse ``Z`` (n, n_latents) of a code and ``x`` (n, d): shape (n_latents, d)."""
    n, k = indices.shape
    if indices.device.type != "cpu":  # a dense product is the fast way there, and MPS has no sparse one
        return values.new_zeros(n, n_latents).scatter_(1, indices, values).T @ x
    latents = indices.flatten()
    order = torch.argsort(latents, stable=True)  # entries by latent, then by row: the rows of Zᵀ
    starts = torch.zeros(n_latents + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(latents, minlength=n_latents).cumsum(0)
    with warnings.catch_warnings():  # "Sparse CSR tensor support is in beta state": only this product is used
        warnings.filterwarnings("ignore", "Sparse", UserWarning)
        matrix = torch.sparse_csr_tensor(
            starts,
            torch.div(order, k, rounding_mode="floor"),
            values.flatten()[order],
            (n_latents, n),
            check_invariants=False,
        )
        return matrix @ x
