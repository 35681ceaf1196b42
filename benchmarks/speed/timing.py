"""Times of several ways to do one thing, taken in turns so that whatever else the machine does meets all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5
PEAK = """
def peak_mb():
    import resource, sys
    if sys.platform == "linux":  # ru_maxrss begins with what the process that started this one held
        line, = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
"""
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Taken:
    """Milliseconds of each call, on the clock and of the processor, shape (n,)."""

    wall: Times
    cpu: Times

    def figures(self) -> dict[str, float]:
        """Medians, and the tail."""
        p50, p95 = np.quantile(self.wall, [0.5, 0.95])
        return {"p50 ms": round(p50, 3), "p95 ms": round(p95, 3), "cpu ms": round(float(np.median(self.cpu)), 3)}


def in_turns(ways: Mapping[str, Callable[[int], Any]], items: int, warm: int = 5) -> dict[str, Taken]:
    """Call every way with 0, 1, ..., each item by all ways before the next, in an order that changes."""
    names = list(ways)
    for item in range(min(warm, items)):
        for way in ways.values():
            way(item)
    wall, cpu = ({name: np.empty(items) for name in names} for _ in range(2))
    for item in range(items):
        shift = item % len(names)
        for name in names[shift:] + names[:shift]:
            cpu_start, start = time.process_time(), time.perf_counter()
            ways[name](item)
            wall[name][item] = 1e3 * (time.perf_counter() - start)
            cpu[name][item] = 1e3 * (time.process_time() - cpu_start)
    return {name: Taken(wall[name], cpu[name]) for name in names}


def ratio(ours: Times, theirs: Times) -> dict[str, float]:
    """Ours divided by theirs: medians of each round, then the median of the rounds, and the range of them."""
    parts = [
        float(np.median(a) / np.median(b))
        for a, b in zip(np.array_split(ours, ROUNDS), np.array_split(theirs, ROUNDS), strict=True)
    ]
    return {"ratio": round(float(np.median(parts)), 4), "least": round(min(parts), 4), "most": round(max(parts), 4)}


def added(more: Times, less: Times) -> dict[str, float]:
    """What one way takes beyond another, item by item: the median difference, and as a share of the lesser."""
    difference = float(np.median(more - less))
    return {"ms": round(difference, 4), "share": round(difference / float(np.median(less)), 4)}


def in_a_process(code: str, arguments: Mapping[str, Any], threads: int) -> dict[str, float]:
    """Run code in a new Python that has the arguments as variables and `peak_mb`; it prints JSON at the end."""
    assignments = "".join(f"{name} = {value!r}\n" for name, value in arguments.items())
    done = subprocess.run(
        [sys.executable, "-"],  # from standard input: a command line has no room for texts
        input=PEAK + assignments + textwrap.dedent(code),
        capture_output=True,
        text=True,
        timeout=600,
        env=environment(threads),
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-800:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with so many threads for whatever reads it."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads)), "TOKENIZERS_PARALLELISM": "false"}


def bytes_of(path: Path) -> int:
    """Size of a file, or of all files of a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
