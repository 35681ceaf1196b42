"""Sections of documents, such as pages and headings, and the readers of plain text and Markdown."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .front_matter import split_front_matter
from .readers import decode

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_LONGEST_HEADING = 200
"""Most characters of a heading in metadata, because every chunk below it repeats it."""


class Section(NamedTuple):
    """One part of a document's text, so that a chunk of it can name its place."""

    start: int
    """Position of its first character."""
    metadata: Mapping[str, object]
    """Metadata of chunks that begin in it: ``{"page": 3}`` or ``{"heading": "Install > Linux"}``."""
    apart: bool = False
    """Whether every chunk must end where it begins."""


Content = tuple[str, tuple[Section, ...], dict[str, object]]
"""Text, sections and metadata of a file that is one document."""


def read_text(path: Path, data: bytes) -> Content:
    """Decode a text file, see `decode`."""
    return decode(path, data), (), {}


def read_markdown(path: Path, data: bytes) -> Content:
    """Decode a Markdown file, see `decode`; every heading begins a section, and front matter is metadata."""
    metadata, text = split_front_matter(decode(path, data))
    return text, markdown_sections(text), metadata


def markdown_sections(text: str) -> tuple[Section, ...]:
    """Return a section for every heading of a Markdown text, ``#`` or underlined, outside of fenced code."""
    return headings(_markdown_headings(text))


def headings(found: Iterator[tuple[int, int, str]]) -> tuple[Section, ...]:
    """Return sections of (start, level, title). Each is named by its own heading and the headings above it.

    Levels are 1 to 6, so at most six headings name a section. See `short_heading` for long ones.

    >>> headings(iter([(0, 1, "Install"), (20, 2, "Linux"), (40, 2, "Windows")]))[2].metadata
    {'heading': 'Install > Windows'}
    """
    above: list[tuple[int, str]] = []
    sections = []
    for start, level, title in found:
        above = [(outer, name) for outer, name in above if outer < level]
        above.append((level, short_heading(title)))
        sections.append(Section(start, {"heading": " > ".join(name for _, name in above)}))
    return tuple(sections)


def short_heading(title: str) -> str:
    """Return a heading or a title as it is, or its first 199 characters and ``…`` when it has more than 200."""
    return title if len(title) <= _LONGEST_HEADING else title[: _LONGEST_HEADING - 1].rstrip() + "…"


def _markdown_headings(text: str) -> Iterator[tuple[int, int, str]]:
    position, before, fence = 0, "", ""
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if mark := _FENCE.match(bare):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not bare.strip(" `~"):
                fence = ""
            before = ""
        elif fence:
            before = ""
        elif (found := _ATX.match(bare)) and (title := _title(found[2])):
            yield position, len(found[1]), title
            before = ""
        elif before.strip() and (found := _SETEXT.match(bare)):
            yield position - len(before), 1 if found[1][0] == "=" else 2, before.strip()
            before = ""
        else:
            # Only the last line of a paragraph can be underlined; a list or a table is no paragraph.
            before = line if not bare.lstrip().startswith(("-", "*", "+", ">", "|")) else ""
        position += len(line)


def _title(text: str) -> str:
    """Return a heading without the ``#`` that may close it."""
    text = text.rstrip(" \t")
    bare = text.rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else text
