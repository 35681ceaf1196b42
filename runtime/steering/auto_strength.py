"""The strength `"auto"`: the largest that keeps a stated share of the query. Pure NumPy."""

from __future__ import annotations

import math

import numpy as np

from ...arrays import WideArray
from ...errors import ConfigError
from .change import MAX_STRENGTH

KEEP = 0.85
"""Share of the query that `"auto"` keeps when nothing is said: the cosine between the query before and after."""
HALVINGS = 60


def auto_sign(strength: object) -> float:
    """1 for `"auto"`, -1 for `"-auto"`, 0 for everything else."""
    if not isinstance(strength, str):
        return 0.0
    return {"auto": 1.0, "-auto": -1.0}.get(strength.strip().casefold(), 0.0)


def check_keep(keep: object) -> float:
    """A share above 0 and up to 1.

    Raises:
        ConfigError: Anything else.
    """
    if isinstance(keep, bool) or not isinstance(keep, int | float | np.number) or not 0 < keep <= 1:
        raise ConfigError(
            f"keep is {keep!r}: it must be above 0 and at most 1, the cosine that a query keeps to itself"
        )
    return float(keep)


def largest_strength(query: WideArray, start: WideArray, step: WideArray, keep: float) -> float:
    """The largest ``s`` in [0, 100] with ``cos(query, start + s * step) >= keep``; 0 when there is none.

    The vectors whose cosine with the query is at least `keep` (> 0) form a convex cone, and a line meets it in one
    interval. `start` lies in it, or else no strength is given; so the end of the interval is found by halving.

    Args:
        query: Shape (d_in,), not zero.
        start: What the numbers beside `"auto"` have made of the query, shape (d_in,).
        step: What strength 1 adds, shape (d_in,).
        keep: Above 0, at most 1.
    """
    length = math.sqrt(float(query @ query))
    along, more_along = float(query @ start) / length, float(query @ step) / length
    square, cross, more_square = float(start @ start), float(start @ step), float(step @ step)

    def kept(strength: float) -> bool:
        size = math.sqrt(max(square + strength * (2 * cross + strength * more_square), 0.0))
        return along + strength * more_along >= keep * size * (1 - 1e-12)  # else keep=1 fails by rounding

    if more_square < 1e-18 or not kept(0.0):
        return 0.0
    if kept(MAX_STRENGTH):
        return MAX_STRENGTH
    low, high = 0.0, MAX_STRENGTH
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low
