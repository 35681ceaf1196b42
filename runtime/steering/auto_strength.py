"""The strength `"auto"`: the largest that keeps a given cosine to the query. Pure NumPy."""

from __future__ import annotations

import math

from ...arrays import WideArray
from .change import MAX_STRENGTH

BISECTIONS = 60


def largest_strength(query: WideArray, start: WideArray, step: WideArray, keep: float) -> float:
    """Return the largest ``s`` in [0, 100] with ``cos(query, start + s * step) >= keep``; 0 if there is none.

    The vectors whose cosine with the query is at least `keep` (> 0) form a convex cone, which a line intersects in one
    interval. If `start` lies in it, the end of the interval is found by bisection; otherwise the result is 0.

    Args:
        query: Shape (d_in,), not zero.
        start: The query after all numeric strengths, shape (d_in,).
        step: The addition at strength 1, shape (d_in,).
        keep: Above 0, at most 1.
    """
    length = math.sqrt(float(query @ query))
    start_part, step_part = float(query @ start) / length, float(query @ step) / length
    start_square, cross, step_square = float(start @ start), float(start @ step), float(step @ step)

    def kept(strength: float) -> bool:
        size = math.sqrt(max(start_square + strength * (2 * cross + strength * step_square), 0.0))
        return start_part + strength * step_part >= keep * size * (1 - 1e-12)  # keep=1 would fail by rounding

    if step_square < 1e-18 or not kept(0.0):
        return 0.0
    if kept(MAX_STRENGTH):
        return MAX_STRENGTH
    low, high = 0.0, MAX_STRENGTH
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low
