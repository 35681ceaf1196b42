"""Texts in: against sentence-transformers' throughput; then adding and deleting one document of a full index."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from steersearch.runtime import Bundle, SteerableIndex

from .corpus import PRECISIONS, Bench, spread
from .timing import ROUNDS
from .torch_side import TorchSide

TEXTS = 512
CHANGES = 40


def measure(bench: Bench) -> dict[str, Any]:
    """Target 4."""
    texts = spread(bench.texts, TEXTS)
    torch = TorchSide(bench)
    bundles = {name: Bundle.load(bench.bundle(name), threads=bench.threads) for name in PRECISIONS}
    ways: dict[str, Any] = {name: bundle.embed for name, bundle in bundles.items()} | {"torch": torch.embed}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for part in np.array_split(np.arange(len(texts)), ROUNDS):
        chosen = [texts[i] for i in part]
        for name, way in ways.items():
            start = time.perf_counter()
            rows[name].append(way(chosen))
            seconds[name].append((time.perf_counter() - start) / len(chosen))
    reference = np.concatenate(rows["torch"])
    found: dict[str, Any] = {"texts": len(texts), "mean characters": round(statistics.fmean(map(len, texts)))}
    for name in ways:
        ratios = [theirs / ours for theirs, ours in zip(seconds["torch"], seconds[name], strict=True)]
        found[name] = {
            "texts per s": round(1 / statistics.median(seconds[name]), 2),
            "throughput / torch": round(statistics.median(ratios), 3),
            "mean cosine with torch": round(float((np.concatenate(rows[name]) * reference).sum(1).mean()), 5),
        }
    found["w8"]["target"] = 1.3
    return found | _changes(bench)


def _changes(bench: Bench) -> dict[str, Any]:
    """One document more, one less, in a copy of the full index; vectors are given, so embedding is not counted."""
    vectors = bench.vectors()
    adding, deleting, searching = [], [], []
    with tempfile.TemporaryDirectory(dir=bench.work) as folder:
        copy = Path(folder) / "index"
        shutil.copytree(bench.index(), copy)
        with SteerableIndex.open(copy, bundle=bench.bundle(), threads=bench.threads) as index:
            index.search(vectors[0], 10)
            for i in range(CHANGES):
                start = time.perf_counter()
                index.add([f"a new document {i}"], [f"new {i}"], embeddings=vectors[i][None])
                adding.append(time.perf_counter() - start)
                index.search(vectors[i], 10)
                searching.append(time.perf_counter() - start - adding[-1])
                start = time.perf_counter()
                index.delete([f"new {i}"])
                deleting.append(time.perf_counter() - start)
                index.search(vectors[i], 10)
    return {
        "adding one, ms": {"value": round(1e3 * statistics.median(adding), 3), "target": 10},
        "first search after it, ms": {"value": round(1e3 * statistics.median(searching), 3)},
        "deleting one, ms": {"value": round(1e3 * statistics.median(deleting), 3), "target": 5},
    }
