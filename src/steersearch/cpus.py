"""How many CPUs a process may use, and threads that sleep while they wait."""

from __future__ import annotations

import logging
import math
import os
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use; a container or taskset may allow fewer than there are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(root: Path = CGROUPS, own: Path = OWN_GROUP) -> float | None:
    """Return how many CPUs' time control groups leave to this process, as ``docker --cpus`` does; None without limit.

    With more threads than that, all are stopped for the rest of every tenth of a second.
    """
    try:
        # "0::/a/b" with version 2, and "4:cpu,cpuacct:/a/b" with version 1.
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        lines = []
    found = []
    for _, names, path in (line for line in lines if len(line) == 3):
        if names and "cpu" not in names.split(","):
            continue
        base = root / names if names else root
        steps = [part for part in path.split("/") if part not in ("", "..")]
        # Each group is bounded by those above it. Inside of a container its own group is the topmost one.
        for depth in range(len(steps) + 1):
            found.append(_quota_of(base.joinpath(*steps[:depth])))
    return min((quota for quota in found if quota is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        share = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such group, "max", or in an unknown form
        return None
    return share if share > 0 else None  # -1 is no limit


def let_threads_sleep() -> None:
    """Let the threads of OpenMP, which torch computes with, sleep while they wait for each other.

    By default they spin: on a busy machine every thread then burns the time that the one it waits for could run in, and
    embedding took 1.8 times as long beside others, and as much more of the CPU. OpenMP reads the variable once, when
    torch is loaded. A value that the user has set stays.
    """
    if "torch" in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        logger.info("torch was imported before steersearch's training: its threads spin while they wait")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
