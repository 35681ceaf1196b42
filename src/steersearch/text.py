"""What every part needs of plain text: where sentences end, what a word is, and how to show a text on one line."""

import re

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n")
"""Splits a text between its sentences and its paragraphs."""
WORD = re.compile(r"\w[\w'-]*")
"""Words with their hyphens and apostrophes, numbers too."""


def one_line(text: str, width: int) -> str:
    """A text on one line, at most `width` characters; what does not fit is cut and ends in an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
