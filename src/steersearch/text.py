"""Plain text: where sentences end, what a word is, and how a text fits on one line."""

import re

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n")
"""Splits a text between its sentences and its paragraphs."""
WORD = re.compile(r"\w[\w'-]*")
"""Words with their hyphens and apostrophes, numbers too."""
STEM, ENDING = 4, 3
"""Letters that two forms of a word share at least, and those in which they may differ at most."""


def one_line(text: str, width: int | None = None) -> str:
    """Return a text on one line. A line of more than `width` characters is cut and ends in an ellipsis."""
    line = " ".join(text.split())
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def shown(value: object, width: int = 80) -> str:
    """Return a value as messages show it: a text in quotes, its control characters escaped, `width` characters at most.

    Args:
        value: Anything; a text may be of any length.
        width: Characters, the ellipsis of a longer one included.
    """
    try:
        text = repr(value[: width + 1]) if isinstance(value, str) else " ".join(repr(value).split())
    # An integer of thousands of digits, or lists nested too deeply.
    except (ValueError, RecursionError):
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= width else text[: width - 1] + "…"


def first_line(text: str, default: str = "") -> str:
    """Return the first line of a text that is not blank, stripped; `default` when there is none."""
    return next((line.strip() for line in text.splitlines() if line.strip()), default)


def inflected(word: str, other: str) -> bool:
    """Return whether two words differ at most in their endings: `cell` and `cells`, `histone` and `histones`."""
    shared = 0
    for a, b in zip(word, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= STEM and max(len(word), len(other)) - shared <= ENDING
