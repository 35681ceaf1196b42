"""Features for other programs: a table of all of them, or the graph of one."""

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
from ..bundle.bundle import Bundle
from ..bundle.features import Feature, Features
from ..bundle.interpretation import Entry, Pattern

_LINE, _COLUMN, _CHARACTER = 34, 40, 7.2


@dataclass
class Node:
    """Words that fit at one place, after the places above it."""

    words: tuple[str, ...]
    weight: float = 0.0
    """Activation with the words from the root to here, in typical units; 0 where no pattern ends."""
    support: int = 0
    """Sentences of the patterns that go through here."""
    children: list[Node] = field(default_factory=list)


def build_trie(patterns: Sequence[Pattern]) -> Node:
    """Merge patterns that begin with the same place.

    Args:
        patterns: The place that matters most comes first in each.
    """
    root = Node(())
    for pattern in patterns:
        node = root
        node.support += pattern.support
        for words in pattern.tokens:
            child = next((c for c in node.children if c.words[0] == words[0]), None)
            if child is None:
                child = Node(words)
                node.children.append(child)
            else:
                child.words = tuple(dict.fromkeys([*child.words, *words]))
            child.support += pattern.support
            node = child
        node.weight = max(node.weight, pattern.weight)
    return root


def to_json(entry: Entry, title: str | None = None) -> dict[str, Any]:
    """The trie of a feature as nested plain values; `title` in place of its label."""
    return {
        "feature": entry.name,
        "label": title or entry.title,
        "trie": _plain(build_trie(entry.patterns))["children"],
    }


def _plain(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {"words": list(node.words), "support": node.support}
    if node.weight:
        found["activation"] = round(node.weight, 4)
    return found | {"children": [_plain(child) for child in node.children]}


def to_dot(entry: Entry, title: str | None = None) -> str:
    """The trie of a feature in Graphviz' language: ``dot -Tsvg f412.dot``."""
    lines = ["digraph {", '  rankdir=LR; node [shape=box, style=rounded, fontname="sans-serif"];']
    lines.append(f"  n0 [label={_quoted(f'{entry.name}: {title or entry.title}')}, style=bold];")
    count = 0

    def visit(node: Node, parent: int) -> None:
        nonlocal count
        for child in node.children:
            count += 1
            mine = count
            said = " | ".join(child.words) + (f"\n{child.weight:.2f}" if child.weight else "")
            lines.append(f"  n{mine} [label={_quoted(said)}];")
            lines.append(f'  n{parent} -> n{mine} [label="{child.support}"];')
            visit(child, mine)

    visit(build_trie(entry.patterns), 0)
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def to_svg(entry: Entry, title: str | None = None) -> str:
    """The trie of a feature as a picture: one line per leaf, read from left to right."""
    boxes: list[str] = []
    depth_width: list[float] = []
    root = build_trie(entry.patterns)
    _measure(root.children, 0, depth_width)
    title = f"{entry.name}: {title or entry.title}"
    left = [12 + len(title) * _CHARACTER + 16 + _COLUMN]
    for width in depth_width:
        left.append(left[-1] + width + _COLUMN)

    def place(node: Node, depth: int, line: float) -> tuple[float, float]:
        """Draw what is below a node; its own height, and the first free line."""
        heights = []
        for child in node.children:
            height, line = place(child, depth + 1, line)
            heights.append(height)
        if not heights:
            heights, line = [line], line + _LINE
        height = (heights[0] + heights[-1]) / 2
        x = left[depth - 1] if depth else 12.0
        right = x + (depth_width[depth - 1] if depth else len(title) * _CHARACTER + 16)
        for other in heights if node.children else []:
            bend = (right + left[depth]) / 2
            boxes.append(
                f'<path d="M{right:.0f} {height:.0f}C{bend:.0f} {height:.0f} {bend:.0f} {other:.0f} {left[depth]:.0f} '
                f'{other:.0f}"/>'
            )
        said = title if depth == 0 else _said(node)
        boxes.append(
            f'<rect x="{x:.0f}" y="{height - 13:.0f}" width="{right - x:.0f}" height="26" rx="6"/>'
            f'<text x="{x + 8:.0f}" y="{height + 5:.0f}">{escape(said)}</text>'
        )
        return height, line

    _, end = place(root, 0, 24.0)
    style = (
        "rect{fill:#f4f6f8;stroke:#8a97a5}path{fill:none;stroke:#8a97a5}"
        "text{font:13px system-ui,sans-serif;fill:#1b2733}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left[-1]:.0f}" height="{end:.0f}" '
        f'role="img" aria-label="{escape(title)}"><style>{style}</style>{"".join(boxes)}</svg>\n'
    )


def _measure(nodes: Sequence[Node], depth: int, widths: list[float]) -> None:
    for node in nodes:
        if depth == len(widths):
            widths.append(0.0)
        widths[depth] = max(widths[depth], len(_said(node)) * _CHARACTER + 16)
        _measure(node.children, depth + 1, widths)


def _said(node: Node) -> str:
    words = " | ".join(node.words[:4]) + (" …" if len(node.words) > 4 else "")
    return f"{words}  {node.weight:.2f}" if node.weight else words


COLUMNS = (
    *("name", "label", "score", "unclear", "guess", "pattern_score", "density", "mean", "p95", "max"),
    *("renamed", "hidden", "family", "note", "keywords", "examples"),
)


def export_features(features: Features, out: Path) -> None:
    """Write one line per feature, in the order of their ids, hidden ones too.

    Args:
        features: Of a bundle, as people edited them.
        out: A name that ends in .csv, with lists as texts with semicolons; or in .jsonl.

    Raises:
        ConfigError: Another ending.
        StorageError: The file cannot be written.
    """
    rows = [_row(feature) for feature in features]
    if out.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        _write(out, text.getvalue())
    elif out.suffix == ".jsonl":
        _write(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        raise ConfigError(
            f"{out} ends in {out.suffix!r}: all features are written as .csv or .jsonl; for .json, .dot and .svg name "
            "one feature"
        )


def export_feature(bundle: Bundle, key: int | str, out: Path) -> None:
    """Write what makes a feature fire, its Neuron-to-Graph patterns as a trie.

    Args:
        bundle: A bundle that was interpreted.
        key: Latent or label.
        out: A name that ends in .json, .dot (Graphviz) or .svg.

    Raises:
        UnknownFeatureError: No such feature.
        ConfigError: Another ending, or nothing is known that makes it fire.
        BundleError: The bundle was never interpreted.
        StorageError: The file cannot be written.
    """
    feature = bundle.features.get(key)
    if out.suffix not in (".json", ".dot", ".svg"):
        raise ConfigError(
            f"{out} ends in {out.suffix!r}: one feature is written as .json, .dot or .svg; for .csv and .jsonl name "
            "none"
        )
    if bundle.interpretation is None:
        raise BundleError(
            f"{bundle.path} was never interpreted: sae features label --bundle {bundle.path} --data docs.jsonl"
        )
    entry = bundle.interpretation.entries[feature.id]
    if not entry.patterns:
        raise ConfigError(f"no words are known that make {feature} fire, so there is no graph of it")
    if out.suffix == ".json":
        _write(out, json.dumps(to_json(entry, feature.label), ensure_ascii=False, indent=1) + "\n")
    else:
        _write(out, to_dot(entry, feature.label) if out.suffix == ".dot" else to_svg(entry, feature.label))


def _row(feature: Feature) -> dict[str, Any]:
    return {name: getattr(feature, name) for name in COLUMNS}


def _cell(value: Any) -> Any:
    return "; ".join(" ".join(text.split()) for text in value) if isinstance(value, tuple) else value


def _write(out: Path, text: str) -> None:
    """By rename, so that there is never half a file."""
    try:
        replace_file(out, text.encode(errors="replace"))  # half a surrogate pair is text that no file can hold
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot write {out} ({reason}): give a file in a folder that exists") from error
