"""Steerings over a set of queries: nDCG@10 where there are judgments, and how much of the plain results stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....metrics import ndcg_at
from ..requests import State
from ..studio import Studio
from .search import TOP, found_ids

Judged = Mapping[str, Mapping[str, int]]
"""Query -> document id -> grade."""


@dataclass(frozen=True)
class Figures:
    """What a steering brings over some queries."""

    ndcg: float | None
    """Mean nDCG@10 over the queries that have judgments; None without any."""
    overlap: float
    """Mean share of the ten results that are among the ten without steering, in the same view and filter."""
    per_query: tuple[dict[str, Any], ...]
    """``{query, ids, ndcg, overlap}`` for each."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"ndcg": self.ndcg, "overlap": self.overlap, "per_query": list(self.per_query)}


def measure(studio: Studio, state: State, queries: Sequence[str], judged: Judged) -> Figures:
    """Search each query with the steering of a state, and return the figures; its own query does not matter.

    Raises:
        SteersearchError: As `SteerableIndex.search`.
    """
    rows: list[dict[str, Any]] = []
    for query in queries:
        asked = state.asking(query)
        ids, plain = found_ids(studio, asked), found_ids(studio, asked, unsteered=True)
        grades = judged.get(query, {})
        ndcg = ndcg_at(ids, grades, TOP) if any(grades.values()) else None
        overlap = len(set(ids) & set(plain)) / max(len(plain), 1)
        rows.append({"query": query, "ids": ids, "ndcg": ndcg, "overlap": overlap})
    known = [row["ndcg"] for row in rows if row["ndcg"] is not None]
    return Figures(
        sum(known) / len(known) if known else None,
        sum(row["overlap"] for row in rows) / max(len(rows), 1),
        tuple(rows),
    )
