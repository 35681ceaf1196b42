"""A busy machine: what embedding takes beside one busy process for every CPU, as a multiple of what it takes alone."""

from __future__ import annotations

from typing import Any

from steersearch.cpus import usable_cpus

from .corpus import Bench, spread
from .timing import in_a_process

TEXTS = 2_000
TURNS = 10
"""Parts of the texts, each embedded alone and then beside the others, so that all else on the machine meets both."""
SPEND = """
    import json, os, signal, statistics, subprocess, sys, time
    os.environ["OMP_WAIT_POLICY"] = policy  # before torch is loaded
    if side == "torch":
        from steersearch.training import Embedder
        embed = Embedder("minilm", device="cpu").embed_documents
    else:
        from steersearch.runtime import Bundle
        embed = Bundle.load(path, threads=threads).embed_documents
    embed(texts[:32])
    rivals = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cpus)]
    def taken(part, ready):
        for process in rivals:
            process.send_signal(ready)
        start, cpu = time.perf_counter(), time.process_time()
        embed(part)
        return time.perf_counter() - start, time.process_time() - cpu
    try:
        parts = [texts[i::turns] for i in range(turns)]
        pairs = [(taken(part, signal.SIGSTOP), taken(part, signal.SIGCONT)) for part in parts]
    finally:
        for process in rivals:
            process.kill()
            process.wait()
    middle = lambda values: round(statistics.median(values), 4)
    print(json.dumps({
        "alone s": middle([alone[0] for alone, _ in pairs]),
        "beside others s": middle([beside[0] for _, beside in pairs]),
        "times as long": middle([beside[0] / alone[0] for alone, beside in pairs]),
        "times the CPU": middle([beside[1] / alone[1] for alone, beside in pairs]),
    }))
"""


def measure(bench: Bench, turns: int = TURNS) -> dict[str, Any]:
    """Both sides with as many threads as there are CPUs, torch also with threads that spin, as OpenMP has it."""
    cpus = usable_cpus()
    shared = {"texts": spread(bench.texts, TEXTS), "path": str(bench.bundle()), "cpus": cpus, "threads": cpus}
    ways = {"runtime, w8": ("runtime", "PASSIVE"), "training's torch": ("torch", "PASSIVE")}
    ways["the same, spinning"] = ("torch", "ACTIVE")
    found: dict[str, Any] = {"texts": TEXTS, "busy processes": cpus}
    for name, (side, policy) in ways.items():
        how = {"side": side, "turns": turns, "policy": policy}
        found[name] = in_a_process(SPEND, shared | how, cpus) | {"target": 2.5}
    return found
