"""The figures as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OF_TORCH = "of the exact ten of torch's vectors"
COLUMNS = ("w8, hnswlib", "w8, usearch-i8", "int8, hnswlib", "int8, usearch-i8")
BOTH = ("w8, hnsw", "w8, usearch-i8", "int8, hnsw", "int8, usearch-i8")
GRAPHS, ONE, QUICK = ("hnsw", "usearch-i8"), ("",), ("w8", "", "int8")
# What, target, a name per column, where in the results its figure is (with that name), and how it is written.
LINES: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("1. text in, ten steered documents out, ms", "", BOTH, "query > {} > times > steered > p50 ms", "{:.2f}"),
    ("the same / torch and hnswlib", "0.30", BOTH, "query > {} > steered / torch > ratio", "{:.3f}"),
    ("recall@10 against exact search", "0.98", BOTH, "query > {} > recall@10 of ours", "{:.4f}"),
    (OF_TORCH, "", BOTH, f"query > {{}} > {OF_TORCH}", "{:.3f}"),
    ("steering with three concepts adds", "3 %", BOTH, "query > {} > steering adds > share", "{:.1%}"),
    ("explaining ten hits adds, ms", "1", BOTH, "query > {} > explaining ten hits adds > ms", "{:.2f}"),
    ("2. all but embedding / hnswlib, 10k", "2", GRAPHS, "scale > 10,000 > {} > ours / hnswlib > ratio", "{:.2f}"),
    ("the same, 60k documents", "2", GRAPHS, "scale > 60,000 > {} > ours / hnswlib > ratio", "{:.2f}"),
    ("the same, 600k documents", "2", GRAPHS, "scale > 600,000 > {} > ours / hnswlib > ratio", "{:.2f}"),
    ("time grows with documents to the power", "", GRAPHS, "scale > growth, {} > exponent of n", "{:.2f}"),
    ("3. import to first answer, lean, s", "0.8", GRAPHS, "cold > {}, lean > all s", "{:.2f}"),
    ("peak memory, MB", "250", GRAPHS, "cold > {}, lean > peak MB", "{:.0f}"),
    ("read by opening, MB", "", GRAPHS, "cold > {}, lean > MB read by open", "{:.0f}"),
    ("4. indexing / sentence-transformers", "1.3", QUICK, "indexing > {} > throughput / torch", "{:.2f}"),
    ("adding one document, ms", "10", ONE, "indexing > adding one, ms > value", "{:.1f}"),
    ("deleting one, ms", "5", ONE, "indexing > deleting one, ms > value", "{:.1f}"),
    ("embedding beside busy processes, times as long", "2.5", ONE, "busy > runtime, w8 > times as long", "{:.2f}"),
    ("the same, training's torch", "2.5", ONE, "busy > training's torch > times as long", "{:.2f}"),
    ("first filter of an opened index, ms", "60", ONE, "first > filter > first ms", "{:.0f}"),
    ("first search after a removal / second", "1", GRAPHS, "first > removal, {}, plain > first / second", "{:.1f}"),
    ("the same, steered", "1", GRAPHS, "first > removal, {}, steered > first / second", "{:.1f}"),
    ("5. latent view, k = 32, ms", "5", ONE, "latent > k = 32 > p50 ms", "{:.2f}"),
    ("its size / dense vectors", "", ONE, "latent > k = 32 > share of dense", "{:.2f}"),
    ("6. bundle, MB", "", QUICK, "size > bundle MB > {}", "{:.0f}"),
)
TITLES = {
    "query": "1. Text in, ten documents out",
    "scale": "2. Everything but the query's embedding",
    "cold": "3. From import to the first answer",
    "indexing": "4. Indexing",
    "latent": "5. The latent view",
    "size": "6. Size",
    "first": "What is done once",
    "busy": "A busy machine",
    "profiles": "Profiles, precisions, spinning threads",
    "roofline": "Where a query's time goes, and what the hardware allows",
}


README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- speed: written by benchmarks.speed -->", "<!-- speed: end -->"


def write_summary(results: Mapping[str, Any], page: Path = README) -> None:
    """Put the targets and what was measured between the two marks of a page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{summary(results)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def summary(results: Mapping[str, Any]) -> str:
    """A table of the targets, of the parts that were measured."""
    rows = [["", "target", *COLUMNS]]
    for what, target, names, path, form in LINES:
        found = [_at(results, path.format(name)) for name in names]
        if any(value is not None for value in found):
            cells = ["" if value is None else form.format(value) for value in found]
            rows.append([what, target, *cells, *[""] * (len(COLUMNS) - len(cells))])
    return _table(rows)


def _at(results: Any, path: str) -> Any:
    for step in path.split(" > "):
        results = results.get(step) if isinstance(results, Mapping) else None
    return results


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
