"""What is trained: every row of the tables, as the changes it makes to the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

WIDTHS = (32, 64, 128, 256)
"""K, as in the paper's tables."""
UNSEEN = ("scifact", "cisi", "med", "vaswani", "liveqa-med")
"""Sets that the general model never sees, neither documents nor queries."""
MEASURED_MPNET = ("scifact", "cisi", "med")
LATENTS = 4096


@dataclass(frozen=True)
class Experiment:
    """One training and where it is measured."""

    group: str
    name: str
    k: int
    seed: int
    trained_on: str = "scifact"
    """A set, or `general`: only text that is none of the measured sets."""
    measured_on: tuple[str, ...] = ("scifact",)
    embedder: str = "minilm"
    shape: dict[str, Any] = field(default_factory=dict)
    """Changes to SaeConfig."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """Changes to TrainConfig; the key `paper` starts from `TrainConfig.paper()`."""

    @property
    def key(self) -> str:
        """Name of its file of results."""
        return f"{self.group}-{self.name}-k{self.k}-seed{self.seed}".replace(" ", "_").replace("/", "_")


def headline(seeds: int, steps: int) -> Iterator[Experiment]:
    """The first table: our recipe at every K."""
    for k in WIDTHS:
        for seed in range(seeds):
            yield Experiment("headline", "ours", k, seed, recipe={"steps": steps})
    for seed in range(seeds):  # what the ranking losses are worth when training is long enough
        yield Experiment("headline", "ours, MSE only", 32, seed, recipe={"steps": steps, "loss": "mse"})


def transfer(seeds: int, steps: int) -> Iterator[Experiment]:
    """One general model, measured on sets it has not seen."""
    for k in WIDTHS:
        for seed in range(seeds):
            yield Experiment("transfer", "general", k, seed, "general", UNSEEN, recipe={"steps": steps})


def mpnet(seeds: int, steps: int) -> Iterator[Experiment]:
    """A second embedder, 768 numbers wide."""
    for k in (64, 128):
        for seed in range(seeds):
            yield Experiment("mpnet", "ours", k, seed, embedder="mpnet", recipe={"steps": steps})


def embedders(names: Iterable[str], seeds: int, steps: int) -> Iterator[Experiment]:
    """Embedders of other kinds, named on the command line."""
    for k in (64, 32, 128):
        for name in names:
            for seed in range(seeds):
                yield Experiment("embedders", name, k, seed, embedder=name, recipe={"steps": steps})


def general_mpnet(seeds: int, steps: int) -> Iterator[Experiment]:
    """The general model of the second embedder. Texts are cut at 128 tokens, in what it is measured on too."""
    for seed in range(seeds):
        recipe = {"steps": steps}
        yield Experiment("general_mpnet", "general", 64, seed, "general", MEASURED_MPNET, "mpnet-short", recipe=recipe)


def paper(seeds: int, steps: int) -> Iterator[Experiment]:
    """The paper's recipe as coded, with and without its KL, at every K."""
    for k in WIDTHS:
        for seed in range(seeds):
            for name, weight in (("paper mse", 0.0), ("paper mse+kl", 1.0)):
                recipe = {"paper": True, "steps": steps, "kl_weight": weight, "queries_per_step": 128}
                yield Experiment("paper", name, k, seed, shape={"encoder_depth": 1}, recipe=recipe)


ABLATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # name -> (changes to the shape, changes to the recipe)
    "ours": ({}, {}),
    "no KL at all": ({}, {"loss": "mse"}),
    "no KL on reconstructions": ({}, {"kl_weight": 0.0}),
    "no KL on latents": ({}, {"latent_kl_weight": 0.0}),
    "KL weights x 3": ({}, {"kl_weight": 0.3, "latent_kl_weight": 0.3}),
    "temperature .02": ({}, {"temperature": 0.02}),
    "temperature .2": ({}, {"temperature": 0.2}),
    "no AuxK": ({}, {"aux_weight": 0.0}),
    "with L(4k)": ({}, {"multi_topk_weight": 0.125}),
    "untied init": ({}, {"tied_init": False}),
    "encoder starts at full scale": ({}, {"encoder_scale": 1.0}),
    "no random documents": ({}, {"random_documents": 0}),
    "only random documents": ({}, {"candidates": 1, "random_documents": 450}),
    "4x (1,536 latents)": ({"n_latents": 1536}, {}),
    "8x (3,072 latents)": ({"n_latents": 3072}, {}),
    "32x (12,288 latents)": ({"n_latents": 12_288}, {}),
    "encoder depth 1": ({"encoder_depth": 1}, {}),
    "encoder depth 3": ({"encoder_depth": 3}, {}),
    "BatchTopK": ({}, {"activation": "batch_topk"}),
}


def ablation(seeds: int, steps: int) -> Iterator[Experiment]:
    """Our recipe with one thing changed, at K = 32."""
    for name, (shape, recipe) in ABLATIONS.items():
        for seed in range(seeds):
            yield Experiment("ablation", name, 32, seed, shape=shape, recipe={"steps": steps} | recipe)
