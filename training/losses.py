"""The parts of the training loss: pure functions, one equation each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def squared_error(x: Tensor, x_hat: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over texts of the squared distance ``|x - x_hat|^2``.

    Args:
        x: Embeddings, shape (n, d_in).
        x_hat: Their reconstructions, shape (n, d_in).
        weights: Weight of each text, shape (n,); equal by default.
    """
    errors = (x - x_hat).pow(2).sum(1)  # (n,)
    return errors.mean() if weights is None else (errors * weights).sum() / weights.sum()


def ranking_kl(target: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """``KL(softmax(target / T) || softmax(scores / T))``, mean over queries.

    Args:
        target: Original query-document scores, shape (queries, documents).
        scores: The scores to be trained, same shape.
        temperature: Divides both.
    """
    log_p = F.log_softmax(target / temperature, dim=1)
    log_q = F.log_softmax(scores / temperature, dim=1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def paper_kl(target: Tensor, scores: Tensor) -> Tensor:
    """The KL of arXiv 2411.00786 as its code computes it (github.com/cxcscmu/esae, source/model/kld_x256_k32.py).

    With ``s = exp(score)``: target ``s_k / (s_k + sum_j s_j)`` and the logarithm of the same for the reconstruction;
    neither sums to one. Temperature 1.

    Args:
        target: Scores of each query against its own nearest documents, shape (queries, documents).
        scores: The same from reconstructions.
    """
    s, s_hat = target.exp(), scores.exp()
    p = s / (s + s.sum(1, keepdim=True))
    log_q = torch.log(s_hat / (s_hat + s_hat.sum(1, keepdim=True)))
    return F.kl_div(log_q, p, reduction="batchmean")


def aux_k(error: Tensor, predicted: Tensor) -> Tensor:
    """AuxK: how badly the dead latents predict what the living ones left over (arXiv 2406.04093, section A.2).

    Relative to the spread of what is left over, as in github.com/EleutherAI/sparsify.

    Args:
        error: ``x - x_hat`` without gradient, shape (n, d_in).
        predicted: What the dead latents make of it, shape (n, d_in).

    Returns:
        A scalar, about 1 when nothing is predicted.
    """
    spread = (error - error.mean(0)).pow(2).sum().clamp_min(1e-12)
    return (error - predicted).pow(2).sum() / spread
