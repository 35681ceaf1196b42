"""Open ONNX graphs with settings for small CPUs: little memory, few threads, quiet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from ..errors import BundleError, ConfigError

MAX_THREADS = 8
"""Default ceiling: a sentence embedder on one short text stops getting faster around here."""
_GIVE_BACK = ort.RunOptions()
_GIVE_BACK.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


def usable_cpus() -> int:
    """CPUs that this process may use, which in a container or under taskset are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_session(path: str | Path, threads: int | None = None) -> ort.InferenceSession:
    """Open one graph on the CPU.

    Args:
        path: An .onnx file; its external data, if any, lies beside it.
        threads: Threads per run; by default the usable CPUs, at most `MAX_THREADS`.

    Raises:
        BundleError: onnxruntime cannot load the file.
        ConfigError: `threads` is below 1.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}: it must be at least 1")
    options = ort.SessionOptions()
    # Explicit, because an unset value makes onnxruntime pin threads to CPUs that a container may not own.
    options.intra_op_num_threads = threads or min(usable_cpus(), MAX_THREADS)
    options.inter_op_num_threads = 1
    # The memory pattern plans for one fixed shape, and no two batches have the same. The arena stays on, see `run`.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only
    try:
        return ort.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class below Exception
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"onnxruntime {ort.__version__} cannot load {path} ({reason}): upgrade onnxruntime, "
            "or export the bundle again with: sae-export --ckpt model.pt"
        ) from error


def run(session: ort.InferenceSession, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
    """Run a graph, and give the memory that the run took back to the system.

    Left alone, the arena keeps what the largest batch took for ever: 500 MB after 32 long texts, 230 MB like this.
    Without an arena every intermediate result is mapped anew: 1.6 times as long for long texts, and a higher peak.
    """
    found: list[Any] = session.run(outputs, feeds, _GIVE_BACK)
    return found
