"""Open ONNX graphs with settings for small CPUs: little memory, few threads, quiet.

What `benchmarks.speed` measured decides. The arena is on in both profiles: without it every intermediate result is
mapped anew, which takes 1.6 times as long for long texts and has the *higher* peak. The memory pattern is off: it plans
for one fixed shape, and no two batches have the same. Threads do not spin: a waiting thread that spins doubles the CPU
time of a query, and on a machine that does anything else it doubles the wall time too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import onnxruntime as ort

from ...errors import BundleError, ConfigError

Profile = Literal["fast", "lean"]
"""`fast`: all usable CPUs, weights laid out for them. `lean`: one thread, fp32 weights of the embedder stay in their
file and are read from there, and long texts go through the embedder two at a time."""

MAX_THREADS = 8
"""Default ceiling: a sentence embedder on one short text stops getting faster around here."""
TOKENS_PER_RUN: dict[Profile, int] = {"fast": 2048, "lean": 512}
"""Tokens that go through the embedder together. More are no faster, and memory grows with them: 32 texts of 256 tokens
peak 210 MB above 8 of them, 8 of them 30 MB above one."""
_SLOWER = ["SkipLayerNormFusion"]
"""Rewritings of onnxruntime that cost more than they save: its fused kernel takes 44 us where the addition and the
normalisation take 13, a sixth of a short query in int8."""
_GIVE_BACK = ort.RunOptions()
_GIVE_BACK.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


def usable_cpus() -> int:
    """CPUs that this process may use, which in a container or under taskset are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_profile(profile: str) -> Profile:
    """The profile, if there is one of this name.

    Raises:
        ConfigError: There is none.
    """
    for known in get_args(Profile):
        if profile == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"profile is {profile!r}: choose {' or '.join(get_args(Profile))}")


def check_threads(threads: int | None) -> None:
    """Raise a ConfigError for a number of threads below 1."""
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}: it must be at least 1")


def open_session(
    path: str | Path, threads: int | None = None, *, profile: Profile = "fast", mapped: bool = False
) -> ort.InferenceSession:
    """Open one graph on the CPU.

    Args:
        path: An .onnx file; its external data, if any, lies beside it.
        threads: Threads per run; by default one when `lean`, else the usable CPUs, at most `MAX_THREADS`.
        profile: Chooses the settings.
        mapped: Multiply with the weights as they lie in the file, in place of a copy in the CPU's own layout: saves
            the copy and takes 1.4 times as long. Only for fp32; 8-bit weights would be laid out anew in every run.

    Raises:
        BundleError: onnxruntime cannot load the file.
        ConfigError: `threads` is below 1.
    """
    check_threads(threads)
    options = ort.SessionOptions()
    # Explicit, because an unset value makes onnxruntime pin threads to CPUs that a container may not own.
    options.intra_op_num_threads = threads or (1 if profile == "lean" else min(usable_cpus(), MAX_THREADS))
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if mapped:
        options.add_session_config_entry("session.disable_prepacking", "1")
    options.log_severity_level = 3  # errors only
    try:
        return ort.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
        )
    except Exception as error:  # onnxruntime's own errors share no base class below Exception
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"onnxruntime {ort.__version__} cannot load {path} ({reason}): upgrade onnxruntime, "
            "or export the bundle again with: sae-export --ckpt model.pt"
        ) from error


def run(session: ort.InferenceSession, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
    """Run a graph, and give the memory that the run took back to the system.

    Left alone, the arena keeps what the largest batch took for ever: 500 MB after 32 long texts, 230 MB like this.
    """
    found: list[Any] = session.run(outputs, feeds, _GIVE_BACK)
    return found
