"""Evidence, trials, tree and test of steering, 60,000 documents and 8,192 latents: seconds, and memory besides them.

    python -m benchmarks.interpretation.cost

Shape is all that matters here, so embeddings are random directions around random topics.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from steersearch.arrays import FloatArray, IntArray, unit_rows
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments, firing_directions, firing_statistics
from steersearch.runtime.interpret.families import find_families
from steersearch.runtime.interpret.scoring import select_splits
from steersearch.runtime.interpret.steering_test import NeutralQueries, steer_all
from steersearch.runtime.interpret.tree import build_tree

DOCUMENTS, LATENTS, K, D_IN, TOPICS, WORDS = 60_000, 8_192, 32, 384, 500, 60
RESULTS = Path(__file__).parent.parent / "results" / "interpretation_cost.json"


def main() -> None:
    """Time every step that does not embed."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(TOPICS, D_IN)).astype(np.float32)
    rows = topics[rng.integers(0, TOPICS, DOCUMENTS)] + rng.normal(size=(DOCUMENTS, D_IN)).astype(np.float32)
    rows = unit_rows(rows)
    atoms = unit_rows(rng.normal(size=(LATENTS, D_IN)).astype(np.float32))
    indices, values = np.empty((DOCUMENTS, K), np.int64), np.empty((DOCUMENTS, K), np.float32)
    for start in range(0, DOCUMENTS, 2048):
        block = slice(start, start + 2048)
        codes = rows[block] @ atoms.T
        indices[block] = np.argpartition(-codes, K, axis=1)[:, :K]
        values[block] = np.take_along_axis(codes, indices[block], 1)
    words = np.array([f"w{i}" for i in range(TOPICS * 20)])
    texts = [" ".join(words[some]) for some in rng.integers(0, len(words), (DOCUMENTS, WORDS))]
    documents = EncodedDocuments([str(i) for i in range(DOCUMENTS)], texts, rows, indices, values, LATENTS)
    figures: dict[str, float] = {"documents": DOCUMENTS, "latents": LATENTS}
    _ = documents.firing, documents.held_out, documents.centred
    tracemalloc.start()
    started = time.monotonic()
    found = sum(1 for _ in firing_statistics(documents))
    figures["evidence, seconds"] = round(time.monotonic() - started, 1)
    assert found == LATENTS
    started = time.monotonic()
    splits = select_splits(documents)
    figures["trials, seconds"] = round(time.monotonic() - started, 1)
    started = time.monotonic()
    directions = unit_rows(firing_directions(documents, range(LATENTS)) + 1e-6 * atoms)
    families = find_families([rows for rows, _ in documents.firing], atoms)
    figures["families, seconds"] = round(time.monotonic() - started, 1)
    started = time.monotonic()
    tree = build_tree(directions, documents, families, lambda latents, taken, branch: str(len(taken)))
    figures["tree without names, seconds"] = round(time.monotonic() - started, 1)
    figures["branches"] = len(tree)
    figures["latents with trials"] = sum(pair is not None for pair in splits)
    figures["peak MB besides documents and codes"] = round(tracemalloc.get_traced_memory()[1] / 1e6)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    started = time.monotonic()
    bundle = unlearned_bundle(atoms, indices, values, rows)
    queries = NeutralQueries.choose(bundle, documents, [], lambda texts: rows[: len(texts)])
    test = steer_all(bundle, documents, splits, documents.centred, queries)
    figures["steering, seconds"] = round(time.monotonic() - started, 1)
    started = time.monotonic()
    scored = test.scores([f"w{latent}" for latent in range(LATENTS)], atoms)
    figures["scores of steering, seconds"] = round(time.monotonic() - started, 1)
    figures["latents with a score of steering"] = sum(score is not None for score in scored)
    figures["peak MB of steering"] = round((tracemalloc.get_traced_memory()[1] - before) / 1e6)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        print(f"{name:<40} {value:g}")


def unlearned_bundle(atoms: FloatArray, indices: IntArray, values: FloatArray, rows: FloatArray) -> Any:
    """What is read of a bundle to steer by it."""
    return SimpleNamespace(
        atoms=atoms,
        n_latents=len(atoms),
        d_in=atoms.shape[1],
        features=SimpleNamespace(typical=np.full(len(atoms), 0.3, np.float32), reference_mean=rows.mean(0)),
        encode=lambda vectors: (indices[: len(vectors)], values[: len(vectors)]),
    )


if __name__ == "__main__":
    main()
