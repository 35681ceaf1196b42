"""Does steering do what was asked and nothing else: monotone, reversible, without collateral."""

from __future__ import annotations

import numpy as np

from steersearch.metrics import FloatArray

from .scoring import DEGREES, TOP, Bench, Curves, turned

SLACK = 0.1 + 1e-9
"""One document of ten may go and come back between two strengths."""


def manners(bench: Bench, directions: FloatArray, curves: Curves, degrees: float) -> dict[str, float]:
    """Shares of the test pairs that behave, at a strength that was chosen on dev.

    Args:
        bench: The task.
        directions: One per attribute, shape (a, d), or one per pair, shape (p, d).
        curves: What `Bench.curves` found for them.
        degrees: How far the query is turned.

    Returns:
        `monotone`: the attribute's precision never falls by more than one document from one strength to the next, up to
        this one, and ends no lower than it began. `reversible`: no lower with the direction than without, no higher
        with its opposite. `overlap`: of the ten best documents so many stay, for queries about which no document has
        the attribute. `others`: change of the other attributes' precision, mean of the absolute values.
    """
    test = ~bench.dev
    steps = curves[0, [at for at, value in enumerate(DEGREES) if value <= degrees]][:, test]
    monotone = (np.diff(steps, axis=0) >= -SLACK).all(0) & (steps[-1] >= steps[0])
    each = directions if len(directions) == len(bench.pairs) else directions[bench.of_attribute]
    query = bench.queries[bench.of_query]
    up, _, _ = bench.precision(turned(query, each, degrees))
    down, _, _ = bench.precision(turned(query, -each, degrees))
    plain = curves[0, 0]
    reversible = ((up >= plain) & (down <= plain))[test]
    found = {"monotone": float(monotone.mean()), "reversible": float(reversible.mean())}
    return found | collateral(bench, directions, degrees)


def collateral(bench: Bench, directions: FloatArray, degrees: float) -> dict[str, float]:
    """What steering does where it has nothing to bring; only for directions that do not depend on the query."""
    if len(directions) == len(bench.pairs):
        return {}
    has, about = bench.hits
    known = sorted({query for query, dev in zip(bench.of_query, bench.dev, strict=True) if not dev})
    none = [(q, a) for q in known for a in range(len(bench.names)) if not (has[a] & about[q]).any()]
    found = {}
    if none:
        queries = bench.queries[[q for q, _ in none]]
        before, after = bench.top(queries), bench.top(turned(queries, directions[[a for _, a in none]], degrees))
        same = [len(np.intersect1d(b, a)) / TOP for b, a in zip(before, after, strict=True)]
        found["overlap"] = float(np.mean(same))
    tested = [(q, a) for q, a in zip(bench.of_query, bench.of_attribute, strict=True) if q in known]
    queries = bench.queries[[q for q, _ in tested]]
    before, after = bench.top(queries), bench.top(turned(queries, directions[[a for _, a in tested]], degrees))
    change = np.abs(has[:, after].mean(2) - has[:, before].mean(2))  # (attributes, pairs)
    change[[a for _, a in tested], np.arange(len(tested))] = np.nan
    return found | {"others": float(np.nanmean(change))}
