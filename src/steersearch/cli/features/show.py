"""`sae features show`: one feature on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .._common import BundlePath, Json, console, first_line, print_json, stderr
from ._passage import one_line
from ._table import as_json, frequency_bar

if TYPE_CHECKING:
    from ...runtime import Bundle, Feature, Features
    from ...runtime.interpret.detection import Score
    from ...runtime.interpret.entries import Entry, Interpretation

TOP, NEAR_MISSES, QUERIES, PATTERNS, OTHERS = 8, 3, 3, 5, 3
MARGIN = 13
"""Columns of the headings at the left."""
Row = tuple[str, Text]


def show(
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="f412, or its label.")],
    bundle: BundlePath = Path("bundle"),
    json: Json = False,
) -> None:
    """What is known about one feature: how well its label holds, how often it fires, and on what.

    In passages the words are marked without which it would fire less, and underlined the shortest span that makes it
    fire. `--json` has all of it. Example: `sae features show f412`
    """
    from ...runtime import Bundle

    opened = Bundle.load(bundle)
    shown = opened.features.get(feature)
    found = opened.interpretation
    if json:
        from ...runtime.interpret.entries import entry_to_json

        print_json(as_json(shown) | {"interpretation": entry_to_json(found.entries[shown.id]) if found else None})
        return
    rows = [*_names(shown, opened.features), *(_interpreted(shown, found, opened.features) if found else _plain(shown))]
    if not found and shown.p95:
        rows += _similar(opened, shown)
    console.print(f"[bold]{escape(str(shown))}[/bold]")
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", width=MARGIN - 1, no_wrap=True)
    # Without a limit, rich makes room for long lines by cutting the headings.
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(20, console.width - MARGIN))
    for heading, text in rows:
        table.add_row(heading, text)
    console.print(table)
    if not found:
        stderr.print(f"[dim]more: sae features label --bundle {escape(str(bundle))} --data docs.jsonl[/dim]")


def _names(feature: Feature, features: Features) -> Iterator[Row]:
    """What people did to it, and what it would be called otherwise."""
    before = features.unedited[feature.id]
    if feature.renamed or feature.hidden:
        yield "hidden" if feature.hidden else "renamed", Text(f"before: {before.label or before.guess or 'no label'}")
    elif feature.guess:
        yield "best guess", Text(feature.guess)
    if feature.family:
        yield "family", Text(feature.family)
    if feature.note:
        yield "note", Text(first_line(feature.note, 400))


def _plain(feature: Feature) -> Iterator[Row]:
    """From the reference corpus of the export alone."""
    yield "frequency", _frequency(feature.density, "documents of the reference corpus")
    if feature.p95:
        yield "activation", Text(f"mean {feature.mean:.2f}, typical {feature.p95:.2f}, largest {feature.max:.2f}")
    yield from _block("words", [Text(", ".join(feature.keywords))] if feature.keywords else [])
    yield from _block("strongest", [Text(first_line(example, 400)) for example in feature.examples])


def _interpreted(feature: Feature, found: Interpretation, features: Features) -> Iterator[Row]:
    entry = found.entries[feature.id]
    if not feature.renamed:
        yield "label", _score(entry.score)
    yield "patterns", _score(entry.pattern_score)
    fires = f"documents of {found.corpus}; fires on {entry.fires:,} of {found.documents:,}"
    yield "frequency", _frequency(entry.active / max(found.documents, 1), fires)
    if entry.active:
        median, upper, high, typical, largest = entry.quantiles
        parts = f"half {median:.2f}, 75 % {upper:.2f}, 90 % {high:.2f}, typical {typical:.2f}, largest {largest:.2f}"
        yield "activation", Text(parts)
    yield from _block("fires on", [_pattern(*each) for each in _patterns(entry)])
    width, styled = console.width - MARGIN - 6, console.is_terminal
    strongest = [Text(f"{p.activation:5.2f} ").append(one_line(p, width, styled=styled)) for p in entry.top[:TOP]]
    yield from _block("strongest", strongest)
    near = [Text("      ").append(one_line(p, width, styled=styled)) for p in entry.near_misses[:NEAR_MISSES]]
    yield from _block("not on", near)
    yield from _block("queries", [Text(f"{value:5.2f} {first_line(q, 400)}") for q, value in entry.queries[:QUERIES]])
    yield from _block("fires with", _others(entry.companions, features, "×{:.1f}"))
    yield from _block("similar", _others(entry.similar, features, "{:.2f}"))


def _score(score: Score | None) -> Text:
    from ...runtime.features import short
    from ...runtime.interpret.entries import CHANCE

    if score is None:
        return Text("not measured: it fires on no held-out document")
    found = (
        f"AUC {short(score.auc)} on held-out documents: {score.positives} on which it fires, against near misses "
        f"{short(score.auc_near)}, against random ones {short(score.auc_random)}"
    )
    return Text(found if score.p_value <= CHANCE else f"{found}; may be chance, p = {score.p_value:.2f}")


def _frequency(share: float, of: str) -> Text:
    if not share:
        return Text(f"{frequency_bar(0)} never active on the {of}")
    return Text(f"{frequency_bar(share)} active on {share:.2%} of the {of}")


def _patterns(entry: Entry) -> list[tuple[str, float, int]]:
    return [(str(pattern), pattern.weight, pattern.support) for pattern in entry.patterns[:PATTERNS]]


def _pattern(words: str, weight: float, support: int) -> Text:
    return Text(f"{weight:5.2f} ").append(words, "bold").append(f"  in {support}" if support > 1 else "", "dim")


def _others(others: tuple[tuple[int, float], ...], features: Features, form: str) -> list[Text]:
    shown = [(features[latent], value) for latent, value in others if not features[latent].hidden]
    return [Text(f"{form.format(value):>5} {feature}") for feature, value in shown[:OTHERS]]


def _similar(opened: Bundle, feature: Feature) -> Iterator[Row]:
    found = opened.features.similar(feature.id, OTHERS)
    yield from _block("similar", [Text(f"{each.cosine:5.2f} {each.feature}") for each in found])


def _block(heading: str, lines: list[Text]) -> Iterator[Row]:
    """Lines under one heading, which stands at the first."""
    yield from ((heading if i == 0 else "", line) for i, line in enumerate(lines))
