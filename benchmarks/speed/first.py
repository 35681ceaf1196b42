"""What is done once: the first filter of an opened index, and the first search after a removal, beside the second."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steersearch.runtime import SteerableIndex

from .corpus import BACKENDS, Bench, spread
from .torch_side import TOP

TURNS = 10
SELECTED = 50
"""Documents that a filter leaves, so that the best 200 without it do not answer."""
WAYS: dict[str, dict[str, Any]] = {"plain": {}, "steered": {"boost": {"medicine": 1.0}}}


def measure(bench: Bench) -> dict[str, Any]:
    """Both on a copy of the index whose documents have a number each as metadata."""
    bundle = bench.opened()
    queries = bundle.embed_queries(spread(bench.queries, TURNS))
    found: dict[str, Any] = {"documents": len(bench.texts)}
    with tempfile.TemporaryDirectory(dir=bench.work) as made:
        path = Path(made) / "index"
        shutil.copytree(bench.index(), path)
        with SteerableIndex.open(path, bundle=bundle) as index:
            ids = index.documents()[0]
            index.update_metadata(ids, [{"n": i, "parity": ("even", "odd")[i % 2]} for i in range(len(ids))])
            index.save()
        times: dict[str, list[float]] = {"first": [], "second": []}
        for turn in range(TURNS):
            with SteerableIndex.open(path, bundle=bundle, readonly=True) as index:
                index.search(queries[0], TOP)
                for name, least in (("first", 0), ("second", SELECTED)):
                    filter = {"n": {"$gte": least, "$lt": least + SELECTED}}
                    times[name].append(_ms(lambda f=filter: index.search(queries[turn], TOP, filter=f)))  # noqa: B023
        found["filter"] = _middle(times) | {"target": 60.0}
        for backend in BACKENDS:
            with SteerableIndex.open(path, bundle=bundle, backend=backend) as index:
                for name, how in WAYS.items():
                    found[f"removal, {backend}, {name}"] = _after_removals(index, queries, how)
    return found


def _after_removals(index: SteerableIndex, queries: Any, how: dict[str, Any]) -> dict[str, float]:
    times: dict[str, list[float]] = {"first": [], "second": []}
    for query in queries:
        hits = index.search(query, TOP, **how)
        index.delete([hits[-1].id])
        for name in times:
            times[name].append(_ms(lambda q=query: index.search(q, TOP, **how)))
    return _middle(times)


def _middle(times: dict[str, list[float]]) -> dict[str, float]:
    made = {f"{name} ms": round(statistics.median(each), 2) for name, each in times.items()}
    return made | {"first / second": round(made["first ms"] / made["second ms"], 2)}


def _ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)
