"""The latent view: exact top ten by sparse codes, and what its inverted lists weigh beside the dense vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from steersearch.runtime import Bundle
from steersearch.runtime.search.inverted_lists import InvertedLists
from steersearch.runtime.steering.change import Change

from .corpus import Bench
from .timing import bytes_of, in_turns

KS = (32, 64)
"""Strongest latents of a code that are kept."""


def measure(bench: Bench) -> dict[str, Any]:
    """Target 5, on the codes of the bundle cut to their strongest latents."""
    bundle = Bundle.load(bench.bundle(), threads=bench.threads)
    vectors = np.asarray(bench.vectors())
    indices, values = bundle.encode(vectors)
    query_indices, query_values = bundle.encode(bundle.embed_queries(bench.queries))
    rowids = np.arange(1, len(vectors) + 1)
    found: dict[str, Any] = {"documents": len(vectors), "dense MB": round(vectors.nbytes / 1e6, 1)}
    for k in (k for k in KS if k <= bundle.k):
        lists = InvertedLists(rowids, [(indices[:, :k], values[:, :k])], bundle.n_latents)
        folder = bench.work / f"latent-{k}"
        lists.save(folder, 1)
        codes = [change_of(i[:k], v[:k]) for i, v in zip(query_indices, query_values, strict=True)]
        taken = in_turns({"top 10": lambda item: lists.search(codes[item], 10, None)}, len(codes))["top 10"]  # noqa: B023
        found[f"k = {k}"] = taken.figures() | {"MB on disk": round(bytes_of(folder) / 1e6, 1), "target p50 ms": 5}
        found[f"k = {k}"]["share of dense"] = round(bytes_of(folder) / vectors.nbytes, 3)
    return found


def change_of(latents: np.ndarray, activations: np.ndarray) -> Change:
    """The code of a query that nobody steered."""
    order = np.argsort(latents)
    return Change(latents[order], activations[order], activations[order])
