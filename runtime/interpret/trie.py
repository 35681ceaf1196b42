"""The patterns of one latent as a trie: as JSON, for Graphviz, and as a picture without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from .entries import Entry, Pattern

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
