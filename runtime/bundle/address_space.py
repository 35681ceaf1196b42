"""Whether a process may take the memory that a bundle needs, where the system limits its address space."""

from __future__ import annotations

import sys

from ...errors import ConfigError
from .manifest import Manifest

LIBRARIES = 430
"""MB of address space of Python, NumPy, onnxruntime and tokenizers with one thread, for a bundle of no size; measured
with onnxruntime 1.23 on Linux. Half of it is never touched, so the memory in use is much less."""
ROOM = 1.25
"""What is needed for each byte of graphs and labels: all-MiniLM-L6-v2 in fp32, 117 MB, takes 138."""
_GRAPHS = (".onnx", ".onnx.data", "features.json")


def check_address_space(manifest: Manifest) -> None:
    """Check that the limit of this process (``ulimit -v``) leaves room for a bundle with the profile `lean`.

    Otherwise libraries fail in the middle, with an error that looks like a damaged file, or end the process.

    Raises:
        ConfigError: The limit is too low, whatever is done; the message says what is needed.
    """
    limit = _limit()
    if limit is None or manifest.embedder_kind != "onnx":
        return
    held = sum(int(entry["bytes"]) for name, entry in manifest.files.items() if name.endswith(_GRAPHS)) / 1e6
    if limit < LIBRARIES + held:
        raise ConfigError(
            f"this process may take {limit:,.0f} MB of address space (ulimit -v), and this bundle needs about "
            f"{LIBRARIES + ROOM * held:,.0f} MB with the profile lean, more with fast: raise the limit; queries='fast' "
            "(--queries fast) needs less, if the bundle has a table"
        )


def _limit() -> float | None:
    """Return the limit in MB; None where there is none or nobody can tell."""
    if sys.platform != "linux":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit / 1e6
