"""Sparse encode and decode whose gradients never build the (batch, n_latents) matrix.

A TopK code uses k of n_latents atoms, so the gradients of the weights are products with a matrix of n * k non-zeros.
The backward pass of PyTorch's `topk` makes a dense matrix of them and then dense products. These functions do not: the
only work of the order n * n_latents * d_in is the dense product of the encoder's forward pass.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F


def select_top_k(
    x: Tensor,
    W: Tensor,
    bias: Tensor,
    k: int,
    *,
    dtype: torch.dtype = torch.float32,
    scale: Tensor | None = None,
    prior: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the `k` strongest of ``prior + scale * (x W) + bias`` after ReLU, strongest first.

    Args:
        x: Shape (n, d).
        W: Shape (d, m).
        bias: Shape (m,).
        k: Entries kept per row.
        dtype: Number type of the product; bfloat16 is several times faster where the processor supports it.
        scale: Shape (m,); 1 by default.
        prior: Indices and values of a code that is added before the selection, each (n, k').

    Returns:
        Values and indices, each (n, k). Gradients go to x, W, bias, scale and the values of the prior.
    """
    indices, values = prior if prior is not None else (None, None)
    out = SelectTopK.apply(x, W, bias, k, dtype, scale, indices, values)  # type: ignore[no-untyped-call]
    return out[0], out[1]


def sparse_sum(indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """Multiply a sparse code (n, k) with a matrix (m, d): return shape (n, d), with gradients to values and rows."""
    out: Tensor = SparseSum.apply(indices, values, rows)  # type: ignore[no-untyped-call]
    return out


class SelectTopK(Function):
    """``values, indices = topk(prior + scale * (x W) + bias, k)`` with ReLU on the values; see `select_top_k`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W: Tensor,
        bias: Tensor,
        k: int,
        dtype: torch.dtype,
        scale: Tensor | None,
        prior_indices: Tensor | None,
        prior_values: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Take x (n, d), W (d, m), bias and scale (m,), a prior code (n, k'); return values and indices (n, k)."""
        weight = W if scale is None else W * scale
        pre_acts = torch.addmm(bias.to(dtype), x.to(dtype), weight.to(dtype))
        if prior_indices is not None and prior_values is not None:
            pre_acts.scatter_add_(1, prior_indices, prior_values.to(dtype))
        values, indices = pre_acts.topk(k, dim=1)
        values = values.to(x.dtype).relu()
        ctx.save_for_backward(x, W, scale, prior_indices, indices, values)
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, W, bias, scale and of the prior code's values."""
        x, W, scale, prior_indices, indices, values = ctx.saved_tensors
        g = grad_values * (values > 0)
        m = W.shape[1]
        grad_bias = torch.zeros_like(W[0]).index_add_(0, indices.flatten(), g.flatten())  # (m,)
        product = transposed_product(indices, g, x, m)  # (m, d): sum over texts of g x
        grad_scale = grad_prior = grad_x = None
        if scale is None:
            grad_W = product.T
        else:
            grad_scale = (product * W.T).sum(1)
            grad_W = (product * scale[:, None]).T
        if ctx.needs_input_grad[0]:
            grad_x = row_sums(indices, g if scale is None else g * scale[indices], W.T.contiguous())
        if prior_indices is not None:
            # A prior latent that was not selected has no gradient.
            grad_prior = lookup(indices, g, prior_indices)
        return grad_x, grad_W, grad_bias, None, None, grad_scale, None, grad_prior


class SparseSum(Function):
    """``out[i] = sum_j values[i, j] * rows[indices[i, j]]``; see `sparse_sum`."""

    @staticmethod
    def forward(ctx: Any, indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
        """Take indices and values (n, k) and rows (m, d); return (n, d)."""
        ctx.save_for_backward(indices, values, rows)
        return row_sums(indices, values, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        """Return the gradients of the values and of the rows."""
        indices, values, rows = ctx.saved_tensors
        grad = grad.contiguous()
        # EmbeddingBag computes the gradient of its weights without gathering rows, which is ten times faster.
        with torch.enable_grad():
            weights = values.detach().requires_grad_()
            (grad_values,) = torch.autograd.grad(row_sums(indices, weights, rows.detach()), weights, grad)
        return None, grad_values, transposed_product(indices, values, grad, len(rows))


def row_sums(indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """Return ``Z rows`` for the sparse ``Z`` (n, m) of a code and ``rows`` (m, d), shape (n, d)."""
    return F.embedding_bag(indices, rows, per_sample_weights=values, mode="sum")


def transposed_product(indices: Tensor, values: Tensor, x: Tensor, n_latents: int) -> Tensor:
    """Return ``Zᵀ x`` for the sparse ``Z`` (n, n_latents) of a code and ``x`` (n, d), shape (n_latents, d)."""
    n, k = indices.shape
    if indices.device.type not in ("cpu", "cuda"):
        return column_by_column(indices, values, x, n_latents)
    latents = indices.flatten()
    # Entries by latent, then by row: the rows of Zᵀ.
    order = torch.argsort(latents, stable=True)
    starts = torch.zeros(n_latents + 1, dtype=torch.int64, device=indices.device)
    starts[1:] = torch.bincount(latents, minlength=n_latents).cumsum(0)
    with warnings.catch_warnings():
        # "Sparse CSR tensor support is in beta state": only this product is used.
        warnings.filterwarnings("ignore", "Sparse", UserWarning)
        matrix = torch.sparse_csr_tensor(
            starts,
            torch.div(order, k, rounding_mode="floor"),
            values.flatten()[order],
            (n_latents, n),
            check_invariants=False,
        )
        return matrix @ x


def column_by_column(indices: Tensor, values: Tensor, x: Tensor, n_latents: int) -> Tensor:
    """Compute `transposed_product` on devices without sparse matrices, such as MPS."""
    out = x.new_zeros(n_latents, x.shape[1])
    for column in range(indices.shape[1]):
        out.index_add_(0, indices[:, column], values[:, column, None] * x)
    return out


def lookup(indices: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Return the value of each `wanted` latent (n, k') in the code (n, k) of its row, 0 where it is not in the code."""
    ids, order = indices.sort(dim=1)
    at = torch.searchsorted(ids, wanted).clamp_max_(ids.shape[1] - 1)
    return values.gather(1, order.gather(1, at)) * (ids.gather(1, at) == wanted)
