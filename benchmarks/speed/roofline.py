"""Where a query's time goes, and how far each part is from what this machine could do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import usearch.index

from steersearch.runtime import SteerableIndex

from .corpus import Bench, spread
from .query import PHRASES, boost_of
from .timing import in_turns
from .torch_side import OUR_EF, TOP, graph_of


def measure(bench: Bench) -> dict[str, Any]:
    """The parts of a steered search one by one; bytes over measured bandwidth and operations over measured peak."""
    queries = spread(bench.queries, 300)
    bundle, path = bench.opened(), bench.index()
    with (
        SteerableIndex.open(path, bundle=bundle, readonly=True, backend="hnsw") as index,
        SteerableIndex.open(path, bundle=bundle, readonly=True, backend="usearch-i8") as small,
    ):
        rows = bundle.embed_queries(queries)
        graph = graph_of(path, bundle.d_in)
        graph.set_ef(OUR_EF)
        bytes_graph = usearch.index.Index.restore(str(path / "cache" / "usearch.bin"), view=True)
        bytes_graph.expansion_search = OUR_EF
        ids = [[hit.id for hit in index.search(row, TOP)] for row in rows]
        tokens = float(np.mean([len(row) for row in bundle.tokenise(queries)]))
        for phrase in PHRASES:
            index.resolve(phrase)
            small.resolve(phrase)
        taken = in_turns(
            {
                "whole, hnsw": lambda i: (bundle.clear_cache(), index.search(queries[i], TOP, boost=boost_of(i))),
                "whole, usearch-i8": lambda i: (bundle.clear_cache(), small.search(queries[i], TOP, boost=boost_of(i))),
                "tokenise": lambda i: bundle.tokenise([queries[i]]),
                "embed": lambda i: bundle.embed_queries([queries[i]]),
                "steer": lambda i: index.steer(rows[i], boost_of(i)),
                "encode (only for clamps and explanations)": lambda i: bundle.encode(rows[i][None]),
                "graph, hnsw": lambda i: graph.knn_query(rows[i], k=TOP),
                "graph, usearch-i8": lambda i: bytes_graph.search(rows[i], TOP, threads=1),
                "search and fetch, hnsw": lambda i: index.search(rows[i], TOP),
                "search and fetch, usearch-i8": lambda i: small.search(rows[i], TOP),
                "fetch ten by id": lambda i: index.get(ids[i]),
            },
            len(queries),
        )
    parts: dict[str, Any] = {name: each.figures() for name, each in taken.items()}
    bandwidth, peak = _bandwidth(), _peak()
    weights, encoder = _weights(bench), bundle.d_in * bundle.n_latents * 4
    limits = {
        # Every weight of the embedder is read once and takes part in two operations per token.
        "embed": (weights, 2 * weights * tokens),
        "encode (only for clamps and explanations)": (2 * encoder, encoder),
        # Each candidate of the graph has up to 2M neighbours, whose vectors are read.
        "graph, hnsw": (OUR_EF * 32 * bundle.d_in * 4, OUR_EF * 32 * bundle.d_in * 2),
        "graph, usearch-i8": (OUR_EF * 32 * bundle.d_in, OUR_EF * 32 * bundle.d_in * 2),
    }
    for name, (moved, flops) in limits.items():
        least = 1e3 * max(moved / bandwidth, flops / peak)
        parts[name] |= {"least ms": round(least, 3), "times the least": round(parts[name]["p50 ms"] / least, 2)}
    return {
        "tokens per query": round(tokens, 1),
        "GB per s, read by one thread": round(bandwidth / 1e9, 2),
        "GFLOP per s, float32, one thread": round(peak / 1e9, 1),
        "parts": parts,
    }


def _weights(bench: Bench) -> int:
    """Bytes of the embedder's matrices in w8: one per weight; looked-up tables are read by a few rows only."""
    import onnx

    graph = onnx.load(str(bench.bundle() / "embedder.onnx"), load_external_data=False).graph
    matrices = {node.input[1] for node in graph.node if node.op_type == "MatMulNBits"}
    return int(sum(np.prod(tensor.dims) for tensor in graph.initializer if tensor.name in matrices))


def _bandwidth() -> float:
    """Bytes per second of reading memory that is in no cache."""
    numbers = np.ones(64_000_000, np.float32)
    return _best(lambda: numbers.sum(), numbers.nbytes)


def _peak() -> float:
    """Operations per second of a large float32 product."""
    square = np.ones((1024, 1024), np.float32)
    return _best(lambda: square @ square, 2 * 1024**3)


def _best(run: Callable[[], object], amount: float) -> float:
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return amount / min(seconds)
