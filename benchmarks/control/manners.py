"""Does steering do what was asked and nothing else: monotone, reversible, without collateral."""

from __future__ import annotations

import numpy as np

from steersearch.arrays import FloatArray

from .scoring import DEGREES, TOP, Bench, Curves, turned
from .tasks import BoolArray

GENTLE = 0.9
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
        the attribute. `others`: change of the other attributes' precision, mean of the absolute values. `gentle`: the
        attribute's precision at the largest strength that keeps `GENTLE` of those documents for dev queries.
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
    if len(directions) == len(bench.pairs):  # collateral is what a direction does to queries that it was not made for
        return found
    stays = [share for angle in DEGREES if (share := overlap(bench, directions, angle, bench.dev)) is not None]
    if stays:
        falling = np.minimum.accumulate(stays)[::-1]
        gentle = float(np.interp(GENTLE, falling, DEGREES[::-1]))
        rises = np.interp(gentle, DEGREES, curves[0][:, test].mean(1))
        found |= {"gentle": float(rises), "gentle degrees": gentle}
    stay = overlap(bench, directions, degrees, test)
    return found | {"others": others(bench, directions, degrees)} | ({"overlap": stay} if stay is not None else {})


def overlap(bench: Bench, directions: FloatArray, degrees: float, which: BoolArray) -> float | None:
    """What stays of the ten best where an attribute has nothing to bring; None where it always has.

    Args:
        bench: The task.
        directions: One per attribute, shape (a, d).
        degrees: How far the query is turned.
        which: Pairs whose queries are asked.
    """
    has, about = bench.hits
    queries = np.unique(bench.of_query[which])
    none = np.array([(q, a) for q in queries for a in range(len(bench.names)) if not (has[a] & about[q]).any()])
    if not len(none):
        return None
    rows = bench.queries[none[:, 0]]
    before, after = bench.top(rows), bench.top(turned(rows, directions[none[:, 1]], degrees))
    return float(np.mean([len(np.intersect1d(b, a)) / TOP for b, a in zip(before, after, strict=True)]))


def others(bench: Bench, directions: FloatArray, degrees: float) -> float:
    """Change of the precision of attributes that were not asked for, mean of the absolute values over test pairs."""
    has, _ = bench.hits
    tested = [(q, a) for q, a, dev in zip(bench.of_query, bench.of_attribute, bench.dev, strict=True) if not dev]
    queries = bench.queries[[q for q, _ in tested]]
    before, after = bench.top(queries), bench.top(turned(queries, directions[[a for _, a in tested]], degrees))
    change = np.abs(has[:, after].mean(2) - has[:, before].mean(2))  # (attributes, pairs)
    change[[a for _, a in tested], np.arange(len(tested))] = np.nan
    return float(np.nanmean(change))
