"""Text in, ten documents out: against torch and hnswlib, plain, steered, and explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steersearch.arrays import IntArray
from steersearch.export.quantize import Precision
from steersearch.runtime import SteerableIndex

from .corpus import BACKENDS, PRECISIONS, Bench
from .report import OF_TORCH
from .timing import added, in_turns, ratio
from .torch_side import RECALL, TOP, TorchSide, exact_top, graph_of, least_ef, recall_of

TIMED: tuple[Precision, ...] = ("w8", "int8")
PHRASES = (
    "heart disease",
    "computer programming",
    "religion",
    "space flight",
    "children",
    "baseball",
    "genetics",
    "politics",
    "clinical trials",
    "music",
)


def boost_of(item: int) -> dict[str, float]:
    """Three concepts, others for every query."""
    return {PHRASES[(item + 3 * i) % len(PHRASES)]: strength for i, strength in enumerate((1.0, 0.5, -0.5))}


def measure(bench: Bench) -> dict[str, Any]:
    """Target 1, for two precisions and both graphs; and what every precision takes to embed a query."""
    queries, vectors = bench.queries, bench.vectors()
    torch = TorchSide(bench)
    rows = torch.embed(queries)
    exact = exact_top(vectors, rows)
    graph = graph_of(bench.index(), vectors.shape[1])
    rowids = np.arange(1, len(vectors) + 1)  # in the order in which they were added
    ef, recall = least_ef(graph, rows, [rowids[best] for best in exact])
    found: dict[str, Any] = {"documents": len(vectors), "queries": len(queries), "threads": bench.threads}
    found |= {"hnswlib ef": ef, "recall@10 of hnswlib": round(recall, 4)}
    texts = dict(zip(rowids.tolist(), bench.texts, strict=True))

    def theirs(item: int) -> list[str]:
        labels, _ = graph.knn_query(torch.embed([queries[item]]), k=TOP)
        return [texts[label] for label in labels[0].tolist()]

    for precision in TIMED:
        bundle = bench.opened(precision)
        for backend in BACKENDS:
            path = bench.index(precision=precision)
            with SteerableIndex.open(path, bundle=bundle, readonly=True, backend=backend) as index:
                found[f"{precision}, {backend}"] = _against(theirs, index, queries, vectors, exact)
    found["embedding one query"] = _precisions(bench, torch)
    return found


def _against(
    theirs: Callable[[int], object],
    index: SteerableIndex,
    queries: list[str],
    vectors: np.ndarray,
    exact: list[IntArray],
) -> dict[str, Any]:
    """One index against torch and hnswlib."""
    bundle = index.bundle
    ours = bundle.embed_queries(queries)

    def found_by(query: np.ndarray) -> IntArray:
        return np.array([int(hit.id[1:]) for hit in index.search(query, TOP)])

    def searched(item: int, boost: dict[str, float] | None = None) -> object:
        bundle.clear_cache()  # else every query but the first way's is known
        return index.search(queries[item], TOP, boost=boost)

    own = recall_of(found_by, ours, exact_top(vectors, ours))
    for phrase in PHRASES:  # a concept is resolved once per index, as a person asks for it more than once
        index.resolve(phrase)
    ways = {"torch": theirs, "plain": searched, "steered": lambda item: searched(item, boost_of(item))}
    taken = in_turns(ways, len(queries))
    return {
        "recall@10 of ours": round(own, 4),
        OF_TORCH: round(recall_of(found_by, ours, exact), 4),
        "recall is enough": bool(own >= RECALL),
        "times": {name: each.figures() for name, each in taken.items()},
        "steered / torch": ratio(taken["steered"].wall, taken["torch"].wall) | {"target": 0.30},
        "steered / torch, cpu": ratio(taken["steered"].cpu, taken["torch"].cpu),
        "steering adds": added(taken["steered"].wall, taken["plain"].wall) | {"target": 0.03},
        "steering adds, cpu": added(taken["steered"].cpu, taken["plain"].cpu),
        "explaining ten hits adds": _explaining(index, ours) | {"target ms": 1.0},
    }


def _explaining(index: SteerableIndex, queries: np.ndarray) -> dict[str, float]:
    """What it takes to print beside ten hits the three features that count most."""

    def searched(item: int) -> list[str]:
        return [hit.id for hit in index.search(queries[item], TOP, boost=boost_of(item))]

    def explained(item: int) -> list[str]:
        found = index.explain_all(queries[item], searched(item), boost=boost_of(item))
        return [f"{part.feature} {part.contribution:.3f}" for one in found for part in one.parts[:3]]

    taken = in_turns({"searched": searched, "explained": explained}, min(300, len(queries)))
    cpu = added(taken["explained"].cpu, taken["searched"].cpu)["ms"]
    return {"ms": added(taken["explained"].wall, taken["searched"].wall)["ms"], "cpu ms": cpu}


def _precisions(bench: Bench, torch: TorchSide) -> dict[str, Any]:
    """Embedding alone, every precision and torch in turns."""
    bundles = {name: bench.opened(name) for name in PRECISIONS}
    ways: dict[str, Any] = {
        name: lambda item, b=bundle: b.embed_queries([bench.queries[item]]) for name, bundle in bundles.items()
    }
    taken = in_turns(ways | {"torch": lambda item: torch.embed([bench.queries[item]])}, min(300, len(bench.queries)))
    return {
        name: each.figures() | {"of torch": ratio(each.wall, taken["torch"].wall)["ratio"]}
        for name, each in taken.items()
    }
