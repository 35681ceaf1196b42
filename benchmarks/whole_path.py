"""The whole path on a judged corpus: train, export in every precision, evaluate, compare ONNX with torch.

    python -m benchmarks.whole_path --data FOLDER --set scifact [--seeds 3] [--steps 1000]

FOLDER holds BEIR folders. Prints a table and writes benchmarks/results/whole_path.json. Every figure that the
README and the notes quote about fidelity comes from here; training quality has its own benchmark.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.corpus import read_queries
from steersearch.export import export_bundle
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.evaluate import evaluate
from steersearch.training import SaeConfig, SparseAutoencoder, TrainConfig, train

RESULTS = Path(__file__).parent / "results" / "whole_path.json"
EXPLAINED = 300


def main() -> None:
    """Run everything; work is kept in --work and gone on with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--set", default="scifact")
    parser.add_argument("--work", type=Path, default=Path("demo/whole_path"), help="checkpoints, bundles and indexes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--latents", type=int, default=4096)
    parser.add_argument("-k", type=int, default=32)
    args = parser.parse_args()
    folder = args.data / args.set
    report: dict[str, Any] = {
        "set": args.set,
        "k": args.k,
        "latents": args.latents,
        "steps": args.steps,
        "machine": platform.machine(),
    }
    report["seeds"] = [seed_report(folder, args, seed) for seed in range(args.seeds)]
    report["mean"], report["spread"] = summarise(report["seeds"])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    for name, value in report["mean"].items():
        print(f"{name:<48} {value:.4f} ± {report['spread'][name]:.4f}")


def seed_report(folder: Path, args: argparse.Namespace, seed: int) -> dict[str, float]:
    """All figures of one seed; fp32 for every seed, the other precisions for the first."""
    work = args.work / f"{args.set}-k{args.k}-n{args.latents}-s{args.steps}-seed{seed}"
    checkpoint = work / "model.pt"
    figures: dict[str, float] = {}
    if not checkpoint.exists():
        started = time.monotonic()
        sae = train(
            folder,
            "minilm",
            SaeConfig(n_latents=args.latents, k=args.k),
            TrainConfig(steps=args.steps, seed=seed),
            resume_path=work / "model.pt.resume",
            resume=True,
        )
        sae.save(checkpoint)
        print(f"seed {seed}: trained in {time.monotonic() - started:.0f} s")
    sae = SparseAutoencoder.load(checkpoint)
    for precision in ("fp32", "w8", "small", "int8") if seed == 0 else ("fp32",):
        bundle = work / f"bundle-{precision}"
        if not bundle.exists():
            export_bundle(checkpoint, bundle, precision=precision)
        # The vectors of an index do not depend on the seed, its codes do: one index per seed and precision.
        found = asdict(evaluate(bundle, folder, index_path=work / f"index-{precision}"))
        for view, metrics in found["views"].items():
            for metric, value in metrics.items():
                figures[f"{precision} {view} {metric}"] = value
        figures |= {
            f"{precision} share of dense, {view}, nDCG@10": found["share_of_dense"][view]["nDCG@10"]
            for view in ("reconstruction", "latent")
        }
        figures |= {f"{precision} {name}": value for name, value in found["sparsity"].items()}
        figures[f"{precision} empty boost identical"] = float(found["empty_boost_identical"])
        figures[f"{precision} bundle MB"] = sum(file.stat().st_size for file in bundle.iterdir()) / 1e6
    figures |= exactness(work / "bundle-fp32", work / "index-fp32", folder, sae)
    return figures


def exactness(bundle_path: Path, index_path: Path, folder: Path, sae: SparseAutoencoder) -> dict[str, float]:
    """Empty boosts on every query of the set, sums of explanations, reopening, and ONNX codes against torch's."""
    import torch

    bundle = Bundle.load(bundle_path)
    queries = list(read_queries(folder).values())
    vectors = bundle.embed_queries(queries)
    same, worst = 0, 0.0
    with SteerableIndex.open(index_path, bundle=bundle) as index:
        answers = []
        for i, vector in enumerate(vectors):
            hits = [(hit.id, hit.score) for hit in index.search(vector, 10)]
            empty = [(hit.id, hit.score) for hit in index.search(vector, 10, boost={})]
            zero = [(hit.id, hit.score) for hit in index.search(vector, 10, boost={"f0": 0.0, 1: 0.0}, clamp={})]
            same += hits == empty == zero
            answers.append(hits)
            if i < EXPLAINED:
                boost = {i % bundle.n_latents: 1.0} if bundle.features.typical[i % bundle.n_latents] > 0 else {}
                hit = index.search(vector, 1, boost=boost)[0]
                explanation = index.explain(vector, hit.id, boost=boost)
                total = sum(part.contribution for part in explanation.parts) + explanation.rest
                worst = max(worst, abs(total - hit.score))
        codes = index.sample(10**9)[0]
    with SteerableIndex.open(index_path, bundle=bundle) as index:
        reopened = sum(
            answers[i] == [(hit.id, hit.score) for hit in index.search(v, 10)] for i, v in enumerate(vectors)
        )
    everything = np.concatenate([codes, vectors])
    theirs = sae.encode(torch.from_numpy(everything)).indices.numpy()
    ours = bundle.encode(everything)[0]
    agreement = statistics.fmean(len(np.intersect1d(a, b)) / len(a) for a, b in zip(theirs, ours, strict=True))
    return {
        "queries": float(len(queries)),
        "queries where an empty and a zero boost equal dense": float(same),
        "queries with the same answer after reopening": float(reopened),
        f"largest |explanation - score| of {EXPLAINED}": worst,
        "share of TopK entries equal in ONNX and torch": agreement,
    }


def summarise(seeds: list[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation over the seeds that have a figure."""
    names = dict.fromkeys(name for figures in seeds for name in figures)
    columns = {name: [figures[name] for figures in seeds if name in figures] for name in names}
    spread = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in columns.items()}
    return {name: statistics.fmean(values) for name, values in columns.items()}, spread


if __name__ == "__main__":
    main()
