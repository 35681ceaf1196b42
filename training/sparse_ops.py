"""Sparse encode and decode with gradients that never build the (batch, n_latents) matrix again.

A TopK code touches k of n_latents atoms, so the gradients of the weights are products with a matrix of n * k non-zeros.
PyTorch's own backward of `topk` makes a dense matrix of them and then dense products; these functions do not, and the
one dense product of the encoder's forward pass is all that is left of the order n * n_latents * d_in.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F


class SelectTopK(Function):
    """``values, indices = topk(prior + scale * (x W) + bias, k)``, ReLU on the values."""

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
        """Shapes: x (n, d), W (d, m), bias and scale (m,), the prior code two of (n, k') -> two of (n, k).

        `dtype` is that of the product over all latents; what it selects comes back in that of x.
        """
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
        """Gradients of x, W, bias, scale and of the prior code's values."""
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
        if prior_indices is not None:  # a prior latent that was not selected again has no gradient
            grad_prior = lookup(indices, g, prior_indices)
        return grad_x, grad_W, grad_bias, None, None, grad_scale, None, grad_prior


class SparseSum(Function):
    """``out[i] = sum_j values[i, j] * rows[indices[i, j]]``: a sparse code times a matrix."""

    @staticmethod
    def forward(ctx: Any, indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
        """Shapes: indices and values (n, k), rows (m, d) -> (n, d)."""
        ctx.save_for_backward(indices, values, rows)
        return row_sums(indices, values, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        """Gradients of the values and of the rows."""
        indices, values, rows = ctx.saved_tensors
        grad = grad.contiguous()
        with (
            torch.enable_grad()
        ):  # EmbeddingBag knows the gradient of its weights without gathering rows: ten times faster
            weights = values.detach().requires_grad_()
            (grad_values,) = torch.autograd.grad(row_sums(indices, weights, rows.detach()), weights, grad)
        return None, grad_values, transposed_product(indices, values, grad, len(rows))


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
    """The `k` strongest of ``prior + scale * (x W) + bias``, strongest first; see `SelectTopK`.

    Args:
        x: Shape (n, d).
        W: Shape (d, m).
        bias: Shape (m,).
        k: Entries kept per row.
        dtype: Of the product; bfloat16 is several times faster where the processor knows it.
        scale: Shape (m,).
        prior: Indices and values of a code that is added, each (n, k').

    Returns:
        Values and indices, each (n, k).
    """
    indices, values = prior if prior is not None else (None, None)
    out = SelectTopK.apply(x, W, bias, k, dtype, scale, indices, values)  # type: ignore[no-untyped-call]
    return out[0], out[1]


def sparse_sum(indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """A sparse code (n, k) times a matrix (m, d), shape (n, d); see `SparseSum`."""
    out: Tensor = SparseSum.apply(indices, values, rows)  # type: ignore[no-untyped-call]
    return out


def row_sums(indices: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """``Z rows`` for the sparse ``Z`` of a code, shape (n, d)."""
    return F.embedding_bag(indices, rows, per_sample_weights=values, mode="sum")


def transposed_product(indices: Tensor, values: Tensor, x: Tensor, n_latents: int) -> Tensor:
    """``Zᵀ x`` for the sparse ``Z`` (n, n_latents) of a code and ``x`` (n, d): shape (n_latents, d)."""
    n, k = indices.shape
    if indices.device.type not in ("cpu", "cuda"):
        return column_by_column(indices, values, x, n_latents)
    latents = indices.flatten()
    order = torch.argsort(latents, stable=True)  # entries by latent, then by row: the rows of Zᵀ
    starts = torch.zeros(n_latents + 1, dtype=torch.int64, device=indices.device)
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


def column_by_column(indices: Tensor, values: Tensor, x: Tensor, n_latents: int) -> Tensor:
    """`transposed_product` for devices without sparse matrices, such as MPS."""
    out = x.new_zeros(n_latents, x.shape[1])
    for column in range(indices.shape[1]):
        out.index_add_(0, indices[:, column], values[:, column, None] * x)
    return out


def lookup(indices: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """The value of each `wanted` latent (n, k') in the code (n, k) of its row, 0 where it is not in it."""
    ids, order = indices.sort(dim=1)
    at = torch.searchsorted(ids, wanted).clamp_max_(ids.shape[1] - 1)
    return values.gather(1, order.gather(1, at)) * (ids.gather(1, at) == wanted)
