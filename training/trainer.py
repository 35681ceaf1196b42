"""The training loop: one step after another, resumable at any of them."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError, DataError
from .batches import Batch, BatchSampler
from .checkpoint import atomic_torch_save, load_plain
from .config import TrainConfig
from .losses import aux_k, paper_kl, ranking_kl, squared_error
from .sae import Codes, SparseAutoencoder
from .sparse_ops import sparse_sum

logger = logging.getLogger(__name__)
Report = Callable[[int, dict[str, float]], None]


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else Apple's MPS, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class Trainer:
    """Fits one autoencoder.

    Args:
        sae: The model, freshly made; trained in place.
        sampler: Source of batches.
        config: The recipe.
        variance: Mean squared distance of a document from the data mean; the MSE is divided by it, so that the weights
            mean the same for every embedder.
        resume_path: Where the state is kept between `config.save_every` steps; None keeps none.
    """

    def __init__(
        self,
        sae: SparseAutoencoder,
        sampler: BatchSampler,
        config: TrainConfig,
        *,
        variance: float,
        resume_path: Path | None = None,
    ) -> None:
        self.device = choose_device(config.device)
        self.sae, self.sampler, self.config, self.variance = sae.to(self.device), sampler, config, variance
        self.resume_path = resume_path
        self.optimiser = torch.optim.Adam(sae.parameters(), lr=config.learning_rate, fused=self.device.type != "mps")
        self.idle_steps = torch.zeros(sae.config.n_latents, dtype=torch.int64, device=self.device)
        self.step = 0

    def run(self, report: Report | None = None) -> None:
        """Train to the last step. On an interrupt the state is saved first, so that `resume` loses nothing."""
        try:
            while self.step < self.config.steps:
                figures = self._one_step()
                self.step += 1
                if report:
                    report(self.step, figures)
                if self.step % self.config.save_every == 0 and self.step < self.config.steps:
                    self.save_state()
        except KeyboardInterrupt:
            self.save_state()
            raise
        if self.resume_path:
            self.resume_path.unlink(missing_ok=True)

    def _one_step(self) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._schedule()
        batch = self.sampler.draw(self.step, self.device)
        self.optimiser.zero_grad(set_to_none=True)
        loss, figures = self._loss(batch)
        if not math.isfinite(figures["loss"]):
            raise DataError(
                f"the loss is {figures['loss']} at step {self.step + 1}: lower learning_rate or check the embeddings"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.unit_norm:
            self.sae.remove_parallel_gradient()
        self.optimiser.step()
        if self.config.unit_norm:
            self.sae.normalise_atoms()
        return figures

    def _schedule(self) -> float:
        warmup = self.config.warmup_steps
        if self.step < warmup:
            return (self.step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (self.step - warmup) / max(self.config.steps - warmup, 1)))

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        config, sae = self.config, self.sae
        n_queries, n_documents = len(batch.queries), len(batch.documents)
        x = torch.cat([batch.queries, batch.documents, batch.extra])  # (n, d_in)
        weights = torch.ones(len(x), device=x.device)
        weights[:n_queries] = config.query_weight
        codes = sae.encode(x)
        x_hat = sae.decode(*codes)
        q, d = batch.queries, batch.documents
        q_hat, d_hat = x_hat[:n_queries], x_hat[n_queries : n_queries + n_documents]

        if config.loss == "paper":
            return self._paper_loss(batch, x_hat, codes)
        parts = {"mse": squared_error(x, x_hat, weights) / self.variance}
        total = parts["mse"]
        # What costs several times as much per text is done for a quarter of them, each in its turn.
        quarter = slice(self.step % 4, None, 4)
        if config.multi_topk_weight:
            some = x[quarter]
            parts["mse_4k"] = squared_error(some, sae.decode(*sae.encode(some, 4 * sae.config.k))) / self.variance
            total = total + config.multi_topk_weight * parts["mse_4k"]
        if config.loss == "ranking":
            target = q @ d.T  # (queries, documents)
            if config.kl_weight:
                parts["kl"] = ranking_kl(target, q_hat @ d_hat.T, config.temperature)
                total = total + config.kl_weight * parts["kl"]
            if config.latent_kl_weight:
                own = slice(n_queries, n_queries + n_documents)
                z_q = Codes(codes.indices[:n_queries], codes.values[:n_queries]).dense(sae.config.n_latents)
                scores = sparse_sum(codes.indices[own], codes.values[own], z_q.T.contiguous())  # (documents, queries)
                parts["latent_kl"] = ranking_kl(target, scores.T, config.temperature)
                total = total + config.latent_kl_weight * parts["latent_kl"]
        self._count_idle(codes)
        dead = self.idle_steps >= config.dead_steps
        if config.aux_weight and bool(dead.any()):
            ids = dead.nonzero().squeeze(1)
            error = (x - x_hat).detach()[quarter]
            parts["aux"] = aux_k(error, sae.pre_acts(x[quarter], ids), sae.W_dec[ids], config.k_aux)
            total = total + config.aux_weight * parts["aux"]
        return total, self._figures(total, parts, codes, dead)

    def _paper_loss(self, batch: Batch, x_hat: Tensor, codes: Codes) -> tuple[Tensor, dict[str, float]]:
        """mse(q) + mse(D) + KL over each query's own nearest documents; MSE averaged over d_in as F.mse_loss does."""
        n_queries = len(batch.queries)
        d_hat = x_hat[n_queries : n_queries + len(batch.documents)]
        own, own_hat = batch.documents[batch.own], d_hat[batch.own]  # (queries, candidates, d_in)
        target = torch.einsum("qd,qcd->qc", batch.queries, own)
        scores = torch.einsum("qd,qcd->qc", x_hat[:n_queries], own_hat)
        mse_queries = (batch.queries - x_hat[:n_queries]).pow(2).mean()
        mse_documents = (own - own_hat).pow(2).mean()
        parts = {"mse": mse_queries + mse_documents, "kl": paper_kl(target, scores)}
        self._count_idle(codes)
        total = parts["mse"] + self.config.kl_weight * parts["kl"]
        return total, self._figures(total, parts, codes, self.idle_steps >= self.config.dead_steps)

    @torch.no_grad()
    def _count_idle(self, codes: Codes) -> None:
        self.idle_steps += 1
        self.idle_steps[codes.indices[codes.values > 0]] = 0

    @staticmethod
    def _figures(total: Tensor, parts: dict[str, Tensor], codes: Codes, dead: Tensor) -> dict[str, float]:
        figures = {name: float(part.detach()) for name, part in parts.items()}
        figures |= {"loss": float(total.detach()), "l0": float((codes.values > 0).sum(1).float().mean())}
        return figures | {"alive": 1.0 - float(dead.float().mean())}

    def save_state(self) -> None:
        """Write what `resume` needs; nothing when there is no resume path."""
        if self.resume_path:
            atomic_torch_save(
                {
                    "step": self.step,
                    "recipe": self._recipe(),
                    "state": self.sae.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "idle_steps": self.idle_steps,
                },
                self.resume_path,
            )
            logger.info("saved the training state of step %d to %s", self.step, self.resume_path)

    def resume(self) -> int:
        """Go on where a stopped run left off; returns the step, 0 when there is nothing to resume.

        Raises:
            CheckpointError: The state is damaged, or belongs to a run with other settings or data.
        """
        if self.resume_path is None or not self.resume_path.exists():
            return 0
        saved = load_plain(self.resume_path)
        recipe = self._recipe()
        changed = [name for name in recipe if saved.get("recipe", {}).get(name) != recipe[name]]
        if changed:
            raise CheckpointError(
                f"{self.resume_path} belongs to a run with another {', '.join(changed)}: "
                "use the settings and data of that run, or start again without --resume"
            )
        self.sae.load_state_dict(saved["state"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.idle_steps.copy_(saved["idle_steps"])
        self.step = int(saved["step"])
        return self.step

    def _recipe(self) -> dict[str, Any]:
        free = {"device", "save_every"}
        recipe = {name: value for name, value in dataclasses.asdict(self.config).items() if name not in free}
        sampler = self.sampler
        shape = {"n_documents": len(sampler.documents), "n_queries": len(sampler.queries)}
        return recipe | dataclasses.asdict(self.sae.config) | shape | {"variance": self.variance}
