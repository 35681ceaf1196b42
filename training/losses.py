"""The parts of the training loss: pure functions, one equation each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .sparse_ops import sparse_sum


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


def aux_k(error: Tensor, pre_acts: Tensor, atoms: Tensor, k_aux: int) -> Tensor:
    """AuxK: how badly the dead latents predict what the living ones left over (arXiv 2406.04093, section A.2).

    The weight falls with the number of dead latents, and the error is relative to what is left over, as in
    github.com/EleutherAI/sparsify.

    Args:
        error: ``x - x_hat`` without gradient, shape (n, d_in).
        pre_acts: Activations of the dead latents before TopK, shape (n, dead).
        atoms: Their atoms, shape (dead, d_in).
        k_aux: Dead latents used per text.

    Returns:
        A scalar in [0, about 1]; 0 when none is dead.
    """
    n_dead = len(atoms)
    if n_dead == 0:
        return error.new_zeros(())
    values, columns = pre_acts.topk(min(k_aux, n_dead), dim=1)
    predicted = sparse_sum(columns, values.relu(), atoms)
    spread = (error - error.mean(0)).pow(2).sum().clamp_min(1e-12)
    return min(n_dead / k_aux, 1.0) * (error - predicted).pow(2).sum() / spread
