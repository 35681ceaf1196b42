"""A passage on one line, with the words that matter marked."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from ...runtime.interpret.entries import Passage

STYLES = ((0.5, "bold black on yellow"), (0.2, "bold yellow"), (0.05, "yellow"))
"""From this saliency on, this style. A word is marked when without it a twentieth of the activation is lost."""
DECISIVE = STYLES[1][0]
"""From here on a word stands between asterisks where there are no styles, as in a file."""


def one_line(passage: Passage, width: int, *, styled: bool) -> Text:
    """The part of a passage around what matters most.

    Args:
        passage: The passage.
        width: Characters of it, without the marks.
        styled: Mark by styles, the shortest span that makes the latent fire by a line below; else with asterisks.
    """
    start, stop = _window(passage, width)
    text = Text("…" if start else "")
    edges = {start, stop, *(edge for a, b, _ in passage.spans for edge in (a, b)), *(passage.minimal or ())}
    cuts = sorted(edge for edge in edges if start <= edge <= stop)
    marked = False
    for a, b in pairwise(cuts):
        saliency = max((share for first, last, share in passage.spans if first <= a and b <= last), default=0.0)
        if not styled and (saliency >= DECISIVE) != marked:
            marked = not marked
            text.append("*")
        within = passage.minimal is not None and passage.minimal[0] <= a and b <= passage.minimal[1]
        style = next((style for least, style in STYLES if saliency >= least), "")
        text.append(re.sub(r"\s+", " ", passage.text[a:b]), f"{style} underline" if within else style)
    text.append(("*" if marked else "") + ("…" if stop < len(passage.text) else ""))
    return text


def _window(passage: Passage, width: int) -> tuple[int, int]:
    size = len(passage.text)
    if size <= width:
        return 0, size
    first, last = passage.minimal or max(passage.spans, key=lambda span: span[2], default=(0, 0, 0.0))[:2]
    start = min(max(0, (first + last - width + 2) // 2), size - width + 2)
    if start < 2:
        return 0, width - 1
    return start, min(size, start + width - 2)
