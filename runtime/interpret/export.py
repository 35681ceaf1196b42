"""Files for other programs: a table of all features, or the patterns of one feature as a trie."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ...errors import BundleError, ConfigError, StorageError
from ...files import replace_file
from ...text import visible
from ..bundle.bundle import Bundle
from ..bundle.features import Features
from ..bundle.interpretation import Entry, Pattern

COLUMNS = (
    *("name", "label", "score", "unclear", "guess", "pattern_score", "steers", "inert"),
    *("density", "mean", "p95", "max", "renamed", "hidden"),
    *("family", "note", "keywords", "examples"),
)
"""Fields of a feature in the tables."""
LINE_HEIGHT, COLUMN_GAP, CHARACTER_WIDTH = 34, 40, 7.2
"""Of the SVG, in pixels."""


def export_features(features: Features, out: Path) -> None:
    """Write a table with one line per feature, in the order of their ids, hidden ones included.

    The name ends in .csv, where lists are joined by semicolons, or in .jsonl.

    Raises:
        ConfigError: Another ending.
        StorageError: The file cannot be written.
    """
    rows = [{name: getattr(feature, name) for name in COLUMNS} for feature in features]
    if out.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        _write(out, text.getvalue())
    elif out.suffix == ".jsonl":
        _write(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        known = "all features are written as .csv or .jsonl; for .json, .dot and .svg name one feature"
        raise ConfigError(f"{out} ends in {out.suffix!r}: {known}")


def export_feature(bundle: Bundle, key: int | str, out: Path) -> None:
    """Write the Neuron-to-Graph patterns of a feature as a trie, to .json, .dot (Graphviz) or .svg.

    Raises:
        UnknownFeatureError: No such feature.
        ConfigError: Another ending, or the feature has no patterns.
        BundleError: The bundle was never interpreted.
        StorageError: The file cannot be written.
    """
    feature = bundle.features.get(key)
    if out.suffix not in (".json", ".dot", ".svg"):
        known = "one feature is written as .json, .dot or .svg; for .csv and .jsonl name none"
        raise ConfigError(f"{out} ends in {out.suffix!r}: {known}")
    if bundle.interpretation is None:
        cure = f"sae features label --bundle {bundle.path} --data docs.jsonl"
        raise BundleError(f"{bundle.path} was never interpreted: {cure}")
    entry = bundle.interpretation.entries[feature.id]
    if not entry.patterns:
        raise ConfigError(f"no words are known that make {feature} fire, so there is no graph of it")
    if out.suffix == ".json":
        _write(out, json.dumps(to_json(entry, feature.label), ensure_ascii=False, indent=1) + "\n")
    else:
        _write(out, to_dot(entry, feature.label) if out.suffix == ".dot" else to_svg(entry, feature.label))


@dataclass
class TrieNode:
    """The words at one place of a pattern, below those of the places before it."""

    words: tuple[str, ...]
    weight: float = 0.0
    """Activation with the words from the root to here, in typical units; 0 where no pattern ends."""
    support: int = 0
    """Sentences of the patterns that go through here."""
    children: list[TrieNode] = field(default_factory=list)


def build_trie(patterns: Sequence[Pattern]) -> TrieNode:
    """Merge the patterns that start with the same place; the most salient one comes first in each."""
    root = TrieNode(())
    for pattern in patterns:
        node = root
        node.support += pattern.support
        for words in pattern.tokens:
            child = next((c for c in node.children if c.words[0] == words[0]), None)
            if child is None:
                child = TrieNode(words)
                node.children.append(child)
            else:
                child.words = tuple(dict.fromkeys([*child.words, *words]))
            child.support += pattern.support
            node = child
        node.weight = max(node.weight, pattern.weight)
    return root


def to_json(entry: Entry, title: str | None = None) -> dict[str, Any]:
    """Return the trie of a feature as nested plain values; `title` replaces its label."""
    trie = _plain(build_trie(entry.patterns))["children"]
    return {"feature": entry.name, "label": title or entry.title, "trie": trie}


def to_dot(entry: Entry, title: str | None = None) -> str:
    """Return the trie of a feature for Graphviz: ``dot -Tsvg f412.dot``."""
    lines = ["digraph {", '  rankdir=LR; node [shape=box, style=rounded, fontname="sans-serif"];']
    lines.append(f"  n0 [label={_quoted(f'{entry.name}: {title or entry.title}')}, style=bold];")
    count = 0

    def visit(node: TrieNode, parent: int) -> None:
        nonlocal count
        for child in node.children:
            count += 1
            number = count
            text = " | ".join(child.words) + (f"\n{child.weight:.2f}" if child.weight else "")
            lines.append(f"  n{number} [label={_quoted(text)}];")
            lines.append(f'  n{parent} -> n{number} [label="{child.support}"];')
            visit(child, number)

    visit(build_trie(entry.patterns), 0)
    return "\n".join([*lines, "}"]) + "\n"


def to_svg(entry: Entry, title: str | None = None) -> str:
    """Return the trie of a feature as an SVG image: one line per leaf, read from left to right."""
    boxes: list[str] = []
    depth_width: list[float] = []
    root = build_trie(entry.patterns)
    _measure_columns(root.children, 0, depth_width)
    title = visible(f"{entry.name}: {title or entry.title}")
    left = [12 + len(title) * CHARACTER_WIDTH + 16 + COLUMN_GAP]
    for width in depth_width:
        left.append(left[-1] + width + COLUMN_GAP)

    def draw(node: TrieNode, depth: int, line: float) -> tuple[float, float]:
        """Draw a node and its children; return its own height and the first free line."""
        heights = []
        for child in node.children:
            height, line = draw(child, depth + 1, line)
            heights.append(height)
        if not heights:
            heights, line = [line], line + LINE_HEIGHT
        height = (heights[0] + heights[-1]) / 2
        x = left[depth - 1] if depth else 12.0
        right = x + (depth_width[depth - 1] if depth else len(title) * CHARACTER_WIDTH + 16)
        for other in heights if node.children else []:
            bend = (right + left[depth]) / 2
            boxes.append(
                f'<path d="M{right:.0f} {height:.0f}C{bend:.0f} {height:.0f} {bend:.0f} {other:.0f} {left[depth]:.0f} '
                f'{other:.0f}"/>'
            )
        text = title if depth == 0 else _node_text(node)
        boxes.append(
            f'<rect x="{x:.0f}" y="{height - 13:.0f}" width="{right - x:.0f}" height="26" rx="6"/>'
            f'<text x="{x + 8:.0f}" y="{height + 5:.0f}">{escape(text)}</text>'
        )
        return height, line

    _, end = draw(root, 0, 24.0)
    style = (
        "rect{fill:#f4f6f8;stroke:#8a97a5}path{fill:none;stroke:#8a97a5}"
        "text{font:13px system-ui,sans-serif;fill:#1b2733}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left[-1]:.0f}" height="{end:.0f}" '
        f'role="img" aria-label="{escape(title)}"><style>{style}</style>{"".join(boxes)}</svg>\n'
    )


def _plain(node: TrieNode) -> dict[str, Any]:
    plain: dict[str, Any] = {"words": list(node.words), "support": node.support}
    if node.weight:
        plain["activation"] = round(node.weight, 4)
    return plain | {"children": [_plain(child) for child in node.children]}


def _quoted(text: str) -> str:
    return '"' + visible(text, lines=True).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _measure_columns(nodes: Sequence[TrieNode], depth: int, widths: list[float]) -> None:
    for node in nodes:
        if depth == len(widths):
            widths.append(0.0)
        widths[depth] = max(widths[depth], len(_node_text(node)) * CHARACTER_WIDTH + 16)
        _measure_columns(node.children, depth + 1, widths)


def _node_text(node: TrieNode) -> str:
    words = " | ".join(node.words[:4]) + (" …" if len(node.words) > 4 else "")
    # XML allows no control characters.
    return visible(f"{words}  {node.weight:.2f}" if node.weight else words)


def _cell(value: Any) -> Any:
    return "; ".join(" ".join(text.split()) for text in value) if isinstance(value, tuple) else value


def _write(out: Path, text: str) -> None:
    try:
        # A lone surrogate cannot be encoded.
        replace_file(out, text.encode(errors="replace"))
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot write {out} ({reason}): give a file in a folder that exists") from error
