"""Recall of the graphs when many documents are equal or nearly so.

    python -m benchmarks.copies --bundle demo/bundle [--backends hnsw usearch-i8] [--orders even] [--seeds 0 1 2]

Puts copies of one sentence, and sentences that differ in a number, among the 5,859 passages of Python's own
documentation, in six orders. Says how many of the ten nearest are found: "far" by 100 questions about other things and
100 passages with noise, "near" by 100 copies with noise; and how many of 300 documents their own vector does not find.
Times are CPU seconds, those of building also relative to the library alone. Writes benchmarks/results/copies.json, one
line for each index; those of earlier runs stay.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.corpus import python_documentation
from steersearch.runtime import Bundle
from steersearch.runtime.search.backends import BACKENDS
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.graph import GraphIndex
from steersearch.runtime.search.graphs.recall import DEPTH

RESULTS = Path(__file__).parent / "results" / "copies.json"
CHARACTERS = 400
"""Of a passage that are embedded."""
KEYS = ("among them", "backend", "order", "seed")
QUESTIONS = [
    f"{verb} {what}?"
    for verb in (
        "What is the cause of",
        "How do I treat",
        "Who discovered",
        "Does smoking influence",
        "Where is help for",
    )
    for what in (
        *(
            "high blood pressure",
            "a broken arm",
            "penicillin",
            "black holes",
            "the price of wheat",
            "migraine",
            "glaciers",
        ),
        *("the French revolution", "diabetes in children", "volcanic soil", "insomnia", "river pollution", "old coins"),
        *("whales", "acid rain", "knee pain", "coral reefs", "tax returns", "early jazz", "potato blight"),
    )
]
"""About nothing that the documentation is about."""
GRAPHS = [name for name, kind in BACKENDS.items() if issubclass(kind, GraphIndex)]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--backends", nargs="+", choices=GRAPHS, default=GRAPHS)
    parser.add_argument("--orders", nargs="+", default=["first", "last", "middle", "even", "shuffled", "blocks"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--cache", type=Path, help="folder that keeps the embeddings for the next run")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)  # the warnings of the tests of recall, one for each index
    embedded = embeddings(Bundle.load(args.bundle), args.cache)
    corpora = {
        "none": embedded["copy"][:0],
        "1,000 copies": np.repeat(embedded["copy"], 1000, 0),
        "3,000 copies": np.repeat(embedded["copy"], 3000, 0),
        "3,000 tickets": embedded["tickets"],
    }
    report = (
        {tuple(line[key] for key in KEYS): line for line in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    )
    for name, extra in corpora.items():
        for backend in args.backends:
            for order in args.orders if len(extra) else args.orders[:1]:
                for seed in args.seeds:
                    kind: Any = BACKENDS[backend]
                    line = measure(kind, embedded["passages"], embedded["questions"], extra, order, seed)
                    line = {"among them": name, "backend": backend, "order": order, "seed": seed, **line}
                    report[tuple(line[key] for key in KEYS)] = line
                    print(*(f"{key} {value};" for key, value in line.items()), flush=True)
                    RESULTS.write_text(json.dumps(list(report.values()), indent=1) + "\n")


def embeddings(bundle: Bundle, cache: Path | None) -> dict[str, np.ndarray]:
    """Return the vectors of the texts."""
    texts = {
        "passages": [document.text[:CHARACTERS] for document in python_documentation().documents()],
        "questions": QUESTIONS,
        "copy": ["This page was intentionally left blank."],
        "tickets": [f"Ticket {4000 + i} was closed automatically." for i in range(3000)],
    }
    found = {}
    for name, some in texts.items():
        path = cache / f"{name}.npy" if cache else None
        found[name] = np.load(path) if path and path.exists() else bundle.embed_documents(some)
        if path and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, found[name])
    return found


def positions(order: str, documents: int, extra: int, seed: int) -> np.ndarray:
    """Return the order in which documents, and copies numbered after them, are inserted."""
    own, more = np.arange(documents), np.arange(documents, documents + extra)
    if order == "shuffled":
        return np.random.default_rng(seed).permutation(documents + extra)
    if order == "even":
        return np.argsort(np.concatenate([own / documents, (np.arange(extra) + 0.5) / max(extra, 1)]), kind="stable")
    cuts = {"first": [0], "last": [1], "middle": [0.5], "blocks": [0.25, 0.5, 0.75, 1]}[order]
    parts: list[np.ndarray] = []
    for i, (before, cut) in enumerate(zip([0, *cuts[:-1]], cuts, strict=True)):
        parts += [own[int(before * documents) : int(cut * documents)]]
        parts += [more[i * extra // len(cuts) : (i + 1) * extra // len(cuts)]]
    return np.concatenate([*parts, own[int(cuts[-1] * documents) :]])


def measure(
    kind: type[GraphIndex], passages: np.ndarray, questions: np.ndarray, extra: np.ndarray, order: str, seed: int
) -> dict[str, Any]:
    """Build an index and search it."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([passages, extra])[positions(order, len(passages), len(extra), seed)]
    index, exact = kind(rows.shape[1]), ExactIndex(rows.shape[1])
    exact.add(np.arange(len(rows)), rows)
    begun = time.process_time()
    index.add(np.arange(len(rows)), rows)
    index.wait_until_built()
    built = time.process_time() - begun
    begun, alone = time.process_time(), kind(rows.shape[1])
    alone._insert(alone._graph, np.arange(len(rows)), rows)
    built_alone = time.process_time() - begun
    far = np.concatenate([questions, noisy(passages[rng.integers(len(passages), size=100)], 0.5, rng)])
    near = noisy(extra[rng.integers(len(extra), size=100)], 0.3, rng) if len(extra) else noisy(passages[:100], 0.3, rng)
    own = rng.choice(len(rows), 300, replace=False)
    missed = sum(not np.array_equal(rows[index.search(rows[i], 1)[0][0]], rows[i]) for i in own)
    (far_recall, far_ms), (near_recall, near_ms) = recall(index, exact, far), recall(index, exact, near)
    return {
        "far": far_recall,
        "near": near_recall,
        "own missed": missed,
        "effort": index._effort,
        "far ms": far_ms,
        "near ms": near_ms,
        "build s": round(built, 2),
        "of the library": round(built / built_alone, 2),
    }


def noisy(rows: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Return unit rows with noise."""
    moved = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    moved = moved + noise * rng.standard_normal(rows.shape) / np.sqrt(rows.shape[1])
    found: np.ndarray = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return found


def recall(index: GraphIndex, exact: ExactIndex, queries: np.ndarray) -> tuple[float, float]:
    """Return the share of the ten nearest that are found, and the CPU milliseconds of a search."""
    begun = time.process_time()
    found = [index.search(query, DEPTH)[0] for query in queries]
    ms = 1000 * (time.process_time() - begun) / len(queries)
    shares = [len(np.intersect1d(f, exact.search(q, DEPTH)[0])) / DEPTH for f, q in zip(found, queries, strict=True)]
    return round(float(np.mean(shares)), 4), round(ms, 3)


if __name__ == "__main__":
    main()
