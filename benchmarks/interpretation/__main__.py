"""Labels and Neuron-to-Graph on held-out documents, against controls, on several corpora.

    python -m benchmarks.interpretation --data FOLDER [--sets demo scifact 20newsgroups] [--seeds 3] [--parts steering]

FOLDER holds BEIR folders. Checkpoints, bundles and embeddings are kept in --work and used again. Writes
benchmarks/results/interpretation.json after every autoencoder and prints the table that benchmarks/README.md shows.
What was measured is not measured again, so that a stopped run goes on; `--again` does, as after a change of the labels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from steersearch.corpus import Corpus, python_documentation
from steersearch.export import export_bundle
from steersearch.runtime import Bundle
from steersearch.runtime.interpret.pipeline import InterpretationResult, interpret
from steersearch.training import SaeConfig, TrainConfig, train

from .controls import as_predictors, as_units, eligible, median_of
from .groups import GOOD, groups_found, read_groups
from .steering import steering_figures

RESULTS = Path(__file__).parent.parent / "results" / "interpretation.json"
EVERY = {"20newsgroups": 3}
"""Of a large corpus every so manieth document: what counts here is the number of features, not of documents."""
PARTS = {"labels": "label auc", "steering": "steers"}
"""What can be measured, and a figure of each."""


def main() -> None:
    """Measure what has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="*", default=["demo", "scifact", "20newsgroups"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="*", choices=[*PARTS], default=[*PARTS], help="labels takes most of the time")
    parser.add_argument("--again", action="store_true", help="measure also what has results")
    parser.add_argument("--work", type=Path, default=Path("demo/interpretation"), help="checkpoints and bundles")
    args = parser.parse_args()
    results = {row["key"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.is_file() else {}
    for name in args.sets:
        for seed in range(args.seeds):
            key = f"{name}-seed{seed}"
            row = results.setdefault(key, {"key": key, "set": name, "seed": seed, "figures": {}})
            parts = [part for part in args.parts if args.again or PARTS[part] not in row["figures"]]
            if parts:
                row["figures"] |= measure(args.data, name, seed, args.work, parts)
                RESULTS.write_text(json.dumps([row for row in results.values() if row["figures"]], indent=1) + "\n")
    for name in args.sets:
        rows = [row for row in results.values() if row["set"] == name]
        print(f"\n{name}, {len(rows)} seeds")
        for figure in dict.fromkeys(figure for row in rows for figure in row["figures"]):
            values = [row["figures"][figure] for row in rows if figure in row["figures"]]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"  {figure:<58} {statistics.fmean(values):.3f} ± {spread:.3f}")


def open_corpus(data: Path, name: str) -> tuple[list[str], list[str]]:
    """Ids and texts."""
    corpus = python_documentation() if name == "demo" else Corpus.open(data / name)
    documents = list(corpus.documents())[:: EVERY.get(name, 1)]
    return [d.id for d in documents], [d.text for d in documents]


def measure(data: Path, name: str, seed: int, work: Path, parts: Sequence[str]) -> dict[str, float]:
    """Figures of one corpus and one autoencoder: those of `parts`, of `PARTS`."""
    ids, texts = open_corpus(data, name)
    folder = work / f"{name}-seed{seed}"
    if not (folder / "model.pt").exists():
        corpus = python_documentation() if name == "demo" else data / name
        source = corpus if EVERY.get(name, 1) == 1 else texts
        train(source, "minilm", SaeConfig(n_latents=4096, k=32), TrainConfig(seed=seed)).save(folder / "model.pt")
    if not (folder / "bundle").exists():
        export_bundle(folder / "model.pt", folder / "bundle", embedder="minilm")
    bundle = Bundle.load(folder / "bundle")
    started = time.monotonic()
    found = interpret(bundle, ids, texts, corpus=name, seed=seed, patterns=False)
    seconds = time.monotonic() - started
    figures: dict[str, float] = {}
    if "steering" in parts:
        figures |= steering_figures(found, eligible(found), seed)
    if "labels" in parts:
        figures |= figures_of(found, seed) | {"seconds without patterns": seconds}
    if "labels" in parts and (data / name / "labels.jsonl.gz").is_file():
        for view, f1 in groups_found(found, read_groups(data / name, ids), seed).items():
            figures[f"groups with F1 >= .5, {view}"] = float(sum(value >= GOOD for value in f1.values()))
            figures[f"mean F1 of groups, {view}"] = statistics.fmean(f1.values())
    return {figure: round(float(value), 4) for figure, value in figures.items()}


def figures_of(found: InterpretationResult, seed: int) -> dict[str, float]:
    """Medians over alive features with at least 20 firing documents, and the controls."""
    entries = found.interpretation.entries
    latents = eligible(found)
    alive = [entry for entry in entries if entry.active]
    figures: dict[str, float] = {"features alive": len(alive), "features with 20 documents": len(latents)}
    for what, scores in (
        ("label", [entries[f].score for f in latents]),
        ("Neuron-to-Graph", [entries[f].pattern_score for f in latents]),
    ):
        for figure in ("auc", "auc_near", "auc_random", "precision", "recall"):
            figures[f"{what} {figure}"] = median_of(scores, figure)
    figures["clear, of features with 20 documents"] = statistics.fmean(not entries[f].unclear for f in latents)
    figures["label auc, of clear ones"] = median_of(
        [entries[f].score for f in latents if not entries[f].unclear], "auc"
    )
    figures["clear, of all alive"] = statistics.fmean(not entry.unclear for entry in alive)
    labels = [entry.label for entry in entries if entry.label]
    figures["labels that are unique"] = len(set(labels)) / len(labels)
    for control, values in as_predictors(found, latents, seed).items():
        figures[f"predictor: {control}"] = statistics.median(values)
    for control, values in as_units(found, seed).items():
        figures[f"labels of: {control}"] = statistics.median(values)
    return figures


if __name__ == "__main__":
    main()
