"""Does steering bring what was asked for, and keep what the query is about? Against every baseline there is.

    python -m benchmarks.control --data FOLDER [--sets 20newsgroups agnews-test ...] [--seeds 3]

FOLDER holds corpora in the layout of BEIR with labels.jsonl.gz. Autoencoders, bundles and embeddings are kept in --work
and used again. Writes benchmarks/results/control.json, control.md and the plots that benchmarks/README.md shows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.corpus import Corpus, read_qrels, read_queries
from steersearch.embedding_cache import default_cache_dir
from steersearch.export import export_bundle
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.interpret.pipeline import CachedEmbedder
from steersearch.training import SaeConfig, TrainConfig, train

from .manners import manners
from .methods import baselines, examples_of, filtered, ours, reconstructed
from .oracle import oracle_curves
from .report import PHRASE_BASELINES, write_report
from .scoring import DEGREES, Bench, outcome
from .tasks import Task, read_task

RESULTS = Path(__file__).parent.parent / "results" / "control.json"
SETS = ("20newsgroups", "agnews-test", "medquad", "debates", "perspectrum")
EVERY = {"20newsgroups": 2, "medquad": 2}
"""Of a large corpus every so manieth document."""
MANNERS = (*PHRASE_BASELINES, "8 examples: DiffMean", "ours, phrase", "ours, 8 examples", "ours, 8 examples and phrase")


def main() -> None:
    """Measure what has no result yet, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--sets", nargs="*", default=list(SETS), help="folders in it, each with labels.jsonl.gz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("demo/control"), help="checkpoints and bundles")
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    read = [read_task(args.data / name, EVERY.get(name, 1)) for name in args.sets]
    tasks = {task.name: task for task in (*read, *(task.in_sentences() for task in read if not task.stance))}
    for seed in range(args.seeds):
        bundle = bundle_of(read, seed, args.work)
        for name, task in tasks.items():
            if f"{name}-seed{seed}" not in results:
                results[f"{name}-seed{seed}"] = measure(task, bundle, seed)
                RESULTS.write_text(json.dumps(results) + "\n")
        if (args.data / "scifact").is_dir() and f"oracle-seed{seed}" not in results:
            results[f"oracle-seed{seed}"] = oracle(args.data / "scifact", bundle)
            RESULTS.write_text(json.dumps(results) + "\n")
    write_report(results, list(tasks), RESULTS.parent)


def bundle_of(tasks: list[Task], seed: int, work: Path) -> Bundle:
    """One autoencoder for all corpora, trained on the documents to learn from."""
    folder = work / f"seed{seed}"
    if not (folder / "model.pt").exists():
        texts = [text for task in tasks for text, on in zip(task.texts, task.seen, strict=True) if on]
        train(texts, "minilm", SaeConfig(n_latents=4096, k=32), TrainConfig(seed=seed, steps=1000)).save(
            folder / "model.pt"
        )
    if not (folder / "bundle").exists():
        export_bundle(folder / "model.pt", folder / "bundle", embedder="minilm")
    return Bundle.load(folder / "bundle")


def measure(task: Task, bundle: Bundle, seed: int) -> dict[str, Any]:
    """All methods on one corpus with one autoencoder and one draw of examples."""
    embedder = CachedEmbedder(bundle, default_cache_dir(), lambda step, done, total: None)
    embed = partial(embedder, step="")
    bench = Bench(task, embed(task.texts), embed(task.queries), embed(list(task.attributes)))
    rng = np.random.default_rng(seed)
    chosen = examples_of(bench, rng)
    directions = baselines(bench, chosen, embed, rng)
    with tempfile.TemporaryDirectory() as folder:
        with SteerableIndex.create(Path(folder) / "index", bundle, backend="exact") as index:
            rows = [str(row) for row in range(len(bench.learn))]
            texts = [text for text, on in zip(task.texts, task.seen, strict=True) if on]
            index.add(texts, rows, embeddings=bench.learn)
            directions |= ours(bench, bundle, index, chosen, rng)
    found = {}
    for method, each in directions.items():
        curves = bench.curves(each)
        found[method] = figures(bench, curves)
        if method in MANNERS:
            found[method] |= manners(bench, each, curves, found[method]["kept degrees"])
    queries, documents = reconstructed(bench, bundle)
    paper = bench.curves(directions["ours, phrase"], documents, queries)
    found["ours, phrase, the paper's way"] = figures(bench, paper)
    bound = filtered(bench)
    found["metadata filter"] = figures(bench, np.repeat(bound[:, None], len(DEGREES), 1))
    return {"pairs": int((~bench.dev).sum()), "dev": int(bench.dev.sum()), "methods": found}


def figures(bench: Bench, curves: np.ndarray) -> dict[str, Any]:
    """What is kept of a method's curves."""
    chosen = outcome(curves, bench.dev)
    return {
        "both": [round(float(value), 4) for value in chosen.best],
        "attribute": [round(float(value), 4) for value in chosen.attribute],
        "best degrees": chosen.best_degrees,
        "kept degrees": chosen.kept_degrees,
        "curve": np.round(curves[:, :, ~bench.dev].mean(2), 4).tolist(),
    }


def oracle(folder: Path, bundle: Bundle) -> dict[str, Any]:
    """The paper's own experiment on SciFact's test queries."""
    embed = partial(CachedEmbedder(bundle, default_cache_dir(), lambda step, done, total: None), step="")
    documents = list(Corpus.open(folder).documents())
    row = {document.id: i for i, document in enumerate(documents)}
    queries, judged = read_queries(folder), read_qrels(folder, "test")
    relevant = [{row[id]: grade for id, grade in mine.items() if grade > 0} for mine in judged.values()]
    return oracle_curves(bundle, embed([d.text for d in documents]), embed([queries[id] for id in judged]), relevant)


if __name__ == "__main__":
    main()
