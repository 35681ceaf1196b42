"""Everything but the query's embedding, against the bare hnswlib call, from 10,000 to 600,000 documents."""

from __future__ import annotations

from typing import Any

import numpy as np

from steersearch.runtime import SteerableIndex

from .corpus import BACKENDS, Bench
from .query import PHRASES, boost_of
from .timing import in_turns, ratio
from .torch_side import OUR_EF, TOP, exact_top, graph_of, least_ef, recall_of

SIZES = (10_000, 60_000, 600_000)


def measure(bench: Bench) -> dict[str, Any]:
    """Target 2: steer, search and fetch at most twice the bare call at the same recall; and how it grows with n."""
    queries = bench.opened().embed_queries(bench.queries)
    sizes = [size for size in SIZES if size <= bench.most]
    found: dict[str, Any] = {f"{size:,}": _one(bench, size, queries) for size in sizes}
    for backend in BACKENDS if len(sizes) > 1 else ():
        ours = [found[f"{size:,}"][backend]["times"]["ours"]["p50 ms"] for size in sizes]
        found[f"growth, {backend}"] = {
            "ms per doubling of n": round(float(np.polyfit(np.log2(sizes), ours, 1)[0]), 4),
            "exponent of n": round(float(np.polyfit(np.log(sizes), np.log(ours), 1)[0]), 3),
        }
    return found


def _one(bench: Bench, size: int, queries: np.ndarray) -> dict[str, Any]:
    vectors = bench.grown(size)
    exact = exact_top(vectors, queries)
    path, bundle = bench.index(size), bench.opened()
    graph = graph_of(path, bundle.d_in)
    rowids = np.arange(1, len(vectors) + 1)  # in the order in which they were added
    same, _ = least_ef(graph, queries, [rowids[best] for best in exact])

    def bare(item: int, ef: int) -> None:
        graph.set_ef(ef)
        graph.knn_query(queries[item], k=TOP)

    found: dict[str, Any] = {"hnswlib's ef for recall@10 .98": same}
    for backend in BACKENDS:
        with SteerableIndex.open(path, bundle=bundle, readonly=True, backend=backend) as index:
            for phrase in PHRASES:
                index.resolve(phrase)
            search = index.search
            own = recall_of(lambda q: np.array([int(hit.id[1:]) for hit in search(q, TOP)]), queries, exact)  # noqa: B023
            for item, query in enumerate(queries):  # the graph is in memory, so the documents' pages are to be too
                search(query, TOP, boost=boost_of(item))
            taken = in_turns(
                {
                    "ours": lambda item: search(queries[item], TOP, boost=boost_of(item)),  # noqa: B023
                    "ours, plain": lambda item: search(queries[item], TOP),  # noqa: B023
                    "hnswlib": lambda item: bare(item, OUR_EF),  # what our search asks a graph for: the same recall
                    "hnswlib at recall .98": lambda item: bare(item, same),
                },
                len(queries),
            )
        found[backend] = {
            "recall@10 of ours": round(own, 4),
            "times": {name: each.figures() for name, each in taken.items()},
            "ours / hnswlib": ratio(taken["ours"].wall, taken["hnswlib"].wall) | {"target": 2.0},
            "plain / hnswlib": ratio(taken["ours, plain"].wall, taken["hnswlib"].wall),
        }
    return found
