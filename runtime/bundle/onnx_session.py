"""ONNX sessions with settings for small CPUs: little memory, few threads, no log output.

The settings were measured by `benchmarks.speed`. The memory arena is on in both profiles: without it every intermediate
result is allocated again, which takes 1.6 times as long for long texts and has the *higher* peak. The memory pattern is
off: it plans for one fixed shape, and batches differ in shape. Threads do not spin: a spinning thread doubles the CPU
time of a query, and on a busy machine the wall time too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import numpy as np

from ...cpus import usable_cpus
from ...errors import BundleError, ConfigError
from ...onnx_graph import check_graph
from ...text import first_line, shown
from .manifest import CURE

# Imported when the first graph is opened: a bundle may have an embedder without one. No other module of the runtime
# imports it: what its import starts is in `steersearch.telemetry`.
if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

    Session: TypeAlias = InferenceSession

MemoryProfile = Literal["fast", "lean"]
"""`fast`: all usable CPUs, weights converted to their layout. `lean`: one thread, fp32 weights of the embedder mapped
from their file, long texts embedded two at a time."""

MAX_THREADS = 8
"""Default maximum: with more threads a short text is embedded no faster."""
TOKENS_PER_RUN: dict[MemoryProfile, int] = {"fast": 2048, "lean": 512}
"""Tokens per run of the embedder. More are no faster and need more memory: the peak with 32 texts of 256 tokens is
210 MB above that with 8 of them, which is 30 MB above that with one."""
_DISABLED_OPTIMISERS = ["SkipLayerNormFusion"]
"""Optimisations of onnxruntime that make a graph slower: this fused kernel takes 44 us where addition and normalisation
take 13, a sixth of a short query in int8."""
FOLDED_BYTES = 2**28
"""Largest constant that onnxruntime may compute while it opens a graph; its own limit is a gigabyte. Versions before
1.32 have none."""


def check_profile(profile: str) -> MemoryProfile:
    """Return the profile of this name; a ConfigError for an unknown one."""
    if not isinstance(profile, str) or profile not in get_args(MemoryProfile):
        raise ConfigError(f"profile is {shown(profile)}: choose {' or '.join(get_args(MemoryProfile))}")
    return cast(MemoryProfile, profile)


def check_threads(threads: int | None) -> None:
    """Check a number of threads; a ConfigError for anything but a whole number of at least 1, or None."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"threads is {shown(threads)}: it must be a whole number of at least 1")


def quiet_options(threads: int | None = None) -> SessionOptions:
    """Return options of a session that leaves the machine to others: threads that sleep while they wait, and no log.

    Args:
        threads: By default the usable CPUs, at most `MAX_THREADS`.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    # Without a value, onnxruntime pins threads to CPUs that a container may not use.
    options.intra_op_num_threads = threads or min(usable_cpus(), MAX_THREADS)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    return options


def open_session(
    path: str | Path, threads: int | None = None, *, profile: MemoryProfile = "fast", mapped: bool = False
) -> Session:
    """Open one graph on the CPU.

    Args:
        path: An .onnx file; it may read weights from the file of the same name with `.data` at its end.
        threads: Threads per run; by default one when `lean`, else the usable CPUs, at most `MAX_THREADS`.
        profile: See `MemoryProfile`.
        mapped: Use the weights in the layout of the file, without a copy in that of the CPU: saves the memory of the
            copy and takes 1.4 times as long. Only for fp32; 8-bit weights would be converted in every run.

    Raises:
        BundleError: onnxruntime cannot load the file, or it is refused by `check_graph`.
        ConfigError: `threads` is below 1.
    """
    import onnxruntime as ort

    check_threads(threads)
    path = Path(path)
    try:
        check_graph(path, [f"{path.name}.data"])
    except OSError as error:
        raise BundleError(f"cannot load {path} ({error.strerror or error}): {CURE}") from error
    except ValueError as error:
        raise BundleError(f"cannot load {path}, {error}: {CURE}") from error

    options = quiet_options(threads or (1 if profile == "lean" else None))
    options.enable_mem_pattern = False
    if mapped:
        options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(FOLDED_BYTES))
    # The other format is not looked at by `check_graph`.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED_OPTIMISERS
        )
    # The errors of onnxruntime share no base class below Exception.
    except Exception as error:
        reason = first_line(str(error), type(error).__name__)
        raise BundleError(
            f"onnxruntime {ort.__version__} cannot load {path} ({reason}): upgrade onnxruntime, "
            "or export the bundle again with: sae-export --ckpt model.pt"
        ) from error


def run(session: Session, outputs: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
    """Run a graph and return its memory to the system: 230 MB remain after 32 long texts, 500 MB otherwise.

    Raises:
        BundleError: The graph cannot be run on these inputs.
    """
    try:
        results: list[Any] = session.run(outputs, feeds, _shrink_arena())
    # As above. Inputs are checked before, so it is the graph, or the memory.
    except Exception as error:
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in feeds.items())
        reason = first_line(str(error), type(error).__name__)
        raise BundleError(f"a graph of the bundle cannot be run on {shapes} ({reason}): {CURE}") from error
    return results


@cache
def _shrink_arena() -> Any:
    """Return the options of a run that returns its memory."""
    from onnxruntime import RunOptions

    options = RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
