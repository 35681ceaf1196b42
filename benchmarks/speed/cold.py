"""From `import` to the first answer in a new process: time, memory at its peak, and what opening reads."""

from __future__ import annotations

import statistics
from typing import Any

from .corpus import Bench
from .timing import in_a_process
from .torch_side import OUR_EF

REPEATS = 5
OURS = """
    import json, sys, time
    start = time.perf_counter()
    from steersearch.runtime import SteerableIndex
    imported = time.perf_counter()
    index = SteerableIndex.open(path, readonly=True, profile=profile, threads=threads)
    opened = time.perf_counter()
    read = [line for line in open("/proc/self/io") if line.startswith("rchar")] if sys.platform == "linux" else []
    hits = index.search(query, 10)
    done = time.perf_counter()
    assert len(hits) == 10 and "torch" not in sys.modules
    found = {"import s": imported - start, "open s": opened - imported, "first answer s": done - opened}
    if read:
        found["MB read by open"] = int(read[0].split()[1]) / 1e6
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
    runs: dict[str, list[dict[str, float]]] = {"fast": [], "lean": [], "torch": []}
    for _ in range(REPEATS + 1):
        for name, taken in runs.items():
            if name == "torch":
                taken.append(in_a_process(THEIRS, shared | torch | {"ef": OUR_EF}, bench.threads))
            else:
                taken.append(in_a_process(OURS, shared | {"path": str(index), "profile": name}, bench.threads))
    found: dict[str, Any] = {
        name: {figure: round(statistics.median(run[figure] for run in taken[1:]), 3) for figure in taken[0]}
        for name, taken in runs.items()
    }
    found["vectors MB"] = round(len(bench.texts) * bench.vectors().shape[1] * 4 / 1e6, 1)
    found["s"] = {"value": min(found[p]["all s"] for p in ("fast", "lean")), "target": 0.8}
    found["peak MB"] = {"value": min(found[p]["peak MB"] for p in ("fast", "lean")), "target": 250}
    found["time / torch"] = round(found["fast"]["all s"] / found["torch"]["all s"], 4)
    found["memory / torch"] = round(found["fast"]["peak MB"] / found["torch"]["peak MB"], 4)
    return found
