"""The report: one HTML page about all features of a bundle, which needs no network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from ...errors import StorageError
from ...files import replace_file
from ...text import visible
from ..bundle.feature import Feature
from ..bundle.feature_tree import FeatureGroup
from ..bundle.features import Features
from ..bundle.interpretation import CHANCE, UNCLEAR, Entry, Interpretation, Passage, Pattern, Score
from .encoded_documents import FIRES
from .families import edited_tree, named_families

TOO_DENSE = 0.1
"""A latent that is active on a larger share of the documents distinguishes few of them."""
LENGTH = 240
"""Characters of a passage that are shown. With the limits below, 4,096 features make a page of about 10 MB."""
TOP, NEAR_MISSES, QUERIES, PATTERNS, WORDS = 5, 3, 3, 8, 4
"""Per feature: strongest passages, near misses, queries, patterns, and words at one place of a pattern."""
_PAGE = Path(__file__).with_name("page")
_PARTS = {"style": "report.css", "charts": "charts.js", "overview": "overview.js", "feature": "feature.js"}


def write_report(interpretation: Interpretation, features: Features, out: Path, *, title: str) -> None:
    """Write the report, by rename, without the hidden features.

    Raises:
        StorageError: It cannot be written; an existing file is unchanged.
    """
    data = _visible(report_data(interpretation, features))
    # Without "<" nothing inside the block can end or open an element. JSON decodes the escape.
    block = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    values = {"title": html.escape(visible(title)), "summary": html.escape(_summary(data)), "data": block}
    values |= {name: _read(file) for name, file in _PARTS.items()}
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _read("report.html"))
    try:
        # A lone surrogate cannot be encoded.
        replace_file(out, page.encode(errors="replace"))
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error}; name a file in a folder that exists") from error


def report_data(interpretation: Interpretation, features: Features) -> dict[str, Any]:
    """Return the data of the page as plain values: figures of all features together, then a record of each."""
    shown = [entry for entry in interpretation.entries if not features[entry.latent].hidden]
    # A file may have no positions: then all are in the middle.
    positions = interpretation.positions or ((0.5, 0.5),) * len(features)
    records = [_record(entry, features[entry.latent], positions[entry.latent]) for entry in shown]
    alive = [record for record in records if record["fires"]]
    return {
        "corpus": interpretation.corpus,
        "documents": interpretation.documents,
        "hidden": len(interpretation.entries) - len(shown),
        "alive": len(alive),
        "clear": sum(record["label"] is not None for record in alive),
        "median_score": _median(record["score"] for record in alive),
        "median_pattern_score": _median(record["pattern_score"] for record in alive),
        "covered": [round(share, 4) for share in interpretation.covered],
        "limits": {"unclear": UNCLEAR, "chance": CHANCE, "too_dense": TOO_DENSE, "fires": FIRES},
        "families": [
            {"name": name, "members": list(members)}
            for name, members in named_families(features, interpretation).items()
        ],
        "tree": [_group(group) for group in edited_tree(features, interpretation)],
        "features": records,
    }


def _visible(value: Any) -> Any:
    """Return plain values whose strings do not hide characters or change the order of the text beside them."""
    if isinstance(value, str):
        return visible(value, lines=True)
    if isinstance(value, dict):
        return {key: _visible(held) for key, held in value.items()}
    return [_visible(held) for held in value] if isinstance(value, list | tuple) else value


def _record(entry: Entry, feature: Feature, position: tuple[float, float]) -> dict[str, Any]:
    label = feature.label if feature.renamed or not entry.unclear else None
    record: dict[str, Any] = {
        "id": entry.latent,
        "label": label,
        "renamed": feature.renamed,
        "automatic": entry.label if entry.label != label else None,
        "source": entry.source,
        "note": feature.note,
        # The score is that of the automatic label, not of a user's label.
        "score": None if feature.renamed else _score(entry.score),
        "pattern_score": _score(entry.pattern_score),
        "steers": None if feature.steers is None else round(feature.steers, 4),
        "usefulness": round(feature.usefulness, 4),
        "description": feature.description,
        "fires": entry.fires,
        "active": entry.active,
        "at": [round(coordinate, 3) for coordinate in position],
    }
    if entry.active:
        typical = entry.quantiles[3] or 1.0
        record |= {
            "typical": float(f"{typical:.3g}"),
            "quantiles": [round(value / typical, 2) for value in entry.quantiles],
            "top": [_passage(passage) for passage in entry.top[:TOP]],
            "near_misses": [_passage(passage) for passage in entry.near_misses[:NEAR_MISSES]],
            "queries": [[_cut(text), round(value, 2)] for text, value in entry.queries[:QUERIES]],
            "companions": [[latent, round(lift, 1)] for latent, lift in entry.companions],
            "similar": [[latent, round(cosine, 2)] for latent, cosine in entry.similar],
            "patterns": [_pattern(pattern) for pattern in entry.patterns[:PATTERNS]],
        }
    return record


def _group(group: FeatureGroup) -> dict[str, Any]:
    """Return a group of the tree as plain values."""
    plain: dict[str, Any] = {"name": group.name, "share": group.share, "count": len(group.members)}
    if group.children:
        return plain | {"children": [_group(child) for child in group.children]}
    return plain | {"latents": list(group.latents)}


def _score(score: Score | None) -> list[float] | None:
    if score is None:
        return None
    shares = (score.auc, score.auc_near, score.auc_random, score.precision, score.recall)
    return [*(round(share, 4) for share in shares), float(f"{score.p_value:.2g}"), score.positives]


def _pattern(pattern: Pattern) -> list[Any]:
    return [[list(words[:WORDS]) for words in pattern.tokens], round(pattern.weight, 2), pattern.support]


def _passage(passage: Passage) -> list[Any]:
    return [passage.document, round(passage.activation, 2), _parts(passage)]


def _parts(passage: Passage) -> list[Any]:
    """Return the shown text in pieces: a string, or [string, saliency, 1 inside the minimal span and else 0].

    Offsets would not do: Python counts characters, JavaScript counts UTF-16 units.
    """
    start, stop = _window(passage)
    minimal = passage.minimal or (0, 0)
    edges = {start, stop, *minimal, *(edge for span in passage.spans for edge in span[:2])}
    inside = sorted(edge for edge in edges if start <= edge <= stop)
    parts: list[Any] = ["… "] if start else []
    for a, b in pairwise(inside):
        saliency = max((value for first, last, value in passage.spans if first <= a and b <= last), default=0.0)
        within = int(minimal[0] <= a and b <= minimal[1])
        parts.append([passage.text[a:b], round(saliency, 2), within] if saliency or within else passage.text[a:b])
    return [*parts, " …"] if stop < len(passage.text) else parts


def _window(passage: Passage) -> tuple[int, int]:
    """Return the characters to show: all, or about `LENGTH` around the most salient ones, cut between words."""
    size = len(passage.text)
    if size <= LENGTH:
        return 0, size
    first, last = passage.minimal or max(passage.spans, key=lambda span: span[2], default=(0, 0, 0.0))[:2]
    start = min(max(0, (first + last - LENGTH) // 2), size - LENGTH)
    stop = start + LENGTH
    if start:
        start = passage.text.find(" ", start, start + 30) + 1 or start
    if stop < size:
        stop = max(passage.text.rfind(" ", stop - 30, stop), 0) or stop
    return start, stop


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def _median(scores: Iterable[list[float] | None]) -> float | None:
    known = [score[0] for score in scores if score is not None]
    return round(median(known), 4) if known else None


def _summary(data: dict[str, Any]) -> str:
    return (
        f"{data['alive']:,} of {len(data['features']):,} features are alive on the {data['documents']:,} documents of "
        f"{data['corpus']}, {data['clear']:,} have a clear label."
    )


def _read(file: str) -> str:
    return (_PAGE / file).read_text(encoding="utf-8")
