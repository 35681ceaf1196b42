"""What the two profiles and spinning threads cost and save, per precision, each in a process of its own."""

from __future__ import annotations

from typing import Any

from .corpus import PRECISIONS, Bench, spread
from .timing import in_a_process

SPEND = """
    import json, statistics, subprocess, sys, time
    import numpy as np
    from steersearch.runtime import Bundle
    if spin:
        from onnxruntime import SessionOptions
        plain = SessionOptions.add_session_config_entry
        def entry(options, key, value):
            plain(options, key, "1" if key.endswith("allow_spinning") else value)
        SessionOptions.add_session_config_entry = entry
    bundle = Bundle.load(path, profile=profile, threads=threads)
    bundle.encode(bundle.embed_queries(queries[:1]))
    found = {"peak MB, one query": peak_mb()}
    def times():
        wall, cpu = [], []
        for query in queries:
            start, cpu_start = time.perf_counter(), time.process_time()
            bundle.embed_queries([query])
            wall.append(1e3 * (time.perf_counter() - start))
            cpu.append(1e3 * (time.process_time() - cpu_start))
        return statistics.median(wall), statistics.median(cpu)
    found["query p50 ms"], found["query cpu ms"] = times()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(rivals)]
    try:
        if busy:
            found["query p50 ms beside a busy process"], _ = times()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    start = time.perf_counter()
    bundle.embed_documents(texts)
    found["texts per s"] = len(texts) / (time.perf_counter() - start)
    found["peak MB, long texts"] = peak_mb()
    print(json.dumps(found))
"""


def measure(bench: Bench) -> dict[str, Any]:
    """Both profiles at their own number of threads for every precision; spinning on and off for w8 on two threads."""
    texts = sorted(bench.texts, key=len)[-64:]
    shared: dict[str, Any] = {"queries": spread(bench.queries, 100), "texts": [text[:3000] for text in texts]}
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        for profile in ("fast", "lean"):
            how = {
                "path": str(bench.bundle(precision)),
                "profile": profile,
                "threads": None,
                "spin": False,
                "rivals": 0,
            }
            found[f"{precision}, {profile}"] = _rounded(in_a_process(SPEND, shared | how, bench.threads))
    for spin in (0, 1):
        how = {"path": str(bench.bundle()), "profile": "fast", "threads": 2, "spin": spin, "rivals": 1}
        found[f"w8, 2 threads, {'spinning' if spin else 'not spinning'}"] = _rounded(
            in_a_process(SPEND, shared | how, 2)
        )
    return found


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}
