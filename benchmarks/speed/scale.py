"""Everything but the query's embedding, against the bare hnswlib call, from 10,000 to 600,000 documents."""

from __future__ import annotations

from typing import Any

import numpy as np

from steersearch.runtime import Bundle, SteerableIndex

from .corpus import Bench
from .query import PHRASES, boost_of
from .timing import in_turns, ratio
from .torch_side import OUR_EF, TOP, exact_top, graph_of, least_ef, recall_of

SIZES = (10_000, 60_000, 600_000)


def measure(bench: Bench) -> dict[str, Any]:
    """Target 2: steer, search and fetch at most twice the bare call at the same recall; and how it grows with n."""
    queries = Bundle.load(bench.bundle(), threads=bench.threads).embed(bench.queries)
    sizes = [size for size in SIZES if size <= bench.most]
    found: dict[str, Any] = {f"{size:,}": _one(bench, size, queries) for size in sizes}
    ours = [found[f"{size:,}"]["times"]["ours"]["p50 ms"] for size in sizes]
    found["growth"] = {
        "ms per doubling of n": round(float(np.polyfit(np.log2(sizes), ours, 1)[0]), 4) if len(sizes) > 1 else None,
        "exponent of n": round(float(np.polyfit(np.log(sizes), np.log(ours), 1)[0]), 3) if len(sizes) > 1 else None,
    }
    return found


def _one(bench: Bench, size: int, queries: np.ndarray) -> dict[str, Any]:
    vectors = bench.grown(size)
    exact = exact_top(vectors, queries)
    with SteerableIndex.open(bench.index(size), readonly=True, threads=bench.threads, backend="hnsw") as index:
        graph = graph_of(index.path, index.bundle.d_in)
        rowids = np.arange(1, len(vectors) + 1)  # in the order in which they were added
        for phrase in PHRASES:
            index.resolve(phrase)
        own = recall_of(lambda q: np.array([int(hit.id[1:]) for hit in index.search(q, TOP)]), queries, exact)
        ef, recall = least_ef(graph, queries, [rowids[best] for best in exact])

        def bare(item: int, ef: int) -> None:
            graph.set_ef(ef)
            graph.knn_query(queries[item], k=TOP)

        taken = in_turns(
            {
                "ours": lambda item: index.search(queries[item], TOP, boost=boost_of(item)),
                "ours, plain": lambda item: index.search(queries[item], TOP),
                "hnswlib": lambda item: bare(item, OUR_EF),  # what our search asks the graph for: the same recall
                "hnswlib at recall .98": lambda item: bare(item, ef),
            },
            len(queries),
        )
    return {
        "recall@10 of ours": round(own, 4),
        "times": {name: each.figures() for name, each in taken.items()},
        "ours / hnswlib": ratio(taken["ours"].wall, taken["hnswlib"].wall) | {"target": 2.0},
        "plain / hnswlib": ratio(taken["ours, plain"].wall, taken["hnswlib"].wall),
        "at recall .98": {"ef": ef, "recall@10": round(recall, 4)},
    }
