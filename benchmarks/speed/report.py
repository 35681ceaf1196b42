"""The figures as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TITLES = {
    "query": "1. Text in, ten documents out",
    "scale": "2. Everything but the query's embedding",
    "cold": "3. From import to the first answer",
    "indexing": "4. Indexing",
    "latent": "5. The latent view",
    "size": "6. Size",
    "profiles": "Profiles, precisions, spinning threads",
    "roofline": "Where a query's time goes, and what the hardware allows",
}


def as_text(results: Mapping[str, Any]) -> str:
    """Every part that was measured, as tables."""
    blocks = ["# Speed", results.get("machine", "")]
    for part, title in TITLES.items():
        if part in results:
            blocks += [f"## {title}", *_tables(results[part])]
    return "\n\n".join(blocks) + "\n"


def _tables(figures: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Rows of the same keys share a table; the numbers that stand alone come first."""
    alone = {name: value for name, value in figures.items() if not isinstance(value, Mapping)}
    if alone:
        yield _table([["" if not above else above, "value"], *([name, value] for name, value in alone.items())])
    flat = {name: value for name, value in figures.items() if isinstance(value, Mapping) and not _deep(value)}
    while flat:
        columns = list(next(iter(flat.values())))
        same = {name: row for name, row in flat.items() if set(row) & set(columns)}
        wide = list(dict.fromkeys(column for row in same.values() for column in row))
        yield _table(
            [[above, *wide], *([name, *(row.get(column, "") for column in wide)] for name, row in same.items())]
        )
        flat = {name: row for name, row in flat.items() if name not in same}
    for name, value in figures.items():
        if isinstance(value, Mapping) and _deep(value):
            yield from _tables(value, f"{above}, {name}" if above else name)


def _deep(value: Mapping[str, Any]) -> bool:
    return any(isinstance(part, Mapping) for part in value.values())


def _table(rows: list[list[Any]]) -> str:
    head, *body = [[str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])
