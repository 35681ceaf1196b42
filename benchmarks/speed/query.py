"""Text in, ten documents out: against torch and hnswlib, plain, steered, and explained."""

from __future__ import annotations

from typing import Any

import numpy as np

from steersearch.runtime import SteerableIndex

from .corpus import PRECISIONS, Bench
from .timing import added, in_turns, ratio
from .torch_side import RECALL, TOP, TorchSide, exact_top, graph_of, least_ef, recall_of

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
    """Target 1 for w8, the default on devices, and the plain ratio of every other precision."""
    queries, vectors = bench.queries, bench.vectors()
    torch = TorchSide(bench)
    rows = torch.embed(queries)
    found: dict[str, Any] = {"documents": len(vectors), "queries": len(queries), "threads": bench.threads}
    with SteerableIndex.open(bench.index(), readonly=True, threads=bench.threads) as index:
        ours = index.bundle.embed(queries)
        exact = exact_top(vectors, rows)
        graph = graph_of(index.path, index.bundle.d_in)
        rowids = np.arange(1, len(vectors) + 1)  # in the order in which they were added
        ef, recall = least_ef(graph, rows, [rowids[best] for best in exact])
        own = recall_of(
            lambda q: np.array([int(hit.id[1:]) for hit in index.search(q, TOP)]), ours, exact_top(vectors, ours)
        )
        found |= {"hnswlib ef": ef, "recall@10 of hnswlib": round(recall, 4), "recall@10 of ours": round(own, 4)}
        texts = dict(zip(rowids.tolist(), bench.texts, strict=True))

        def theirs(item: int) -> list[str]:
            labels, _ = graph.knn_query(torch.embed([queries[item]]), k=TOP)
            return [texts[label] for label in labels[0].tolist()]

        for phrase in PHRASES:  # a concept is resolved once per index, as a person asks for it more than once
            index.resolve(phrase)
        taken = in_turns(
            {
                "torch": theirs,
                "plain": lambda item: index.search(queries[item], TOP),
                "steered": lambda item: index.search(queries[item], TOP, boost=boost_of(item)),
            },
            len(queries),
        )
        found["times"] = {name: each.figures() for name, each in taken.items()}
        found["steered / torch"] = ratio(taken["steered"].wall, taken["torch"].wall) | {"target": 0.30}
        found["steered / torch, cpu"] = ratio(taken["steered"].cpu, taken["torch"].cpu)
        found["steering adds"] = added(taken["steered"].wall, taken["plain"].wall) | {"target": 0.03}
        found["steering adds, cpu"] = added(taken["steered"].cpu, taken["plain"].cpu)
        found["explaining ten hits adds"] = _explaining(index, ours) | {"target ms": 1.0}
    found["recall is enough"] = bool(min(own, recall) >= RECALL)
    found["embedding one query"] = _precisions(bench, torch)
    return found


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
    from steersearch.runtime import Bundle

    bundles = {name: Bundle.load(bench.bundle(name), threads=bench.threads) for name in PRECISIONS}
    ways: dict[str, Any] = {
        name: lambda item, b=bundle: b.embed([bench.queries[item]]) for name, bundle in bundles.items()
    }
    taken = in_turns(ways | {"torch": lambda item: torch.embed([bench.queries[item]])}, min(300, len(bench.queries)))
    return {
        name: each.figures() | {"of torch": ratio(each.wall, taken["torch"].wall)["ratio"]}
        for name, each in taken.items()
    }
