"""How hits and concepts look on the terminal and as JSON, and what goes to stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ..json_values import finite_json
from ..text import one_line, visible, visible_json
from .console import console, harmless, stderr
from .highlights import highlights_json, marked_sentence

if TYPE_CHECKING:
    from ..runtime import Concept, Features, Hit, Part, SteeredQuery, TermValue


def print_json(value: Any) -> None:
    """Print one JSON document on stdout.

    Control characters and what hides from a reader are escapes in it; it is ASCII where stdout is not UTF-8. NaN and
    infinity, which JSON does not have, are null.
    """
    ascii = not console.encoding.startswith("utf")
    console.file.write(
        visible_json(json.dumps(finite_json(value), ensure_ascii=ascii, allow_nan=False, indent=1)) + "\n"
    )
    console.file.flush()


def print_request(steered: SteeredQuery) -> None:
    """Print what was read of the query's text, on one line; nothing where it was not asked for."""
    if steered.request is not None:
        console.print(f"understood: {steered.request}", soft_wrap=True)


def print_concepts(steered: SteeredQuery, features: Features) -> None:
    """Print what each key of a boost, clamp or exclusion became, and how much of the query is left if it moved."""
    concepts = [(f"{strength:+.3g} ×", concept) for concept, strength in steered.boosted]
    concepts += [(f"{value:.3g} at", concept) for concept, value in steered.clamped]
    concepts += [("without", concept) for concept in steered.excluded]
    for how, concept in concepts:
        best = ", ".join(str(features[latent]) for latent in list(concept.weights)[:3])
        more = " …" if len(concept.weights) > 3 else ""
        count = "1 feature" if len(concept.weights) == 1 else f"{len(concept.weights)} features"
        sure = "" if concept.source in ("latents", "label") or concept.fit is None else f" (fit {concept.fit:.2f})"
        console.print(f"{how} {concept.name} = {count}{sure}: {best}{more}", style="dim")
    for one in steered.removed:
        console.print(f"removed {one.name} from query and documents", style="dim")
    if steered.removed or not steered.change.empty:
        console.print(f"keeps {steered.alone.kept:.2f} of the query", style="dim")


def print_hits(hits: Sequence[Hit], terms: Mapping[str, Sequence[TermValue]] | None = None) -> None:
    """Print a line per hit, one for its place where that is known, and one for what its score is the sum of.

    With highlights also the sentence that made it match.

    `terms` are those of the hits' ids.
    """
    if not hits:
        console.print("nothing found")
    for hit in hits:
        console.print(harmless(f"{hit.rank:>3}  {hit.score:.3f}  ", (hit.id, "bold"), f"  {excerpt(hit.text, 78)}"))
        if place := _place(hit):
            console.print(f"            {place}", style="dim", soft_wrap=True)
        if found := (terms or {}).get(hit.id):
            console.print(f"            {_sum_of(found)}", style="dim", soft_wrap=True)
        if hit.sentence and hit.words:
            console.print(Text("            ").append_text(marked_sentence(hit.words)), soft_wrap=True)


def _sum_of(terms: Sequence[TermValue]) -> str:
    """Return what the query and each concept add to a score, ``-0.02 query, -0.31 + radio astronomy``."""
    signs = ["" if term.name == "query" else "+ " if term.weight > 0 else "− " for term in terms]
    return ", ".join(f"{term.value:+.2f} {sign}{visible(term.name)}" for sign, term in zip(signs, terms, strict=True))


def excerpt(text: str, width: int) -> str:
    """Return the beginning of a text on one line, harmless, at most `width` columns of a terminal wide."""
    line = Text(visible(one_line(text, width)))
    line.truncate(width, overflow="ellipsis")
    return line.plain


def _place(hit: Hit) -> str:
    """Return where a hit is in its file, ``guide.pdf, page 3, characters 1,200 to 2,100``; empty when not known."""
    found, parts = hit.metadata, [hit.title] if hit.title and hit.is_later_chunk else []
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
    """Print two columns, with an arrow for how far each steered hit moved, and the features that moved it."""
    table = Table(show_edge=False, pad_edge=False, expand=True)
    for title in ("plain", "steered"):
        table.add_column(title, ratio=1, no_wrap=True, overflow="ellipsis")
    for i in range(max(len(plain), len(steered))):
        left = _cell(plain[i]) if i < len(plain) else ""
        table.add_row(left, _steered_cell(steered[i]) if i < len(steered) else "")
    console.print(table)


def _cell(hit: Hit, *arrow: tuple[str, str]) -> Text:
    return harmless(f"{hit.rank}. ", *arrow, (hit.id, "bold"), f" {excerpt(hit.text, 60)}")


def _steered_cell(hit: Hit) -> Text:
    """Return a hit with the way it moved, below it the features that moved it, and the sentence that made it match."""
    lines = [_cell(hit, _arrow(hit))]
    if hit.rank_before != hit.rank and hit.moved_by:
        features = ", ".join(f"{part.steered:+.3f} {part.feature}" for part in hit.moved_by[:3])
        lines.append(harmless((f"   {features}", "dim")))
    if hit.sentence and hit.words:
        lines.append(Text("   ").append_text(marked_sentence(hit.words)))
    return Text("\n").join(lines)


def _arrow(hit: Hit) -> tuple[str, str]:
    if hit.rank_before is None:
        return "new ", "green"
    moved = hit.rank_before - hit.rank
    if not moved:
        return "= ", "dim"
    return (f"▲{moved} ", "green") if moved > 0 else (f"▼{-moved} ", "red")


def hit_json(hit: Hit) -> dict[str, Any]:
    """Return a hit as JSON values."""
    body = {
        "rank": hit.rank,
        "id": hit.id,
        "document": hit.document,
        "title": hit.title,
        "score": hit.score,
        "text": hit.text,
        "metadata": hit.metadata,
        "rank_before": hit.rank_before,
        "moved_by": [part_json(part) | {"steered": part.steered} for part in hit.moved_by],
    }
    return body | ({} if hit.words is None else highlights_json(hit.words))


def part_json(part: Part) -> dict[str, Any]:
    """Return a part of a score as JSON values."""
    return {
        "feature": part.feature.name,
        "label": part.feature.label,
        "score": part.feature.score,
        "steers": part.feature.steers,
        "contribution": part.contribution,
        "before": part.before,
        "after": part.after,
    }


def term_json(term: TermValue) -> dict[str, Any]:
    """Return what the query or a concept adds to a score as JSON values."""
    return {
        "condition": term.name,
        "weight": term.weight,
        "presence": term.presence,
        "contribution": term.value,
        "by_words": term.words,
    }


def concept_json(concept: Concept, strength: float | None = None) -> dict[str, Any]:
    """Return what a key of a boost, clamp or exclusion became as JSON values; an exclusion has no strength."""
    return {
        "concept": concept.name,
        "source": concept.source,
        "strength": strength,
        "fit": concept.fit,
        "evidence": concept.evidence,
        "latents": {f"f{latent}": round(weight, 4) for latent, weight in concept.weights.items()},
    }


def report_problems(problems: Mapping[str, str], total: int, what: str = "files") -> None:
    """Print a line for every reason why files could not be read, from file -> reason and the number of all files."""
    if not problems:
        return
    stderr.print(f"{len(problems):,} of {total:,} {what} could not be read:")
    reasons: dict[str, list[str]] = {}
    for name, reason in problems.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        more = f"{names[0]} and {len(names) - 1:,} more: " if len(names) > 1 else ""
        stderr.print(f"  {more}{reason}", soft_wrap=True)


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Let loggers report errors only, inside ``with``."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
