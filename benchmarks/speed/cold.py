"""From `import` to the first answer in a new process: time, memory at its peak, and what opening reads."""

from __future__ import annotations

import statistics
from typing import Any

from .corpus import BACKENDS, Bench
from .timing import in_a_process
from .torch_side import OUR_EF

REPEATS = 5
OURS = """
    import json, sys, time
    def read():  # what is mapped does not count until a page is touched, and then as memory
        lines = open("/proc/self/io") if sys.platform == "linux" else ["rchar: 0"]
        return sum(int(line.split()[1]) / 1e6 for line in lines if line.startswith("rchar"))
    start = time.perf_counter()
    from steersearch.runtime import SteerableIndex
    imported, before = time.perf_counter(), read()
    index = SteerableIndex.open(path, readonly=True, profile=profile, threads=threads, backend=backend)
    opened, bundle = time.perf_counter(), read()
    hits = index.search(query, 10)
    done = time.perf_counter()
    assert len(hits) == 10 and "torch" not in sys.modules
    found = {"import s": imported - start, "open s": opened - imported, "first answer s": done - opened}
    found |= {"MB read by open": bundle - before, "MB read by first answer": read() - bundle}
    print(json.dumps(found | {"all s": done - start, "peak MB": peak_mb()}))
"""
THEIRS = """
    import json, sys, time
    start = time.perf_counter()
    import hnswlib, torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(threads)
    imported = time.perf_counter()
    model = SentenceTransformer(model, device="cpu", local_files_only=True)
    graph = hnswlib.Index(space="ip", dim=model.get_sentence_embedding_dimension())
    graph.load_index(graph_path)
    graph.set_ef(ef)
    opened = time.perf_counter()
    labels, _ = graph.knn_query(model.encode([query], show_progress_bar=False), k=10)
    done = time.perf_counter()
    found = {"import s": imported - start, "open s": opened - imported, "first answer s": done - opened}
    print(json.dumps(found | {"all s": done - start, "peak MB": peak_mb()}))
"""


def measure(bench: Bench) -> dict[str, Any]:
    """Target 3, in turns; the files are in the system's cache after the first of each."""
    from steersearch.training.embedding import resolve_embedder

    index = bench.index()
    shared = {"query": bench.queries[0], "threads": bench.threads}
    torch = {"model": resolve_embedder("minilm").path_or_name, "graph_path": str(index / "cache" / "hnsw.bin")}
    ours = {f"{backend}, {profile}": (backend, profile) for backend in BACKENDS for profile in ("fast", "lean")}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*ours, "torch")}
    for _ in range(REPEATS + 1):
        for name, (backend, profile) in ours.items():
            how = {"path": str(index), "backend": backend, "profile": profile}
            runs[name].append(in_a_process(OURS, shared | how, bench.threads))
        runs["torch"].append(in_a_process(THEIRS, shared | torch | {"ef": OUR_EF}, bench.threads))
    found: dict[str, Any] = {
        name: {figure: round(statistics.median(run[figure] for run in taken[1:]), 3) for figure in taken[0]}
        for name, taken in runs.items()
    }
    found["vectors MB"] = round(len(bench.texts) * bench.vectors().shape[1] * 4 / 1e6, 1)
    for name in ours:
        for figure, short, target in (("all s", "time", 0.8), ("peak MB", "memory", 250)):
            share = round(found[name][figure] / found["torch"][figure], 4)
            found[f"{short}, {name}"] = {"value": found[name][figure], "target": target, "of torch": share}
    return found
