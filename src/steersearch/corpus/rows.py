"""One document as its source has it."""

from collections.abc import Mapping
from typing import NamedTuple

from .sections import Section


class Row(NamedTuple):
    """One document as its file has it, before blanks and duplicates are dealt with."""

    id: str
    text: str
    query: str = ""
    """A question that this document answers; empty when the file has none."""
    metadata: Mapping[str, object] = {}
    """Everything else that the file says about it."""
    sections: tuple[Section, ...] = ()
    """Where its pages and headings begin."""
