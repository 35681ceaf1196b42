"""The training loop, which can be resumed after any step."""

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
from .batches import BatchSampler
from .checkpoint import atomic_torch_save, load_plain
from .config import TrainConfig
from .dev_set import DevSet
from .distributed import ProcessGroup, choose_device, product_dtype
from .losses import Objective
from .sae import Codes, SparseAutoencoder

logger = logging.getLogger(__name__)

Report = Callable[[int, dict[str, float]], None]
"""Called with the number of a step and its figures."""


class Trainer:
    """Fits one autoencoder and keeps the weights with the best retention on held-out queries.

    Args:
        sae: A new model; it is trained in place.
        sampler: Source of batches.
        config: The recipe.
        variance: Mean squared distance of a document from the data mean.
        dev: Held-out queries, measured every `config.eval_every` steps; None keeps the last weights.
        resume_path: File for the state, written every `config.save_every` steps; None writes none.
    """

    def __init__(
        self,
        sae: SparseAutoencoder,
        sampler: BatchSampler,
        config: TrainConfig,
        *,
        variance: float,
        dev: DevSet | None = None,
        resume_path: Path | None = None,
    ) -> None:
        self.device = choose_device(config.device)
        self.processes = ProcessGroup(self.device)
        self.sae, self.sampler, self.config, self.variance = sae.to(self.device), sampler, config, variance
        self.dev, self.resume_path = dev, resume_path
        self.objective = Objective(sae, config, variance, self.processes)
        self.optimiser = torch.optim.Adam(sae.parameters(), lr=config.learning_rate, fused=self.device.type != "mps")
        self.idle_steps = torch.zeros(sae.config.n_latents, dtype=torch.int64, device=self.device)
        self.step = 0
        self.best: dict[str, Tensor] = {}
        self.best_step, self.best_retention = 0, -math.inf

    def run(self, report: Report | None = None) -> dict[str, float]:
        """Train to the last step, or until `config.patience` measurements in a row brought no improvement.

        On an interrupt the state is saved, so that `resume` loses nothing.

        Args:
            report: Called after every step with its number and its figures, those of the dev set (``dev_*``) among them
                every `config.eval_every` steps.

        Returns:
            The figures of the dev set for the weights that are kept; empty without a dev set.
        """
        self.sae.product_dtype = product_dtype(self.config.precision, self.device)
        measured: dict[str, float] = {}
        try:
            while self.step < self.config.steps and not self._is_stalled():
                figures = self._one_step()
                self.step += 1
                if self.dev and (self.step % self.config.eval_every == 0 or self.step == self.config.steps):
                    measured = self._measure(self.dev)
                    figures |= {f"dev_{name}": value for name, value in measured.items()}
                if report and self.processes.is_first:
                    report(self.step, figures)
                if self.step % self.config.save_every == 0 and self.step < self.config.steps:
                    self.save_state()
        except KeyboardInterrupt:
            self.save_state()
            raise
        self.sae.product_dtype = torch.float32
        if self.best and self.best_step != self.step:
            logger.info(
                "keeping the weights of step %d of %d: retention %.4f", self.best_step, self.step, self.best_retention
            )
            self.sae.load_state_dict(self.best)
            measured = {}
        # Also when the run was resumed after its last step.
        if self.dev and not measured:
            measured = self.dev.measure(self.sae)
        if self.resume_path and self.processes.is_first:
            self.resume_path.unlink(missing_ok=True)
        return measured

    def _is_stalled(self) -> bool:
        patience = self.config.patience * self.config.eval_every
        return bool(patience) and bool(self.best) and self.step - self.best_step >= patience

    def _measure(self, dev: DevSet) -> dict[str, float]:
        # The exported model computes in float32.
        dtype, self.sae.product_dtype = self.sae.product_dtype, torch.float32
        figures = dev.measure(self.sae)
        self.sae.product_dtype = dtype
        if figures["retention"] > self.best_retention:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.sae.state_dict().items()}
            self.best_step, self.best_retention = self.step, figures["retention"]
        return figures

    def _one_step(self) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._schedule()
        batch = self.sampler.draw(self.step, self.device)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.objective(batch, self.step, self.idle_steps >= self.config.dead_steps)
        figures = {name: float(part.detach()) for name, part in loss.parts.items()}
        figures["loss"] = float(loss.total.detach())
        if not math.isfinite(figures["loss"]):
            raise DataError(
                f"the loss is {figures['loss']} at step {self.step + 1}: lower learning_rate or check the embeddings"
            )
        loss.total.backward()  # type: ignore[no-untyped-call]
        self.processes.sum_gradients(self.sae.parameters())
        if self.config.unit_norm:
            self.sae.remove_parallel_gradient()
        self.optimiser.step()
        if self.config.unit_norm:
            self.sae.normalise_atoms()
        return figures | self._activity(loss.codes, len(batch.queries))

    def _schedule(self) -> float:
        warmup = self.config.warmup_steps
        if self.step < warmup:
            return (self.step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (self.step - warmup) / max(self.config.steps - warmup, 1)))

    @torch.no_grad()
    def _activity(self, codes: Codes, n_queries: int) -> dict[str, float]:
        """Count the steps since each latent fired on a document; a latent that fires on queries only finds nothing."""
        active = codes.values > 0
        self.idle_steps += 1
        self.idle_steps[codes.indices[n_queries:][active[n_queries:]]] = 0
        dead = self.idle_steps >= self.config.dead_steps
        return {"l0": float(active.sum(1).float().mean()), "alive": 1.0 - float(dead.float().mean())}

    def save_state(self) -> None:
        """Write the state that `resume` reads, where there is a resume path."""
        if self.resume_path and self.processes.is_first:
            atomic_torch_save(
                {
                    "step": self.step,
                    "recipe": self._recipe(),
                    "state": self.sae.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "idle_steps": self.idle_steps,
                    "best": {"state": self.best, "step": self.best_step, "retention": self.best_retention},
                },
                self.resume_path,
            )
            logger.info("saved the training state of step %d to %s", self.step, self.resume_path)

    def resume(self) -> int:
        """Load the state of a stopped run and return its step, 0 when there is no state.

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
        self.best = saved["best"]["state"]
        self.best_step, self.best_retention = saved["best"]["step"], saved["best"]["retention"]
        self.step = int(saved["step"])
        return self.step

    def _recipe(self) -> dict[str, Any]:
        # A run may go on to another last step; the learning rate then follows the new one.
        free = {"device", "save_every", "steps", "patience"}
        recipe = {name: value for name, value in dataclasses.asdict(self.config).items() if name not in free}
        sampler = self.sampler
        shape = {"n_documents": len(sampler.documents), "n_queries": len(sampler.queries)}
        return recipe | dataclasses.asdict(self.sae.config) | shape | {"variance": self.variance}
