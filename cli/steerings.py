"""`sae eval --steering`: does a steering still bring what people judged to be right?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from ..errors import ConfigError
from .console import console, tell
from .output import print_json

SAME = 1e-6
"""Figures that differ by less are the same: sums in another order."""


def evaluate_steerings(
    steerings: Sequence[Path],
    index: Path | None,
    judgments: Path | None,
    bundle: Path | None,
    embedder: Any,
    fail_below: float | None,
    record: bool,
    json: bool,
) -> None:
    """Print nDCG@10 and the overlap of steerings over the judged queries; exit with 1 when one is worse than recorded.

    Raises:
        ConfigError: The index or the judgments are not given, or a file is no steering.
        DataError: A line is no judgment, or no query has an answer.
    """
    from ..errors import DataError
    from ..files import absolute
    from ..integrations.studio.answers.compare import measure
    from ..integrations.studio.saved import read_judgments, read_snapshot, write_snapshot
    from ..integrations.studio.studio import Studio
    from ..runtime import SteerableIndex

    if index is None or judgments is None:
        raise ConfigError("--steering is measured on an index and judgments: give --index FOLDER and --judgments FILE")
    judged = read_judgments(absolute(judgments))
    queries = [query for query, grades in judged.items() if any(grades.values())]
    if not queries:
        raise DataError(f"{judgments} has no query with a grade above 0: judge some results in the studio")
    snapshots = [read_snapshot(absolute(path)) for path in steerings]
    rows: list[dict[str, Any]] = []
    with SteerableIndex.open(index, bundle=bundle, embedder=embedder, readonly=True) as opened:
        studio = Studio(opened)
        for path, snapshot in zip(steerings, snapshots, strict=True):
            figures = measure(studio, snapshot.state, queries, judged)
            least = snapshot.expected.get("ndcg") if fail_below is None else fail_below
            ndcg = figures.ndcg or 0.0
            worse = least is not None and ndcg < least - SAME
            rows.append(
                {"steering": snapshot.name, "file": str(path), "expected": least, "worse": worse} | figures.to_json()
            )
            if record:
                snapshot.expected = {"ndcg": round(ndcg, 6), "overlap": round(figures.overlap, 6)}
                write_snapshot(absolute(path), snapshot)
    _print(rows, len(queries), json)
    worse_ones = [row for row in rows if row["worse"] and not record]
    for row in worse_ones:
        tell("error", f"{row['steering']} has nDCG@10 {row['ndcg']:.4f}, expected at least {row['expected']:.4f}")
    if worse_ones:
        raise typer.Exit(1)


def _print(rows: list[dict[str, Any]], queries: int, json: bool) -> None:
    if json:
        print_json({"queries": queries, "steerings": rows})
        return
    table = Table(title=f"{queries:,} judged queries")
    for column in ("steering", "nDCG@10", "expected", "overlap@10"):
        table.add_column(column, justify="left" if column == "steering" else "right")
    for row in rows:
        expected = "" if row["expected"] is None else f"{row['expected']:.4f}"
        table.add_row(row["steering"], f"{row['ndcg']:.4f}", expected, f"{row['overlap']:.2f}")
    console.print(table)
