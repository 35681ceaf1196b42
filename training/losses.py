"""The training loss: its parts as pure functions with one equation each, and the objective that weighs them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .batches import Batch
from .config import TrainConfig
from .distributed import ProcessGroup
from .sae import Codes, SparseAutoencoder
from .sparse_ops import sparse_sum

TURNS = 4
"""L(4k) and AuxK cost several times as much per text as the rest. A step computes them on a quarter of its texts."""


def squared_error(x: Tensor, x_hat: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over texts of the squared distance ``|x - x_hat|^2``.

    Args:
        x: Embeddings, shape (n, d_in).
        x_hat: Their reconstructions, shape (n, d_in).
        weights: Weight of each text, shape (n,); equal by default.
    """
    errors = (x - x_hat).pow(2).sum(1)  # (n,)
    return errors.mean() if weights is None else (errors * weights).sum() / weights.sum()


def ranking_kl(target: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """Return ``KL(softmax(target / T) || softmax(scores / T))``, the mean over queries, at the temperature T.

    `target` has the original scores, `scores` those of the model, both of shape (queries, documents).
    """
    log_p = F.log_softmax(target / temperature, dim=1)
    log_q = F.log_softmax(scores / temperature, dim=1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def paper_kl(target: Tensor, scores: Tensor) -> Tensor:
    """Return the KL of arXiv 2411.00786 as coded in github.com/cxcscmu/esae, source/model/kld_x256_k32.py.

    With ``s = exp(score)`` the target is ``s_k / (s_k + sum_j s_j)``; the reconstruction enters with the logarithm of
    the same. Neither sums to one. The temperature is 1. Both have the scores of each query against its own nearest
    documents, shape (queries, documents).
    """
    s, s_hat = target.exp(), scores.exp()
    p = s / (s + s.sum(1, keepdim=True))
    log_q = torch.log(s_hat / (s_hat + s_hat.sum(1, keepdim=True)))
    return F.kl_div(log_q, p, reduction="batchmean")


def aux_k(error: Tensor, predicted: Tensor) -> Tensor:
    """Return AuxK: how badly the dead latents predict the error of the model (arXiv 2406.04093, section A.2).

    The squared error of the prediction is divided by the spread of ``error``, as in github.com/EleutherAI/sparsify: a
    scalar, about 1 when nothing is predicted. `error` is ``x - x_hat`` without gradient; both have the shape (n, d_in).
    """
    spread = (error - error.mean(0)).pow(2).sum().clamp_min(1e-12)
    return (error - predicted).pow(2).sum() / spread


class BatchLoss(NamedTuple):
    """The loss of one batch."""

    total: Tensor
    """The weighted sum, a scalar."""
    parts: dict[str, Tensor]
    """Its unweighted terms by name."""
    codes: Codes
    """Codes of all rows of the batch."""


class Objective:
    """MSE, KL on reconstructed scores, KL on latent scores, L(4k) and AuxK, weighted as the recipe says.

    Args:
        sae: The model.
        config: The recipe.
        variance: Mean squared distance of a document from the data mean; the MSE is divided by it, so that the weights
            mean the same for every embedder.
        processes: They divide encoding and decoding among them, but not the losses.
    """

    def __init__(self, sae: SparseAutoencoder, config: TrainConfig, variance: float, processes: ProcessGroup) -> None:
        self.sae, self.config, self.variance, self.processes = sae, config, variance, processes

    def __call__(self, batch: Batch, step: int, dead: Tensor) -> BatchLoss:
        """Return the loss of a batch.

        `step` decides which quarter of the texts L(4k) and AuxK see; `dead` marks latents, shape (n_latents,), bool.
        """
        config, n_queries = self.config, len(batch.queries)
        scored = slice(n_queries, n_queries + len(batch.documents))
        x = torch.cat([batch.queries, batch.documents, batch.extra])  # (n, d_in)
        x_hat, codes = self._reconstruct(x)
        if config.loss == "paper":
            return self._paper(batch, x_hat[:n_queries], x_hat[scored], codes)
        weights = torch.ones(len(x), device=x.device)
        weights[:n_queries] = config.query_weight
        parts = {"mse": squared_error(x, x_hat, weights) / self.variance}
        total = parts["mse"]
        if config.loss == "ranking":
            target = batch.queries @ batch.documents.T  # (queries, documents)
            if config.kl_weight:
                scores = _cosine(x_hat[:n_queries], x_hat[scored])
                parts["kl"] = ranking_kl(target, scores, config.temperature)
                total = total + config.kl_weight * parts["kl"]
            if config.latent_kl_weight:
                scores = self._latent_cosine(codes, n_queries, scored)
                parts["latent_kl"] = ranking_kl(target, scores, config.temperature)
                total = total + config.latent_kl_weight * parts["latent_kl"]
        turn = slice(step % TURNS, None, TURNS)
        if config.multi_topk_weight:
            wide, _ = self._reconstruct(x[turn], 4 * self.sae.config.k)
            parts["mse_4k"] = squared_error(x[turn], wide) / self.variance
            total = total + config.multi_topk_weight * parts["mse_4k"]
        if config.aux_weight and bool(dead.any()):
            parts["aux"] = self._revive(x[turn], (x - x_hat).detach()[turn], dead.nonzero().squeeze(1))
            total = total + config.aux_weight * parts["aux"]
        return BatchLoss(total, parts, codes)

    def _reconstruct(self, x: Tensor, k: int | None = None) -> tuple[Tensor, Codes]:
        """Encode and decode all rows, each process its share of them."""
        processes, n = self.processes, len(x)
        k = k or self.sae.config.k
        if self.config.activation == "batch_topk":
            codes = largest_of_batch(self.sae.encode(processes.share(x), 2 * k), k)
        else:
            codes = self.sae.encode(processes.share(x), k)
        x_hat = processes.gather(self.sae.decode(*codes), n)
        return x_hat, Codes(processes.gather(codes.indices, n), processes.gather(codes.values, n))

    def _latent_cosine(self, codes: Codes, n_queries: int, scored: slice) -> Tensor:
        n_latents = self.sae.config.n_latents
        queries = F.normalize(codes.values[:n_queries], dim=1)
        documents = F.normalize(codes.values[scored], dim=1)
        rows = Codes(codes.indices[:n_queries], queries).dense(n_latents).T.contiguous()  # (n_latents, queries)
        return sparse_sum(codes.indices[scored], documents, rows).T

    def _revive(self, x: Tensor, error: Tensor, latents: Tensor) -> Tensor:
        share = self.processes.share
        values, columns = self.sae.pre_acts(share(x), latents).topk(min(self.config.k_aux, len(latents)), dim=1)
        predicted = self.processes.gather(sparse_sum(columns, values.relu(), self.sae.W_dec[latents]), len(x))
        return min(len(latents) / self.config.k_aux, 1.0) * aux_k(error, predicted)

    def _paper(self, batch: Batch, q_hat: Tensor, d_hat: Tensor, codes: Codes) -> BatchLoss:
        """Return mse(q) + mse(D) + KL over each query's own nearest documents, with MSE as F.mse_loss averages it."""
        own, own_hat = batch.documents[batch.own], d_hat[batch.own]  # (queries, candidates, d_in)
        target = torch.einsum("qd,qcd->qc", batch.queries, own)
        scores = torch.einsum("qd,qcd->qc", q_hat, own_hat)
        parts = {"mse": (batch.queries - q_hat).pow(2).mean() + (own - own_hat).pow(2).mean()}
        total = parts["mse"]
        if self.config.kl_weight:
            parts["kl"] = paper_kl(target, scores)
            total = total + self.config.kl_weight * parts["kl"]
        return BatchLoss(total, parts, codes)


def largest_of_batch(codes: Codes, k: int) -> Codes:
    """Keep the ``n k`` largest activations of `n` texts and set the others to 0 (BatchTopK, arXiv 2412.06410)."""
    values = codes.values.flatten()
    kept = min(k * len(codes.values), len(values))
    if kept == 0:
        return codes
    least = values.topk(kept).values[-1]
    return Codes(codes.indices, codes.values * (codes.values >= least))


def _cosine(queries: Tensor, documents: Tensor) -> Tensor:
    return F.normalize(queries, dim=1) @ F.normalize(documents, dim=1).T
