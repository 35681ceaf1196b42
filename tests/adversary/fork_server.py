"""Runs rows of the table of hostile inputs, each in a process forked from this one, which has imported everything.

Reads names of rows, one a line, and writes one JSON object a line: how the process ended, and what it used. Started as
``python -m tests.adversary.fork_server`` by `test_hostile.py`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

SPARE_MEGABYTES = 1500
"""Address space beyond the memory that a row may use: libraries reserve more than they touch."""


def main() -> None:
    for name in ("onnxruntime", "selectolax.lexbor", "pypdf", "steersearch.cli", "steersearch.runtime.index"):
        import_module(name)
    with contextlib.suppress(ImportError):
        import_module("steersearch.integrations.mcp_server")

    from .hostile_table import ROWS

    rows = {row.name: row for row in ROWS}
    gc.freeze()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(run_forked(rows[json.loads(line)])), flush=True)


def run_forked(row: Any) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    base = resident_megabytes()
    child = os.fork()
    if child == 0:
        run_here(row, folder)
    began, limit = time.monotonic(), 5 * row.seconds + 10
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - began > limit:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            break
        time.sleep(0.005)
    said = folder.with_name(f"{folder.name}.json")
    why = "" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "it failed without a word"
    with contextlib.suppress(OSError, ValueError):
        why = json.loads(said.read_text())
    said.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    if os.WIFSIGNALED(status):
        why = f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return {
        "why": why,
        "seconds": used.ru_utime + used.ru_stime,
        "wall": time.monotonic() - began,
        "megabytes": used.ru_maxrss / 1024 - base,
    }


def run_here(row: Any, folder: Path) -> None:
    """Run a row, write what is wrong with it, and end the process."""
    code = 1
    try:
        os.chdir(folder)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        space = size + (row.megabytes + SPARE_MEGABYTES) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(row.seconds), math.ceil(row.seconds) + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        try:
            row.expected(lambda: row.run(folder))
            code = 0
            why = ""
        except AssertionError as error:
            why = str(error)
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__}: {error!s:.300} ({Path(place.filename).name}:{place.lineno})"
        folder.with_name(f"{folder.name}.json").write_text(json.dumps(why))
    finally:
        os._exit(code)


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
