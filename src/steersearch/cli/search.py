"""`sae search` and `sae explain`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from ._common import (
    BoostOption,
    ClampOption,
    IndexPath,
    Json,
    console,
    first_line,
    parse_boost,
    parse_filter,
    print_json,
)

if TYPE_CHECKING:
    from steersearch.runtime import Hit, SteerableIndex

Query = Annotated[str, typer.Argument(help="What to look for.")]


def search(
    query: Query,
    index: IndexPath = Path("index"),
    k: Annotated[int, typer.Option("-k", help="Results.")] = 5,
    boost: BoostOption = None,
    clamp: ClampOption = None,
    filter: Annotated[
        str | None, typer.Option(help='Metadata conditions as JSON: \'{"year": {"$gte": 2025}}\'.')
    ] = None,
    view: Annotated[Literal["dense", "reconstruction", "latent"], typer.Option(help="What is compared.")] = "dense",
    compare: Annotated[
        bool, typer.Option("--compare", help="Show the plain and the steered results side by side.")
    ] = False,
    json: Json = False,
) -> None:
    """Search an index, and steer what comes first.

    Example: `sae search "solar storms" --boost "radio astronomy=1.5" --compare`
    """
    from steersearch.runtime import SteerableIndex

    boosts, clamps, where = parse_boost(boost), parse_boost(clamp, "--clamp", None), parse_filter(filter)
    with SteerableIndex.open(index) as opened:
        hits = opened.search(query, k, boost=boosts, clamp=clamps, filter=where, view=view)
        plain = opened.search(query, k, filter=where, view=view) if compare else []
        steered = opened.steer(query, boosts, clamps)
        if json:
            concepts = [
                {
                    "concept": c.name,
                    "strength": s,
                    "fit": c.fit,
                    "latents": {f"f{i}": round(w, 4) for i, w in c.weights.items()},
                }
                for c, s in (*steered.concepts, *steered.clamped)
            ]
            body: dict[str, Any] = {"query": query, "concepts": concepts, "hits": [asdict(hit) for hit in hits]}
            print_json(body | ({"plain": [asdict(hit) for hit in plain]} if compare else {}))
            return
        for concept, strength in (*steered.concepts, *steered.clamped):
            best = ", ".join(str(opened.bundle.features[latent]) for latent in list(concept.weights)[:3])
            console.print(
                f"[dim]{strength:+g} × {escape(concept.name)} = {len(concept.weights)} features: {escape(best)} …[/dim]"
            )
        if compare:
            print_side_by_side(plain, hits)
        else:
            print_hits(hits)


def explain(
    query: Query,
    id: Annotated[str, typer.Argument(help="The document's id, as `sae search` prints it.")],
    index: IndexPath = Path("index"),
    boost: BoostOption = None,
    clamp: ClampOption = None,
    json: Json = False,
) -> None:
    """Take a document's score apart: what each feature of the query adds to it. The parts add up to the score."""
    from steersearch.runtime import SteerableIndex

    with SteerableIndex.open(index) as opened:
        explanation = opened.explain(query, id, boost=parse_boost(boost), clamp=parse_boost(clamp, "--clamp", None))
    if json:
        parts = [
            {
                "feature": p.feature.name,
                "label": p.feature.label,
                "score": p.feature.score,
                "contribution": p.contribution,
                "before": p.before,
                "after": p.after,
            }
            for p in explanation.parts
        ]
        print_json({"id": id, "score": explanation.score, "rest": explanation.rest, "parts": parts})
        return
    console.print(escape(str(explanation)))


def print_hits(hits: list[Hit]) -> None:
    """One line per hit."""
    if not hits:
        console.print("nothing found")
    for hit in hits:
        console.print(f"{hit.rank:>3}  {hit.score:.3f}  [bold]{escape(hit.id)}[/bold]  {escape(first_line(hit.text))}")


def print_side_by_side(plain: list[Hit], steered: list[Hit]) -> None:
    """Two columns, with an arrow for where each steered hit came from."""
    table = Table(show_edge=False, pad_edge=False, expand=True)
    for title in ("plain", "steered"):
        table.add_column(title, ratio=1, no_wrap=True, overflow="ellipsis")
    before = {hit.id: hit.rank for hit in plain}
    for i in range(max(len(plain), len(steered))):
        left = plain[i] if i < len(plain) else None
        right = steered[i] if i < len(steered) else None
        table.add_row(_cell(left, ""), _cell(right, _move(right, before)))
    console.print(table)


def _cell(hit: Hit | None, move: str) -> str:
    if hit is None:
        return ""
    return f"{hit.rank}. {move}[bold]{escape(hit.id)}[/bold] {escape(first_line(hit.text, 60))}"


def _move(hit: Hit | None, before: dict[str, int]) -> str:
    if hit is None:
        return ""
    rank = before.get(hit.id)
    if rank is None:
        return "[green]new[/green] "
    if rank == hit.rank:
        return "[dim]=[/dim] "
    return f"[green]▲{rank - hit.rank}[/green] " if rank > hit.rank else f"[red]▼{hit.rank - rank}[/red] "


def why(index: SteerableIndex, query: str, id: str, boost: dict[int | str, float], limit: int = 4) -> str:
    """The features that add most to a hit's score, in one line."""
    parts = index.explain(query, id, boost=boost).parts[:limit]
    return ", ".join(f"{part.feature} {part.contribution:+.3f}" for part in parts)
