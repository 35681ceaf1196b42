"""How hits and concepts look on the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from .options import console, first_line, make_bars, stderr

if TYPE_CHECKING:
    from ..runtime import Concept, Features, Hit, Part, SteeredQuery


def print_concepts(steered: SteeredQuery, features: Features) -> None:
    """What each key of a boost or clamp became, and how much of the query is left."""
    for sign, pairs in (("+", steered.concepts), ("", steered.clamped)):
        for concept, strength in pairs:
            best = ", ".join(str(features[latent]) for latent in list(concept.weights)[:3])
            more = " …" if len(concept.weights) > 3 else ""
            count = "1 feature" if len(concept.weights) == 1 else f"{len(concept.weights)} features"
            sure = "" if concept.source in ("latents", "label") or concept.fit is None else f" (fit {concept.fit:.2f})"
            how = f"{strength:{sign}.3g} ×" if sign else f"{strength:.3g} at"
            console.print(f"[dim]{how} {escape(concept.name)} = {count}{sure}: {escape(best)}{more}[/dim]")
    if steered.change is not None and not steered.change.empty:
        console.print(f"[dim]keeps {steered.kept:.2f} of the query[/dim]")


def print_hits(hits: Sequence[Hit]) -> None:
    """One line per hit, and one for its place where that is known."""
    if not hits:
        console.print("nothing found")
    for hit in hits:
        console.print(f"{hit.rank:>3}  {hit.score:.3f}  [bold]{escape(hit.id)}[/bold]  {escape(first_line(hit.text))}")
        if place := place_of(hit):
            console.print(f"[dim]            {escape(place)}[/dim]", soft_wrap=True)


def place_of(hit: Hit) -> str:
    """Where a hit stands in its file, ``guide.pdf, page 3, characters 1,200 to 2,100``; empty when it does not say."""
    found, parts = hit.metadata, []
    if isinstance(found.get("source"), str) and found["source"] != hit.id:
        parts.append(found["source"])
    if isinstance(found.get("page"), int):
        parts.append(f"page {found['page']}")
    if isinstance(found.get("heading"), str):
        parts.append(found["heading"])
    if isinstance(found.get("start"), int) and isinstance(found.get("end"), int):
        parts.append(f"characters {found['start']:,} to {found['end']:,}")
    return ", ".join(parts)


def print_side_by_side(plain: Sequence[Hit], steered: Sequence[Hit]) -> None:
    """Two columns, with an arrow for where each steered hit came from, and the features that moved it."""
    table = Table(show_edge=False, pad_edge=False, expand=True)
    for title in ("plain", "steered"):
        table.add_column(title, ratio=1, no_wrap=True, overflow="ellipsis")
    for i in range(max(len(plain), len(steered))):
        left = _cell(plain[i], "") if i < len(plain) else ""
        table.add_row(left, _cell(steered[i], _arrow(steered[i])) + _why(steered[i]) if i < len(steered) else "")
    console.print(table)


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit as JSON."""
    return {
        "rank": hit.rank,
        "id": hit.id,
        "score": hit.score,
        "text": hit.text,
        "metadata": hit.metadata,
        "rank_before": hit.rank_before,
        "moved_by": [part_json(part) | {"steered": part.steered} for part in hit.moved_by],
    }


def part_json(part: Part) -> dict[str, Any]:
    """A part of a score as JSON."""
    return {
        "feature": part.feature.name,
        "label": part.feature.label,
        "score": part.feature.score,
        "contribution": part.contribution,
        "before": part.before,
        "after": part.after,
    }


def concept_json(concept: Concept, strength: float) -> dict[str, Any]:
    """What a key became, as JSON."""
    return {
        "concept": concept.name,
        "source": concept.source,
        "strength": strength,
        "fit": concept.fit,
        "evidence": concept.evidence,
        "latents": {f"f{latent}": round(weight, 4) for latent, weight in concept.weights.items()},
    }


def _cell(hit: Hit, arrow: str) -> str:
    return f"{hit.rank}. {arrow}[bold]{escape(hit.id)}[/bold] {escape(first_line(hit.text, 60))}"


def _arrow(hit: Hit) -> str:
    if hit.rank_before is None:
        return "[green]new[/green] "
    moved = hit.rank_before - hit.rank
    if not moved:
        return "[dim]=[/dim] "
    return f"[green]▲{moved}[/green] " if moved > 0 else f"[red]▼{-moved}[/red] "


def _why(hit: Hit) -> str:
    if hit.rank_before == hit.rank or not hit.moved_by:
        return ""
    features = ", ".join(f"{part.steered:+.3f} {part.feature}" for part in hit.moved_by[:3])
    return f"\n[dim]   {escape(features)}[/dim]"


COLUMNS = {  # heading -> name of the figure
    "loss": "loss",
    "mse": "mse",
    "kl": "kl",
    "latent kl": "latent_kl",
    "l0": "l0",
    "fvu": "dev_fvu",
    "fvu queries": "dev_fvu_queries",
    "alive": "dev_alive",
    "retention": "dev_retention",
}
"""The first are those of the training step, the others are measured on held-out queries."""
MAX_ROWS = 12

Show = Callable[..., None]


@contextmanager
def training_table() -> Iterator[Show]:
    """A function ``show(stage, done, total, figures)``, for `train(progress=…)`.

    On a terminal: a bar per stage with the time left, and a table whose last row is the step of this moment. Elsewhere,
    as in a log file: one line per measurement.
    """
    rows: list[list[str]] = []
    bars = make_bars(stderr)
    tasks: dict[str, object] = {}

    def cells(step: int, figures: dict[str, float]) -> list[str]:
        values = (figures.get(name) for name in COLUMNS.values())
        return [str(step), *("" if value is None else f"{value:.4g}" for value in values)]

    def table(current: list[str] | None) -> Table:
        out = Table("step", *COLUMNS, box=None, pad_edge=False, header_style="bold")
        for row in [*rows[-MAX_ROWS:], *([current] if current else [])]:
            out.add_row(*row)
        return out

    live = Live(bars, console=stderr, transient=False, refresh_per_second=4) if stderr.is_terminal else None

    def show(stage: str, done: int, total: int, figures: dict[str, float] | None = None) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total, figures="")
        bars.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]
        current = None
        if stage == "train" and figures:
            row = cells(done, figures)
            if "dev_retention" in figures:
                rows.append(row)
                if live is None:
                    shown = zip(COLUMNS, row[1:], strict=True)
                    stderr.print(f"step {done} of {total}: " + ", ".join(f"{n} {v}" for n, v in shown if v))
            else:
                current = row
        if live:
            live.update(Group(table(current), bars) if rows or current else bars)

    if live is None:
        yield show
    else:
        with live:
            yield show
