"""Open ONNX graphs with settings for small CPUs: little memory, few threads, quiet."""

from __future__ import annotations

import os
from pathlib import Path

import onnxruntime as ort

from ..errors import BundleError, ConfigError

MAX_THREADS = 8
"""Default ceiling: a sentence embedder on one short text stops getting faster around here."""


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
    # The arena keeps the memory of the largest batch for ever, and the memory pattern plans for one fixed shape:
    # without both a process that once embedded 32 long texts needs a fifth of the memory, at the same speed.
    options.enable_cpu_mem_arena = False
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
