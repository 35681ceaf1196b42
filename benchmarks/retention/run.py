"""One training and its figures, kept in a file of its own, so that a stopped benchmark goes on where it was."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray, IntArray, unit_rows
from steersearch.metrics import SUBLINEAR, alive_share, fvu, l0, mean_jaccard, qrels_of, run_of, score_run
from steersearch.training import SaeConfig, SparseAutoencoder, TrainConfig, fit_embeddings
from steersearch.training.dev_set import latent_scores
from steersearch.training.sae import decode_all, encode_all

from .data import Judged, Material, Source
from .experiments import LATENTS, Experiment
from .general import general_material

SHORT, EVERY = 128, 4
"""What a general model of twelve layers reads: tokens of a text, and each so-manieth text. All of it takes hours."""
Codes = tuple[IntArray, FloatArray]
Others = dict[str, tuple[str, str]]


class Bench:
    """Runs experiments.

    Args:
        folder: BEIR sets.
        work: Where checkpoints and figures of single runs are kept.
        mpnet: Folder of all-mpnet-base-v2; only its group needs it.
        others: Name -> folder and pooling of the embedders of the group `embedders`.
    """

    def __init__(self, folder: Path, work: Path, mpnet: str | None, others: Others | None = None) -> None:
        self.work = work
        self.sources = {"minilm": Source(folder, "minilm")}
        if mpnet:
            self.sources["mpnet"] = Source(folder, mpnet, "bf16", pieces=8000)
            self.sources["mpnet-short"] = Source(folder, mpnet, "bf16", max_length=SHORT)
        for name, (place, pooling) in (others or {}).items():
            self.sources[name] = Source(folder, place, pooling=pooling)

    def run(self, experiment: Experiment) -> dict[str, Any]:
        """Train, measure and keep the figures; read them when they are there."""
        path = self.work / f"{experiment.key}.json"
        shape, recipe = configuration(experiment)
        wanted = {"shape": asdict(shape), "recipe": asdict(recipe)}
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            if found.get("config") == wanted:
                return found
        source = self.sources[experiment.embedder]
        started = time.monotonic()
        material = self.material(source, experiment.trained_on)
        sae = fit_embeddings(
            *(material.documents, material.queries, shape, recipe), n_real=material.n_real, relevant=material.relevant
        )
        figures: dict[str, Any] = {
            "key": experiment.key,
            "config": wanted,
            "group": experiment.group,
            "name": experiment.name,
            "k": experiment.k,
            "seed": experiment.seed,
            "seconds": round(time.monotonic() - started, 1),
            "dev": {name: round(value, 4) for name, value in sae.info.metrics.items()},
            "sets": {name: measure(sae, source.judged(name)) for name in experiment.measured_on},
        }
        self.work.mkdir(parents=True, exist_ok=True)
        sae.save(self.work / f"{experiment.key}.pt")
        path.write_text(json.dumps(figures, indent=1) + "\n")
        return figures

    @cache  # noqa: B019  one per process
    def material(self, source: Source, name: str) -> Material:
        """Training queries of a set: those of its train split, then pieces of its documents."""
        if name == "general":
            return general_material(source, EVERY if source.max_length == SHORT else 1)
        judged = source.judged(name, "train")
        pieces = source.pieces(name)
        return Material(
            documents=judged.documents,
            queries=np.concatenate([judged.queries, pieces]),
            n_real=len(judged.queries),
            relevant=judged.relevant,
        )


def configuration(experiment: Experiment) -> tuple[SaeConfig, TrainConfig]:
    """The whole of an experiment's settings: what is kept of an earlier run is used only if they are the same."""
    recipe = dict(experiment.recipe)
    make = TrainConfig.paper if recipe.pop("paper", False) else TrainConfig
    shape = SaeConfig(**{"n_latents": LATENTS, "k": experiment.k} | experiment.shape)
    return shape, make(seed=experiment.seed, **recipe)


def measure(sae: SparseAutoencoder, judged: Judged) -> dict[str, float]:
    """nDCG@10, MRR@10 and R@100 of dense search, reconstructions and sparse codes; fvu and sparsity."""
    codes, query_codes = encode_all(sae, judged.documents), encode_all(sae, judged.queries)
    x_hat, q_hat = decode_all(sae, *codes), decode_all(sae, *query_codes)
    scores = {
        "dense": judged.queries @ judged.documents.T,
        "reconstruction": unit_rows(q_hat) @ unit_rows(x_hat).T,
        "reconstruction, inner product": q_hat @ x_hat.T,
        "latent": latent_scores(query_codes, codes, sae.config.n_latents),
        "latent, exponent 1": linear_scores(query_codes, codes, sae.config.n_latents),
    }
    qrels = qrels_of(judged.relevant)
    figures: dict[str, float] = {}
    for view, found in scores.items():
        figures |= {f"{view} {name}": value for name, value in score_run(run_of(found), qrels).items()}
    for view in scores:
        if view != "dense":
            figures[f"{view} share"] = figures[f"{view} nDCG@10"] / figures["dense nDCG@10"]
    figures |= {
        "fvu": fvu(judged.documents, x_hat),
        "fvu queries": fvu(judged.queries, q_hat, judged.documents.mean(0)),
        "l0": l0(codes[1]),
        "alive": alive_share(*codes, sae.config.n_latents),
        "jaccard": mean_jaccard(*codes),
    }
    return {name: round(float(value), 5) for name, value in figures.items()}


def linear_scores(queries: Codes, documents: Codes, n_latents: int) -> FloatArray:
    """Cosines of codes as they are: `latent_scores` without its exponent, to see what that is worth."""
    undone = [(indices, values ** (1 / SUBLINEAR)) for indices, values in (queries, documents)]
    return latent_scores(undone[0], undone[1], n_latents)


_bench: list[Bench] = []


def start_worker(folder: Path, work: Path, mpnet: str | None, others: Others) -> None:
    """Prepare a process of its own for `run_in_worker`: one thread, since several trainings run at a time."""
    import torch

    torch.set_num_threads(1)
    _bench.append(Bench(folder, work, mpnet, others))


def run_in_worker(experiment: Experiment) -> dict[str, Any]:
    """`Bench.run` in a process that `start_worker` prepared."""
    return _bench[0].run(experiment)
