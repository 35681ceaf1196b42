"""Where the parts of a document begin: pages and headings, so that a chunk can say where it comes from."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")


class Section(NamedTuple):
    """One part of a document's text."""

    start: int
    """The character where it begins."""
    metadata: Mapping[str, object]
    """What a chunk that begins in it says about its place: ``{"page": 3}`` or ``{"heading": "Install > Linux"}``."""
    apart: bool = False
    """Whether no chunk may reach into it from what stands before."""


def markdown_sections(text: str) -> tuple[Section, ...]:
    """The headings of a Markdown text, ``#`` or underlined, outside of fenced code."""
    return headings(_markdown_headings(text))


def headings(found: Iterator[tuple[int, int, str]]) -> tuple[Section, ...]:
    """Sections of (start, level, title): each is called by its own heading and those above it.

    >>> headings(iter([(0, 1, "Install"), (20, 2, "Linux"), (40, 2, "Windows")]))[2].metadata
    {'heading': 'Install > Windows'}
    """
    above: list[tuple[int, str]] = []
    sections = []
    for start, level, title in found:
        above = [(outer, name) for outer, name in above if outer < level]
        above.append((level, title))
        sections.append(Section(start, {"heading": " > ".join(name for _, name in above)}))
    return tuple(sections)


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
        elif (found := _ATX.match(bare)) and found[2]:
            yield position, len(found[1]), found[2]
            before = ""
        elif before.strip() and (found := _SETEXT.match(bare)):
            yield position - len(before), 1 if found[1][0] == "=" else 2, before.strip()
            before = ""
        else:  # only the last line of a paragraph counts as underlined; a list or a table is none
            before = line if not bare.lstrip().startswith(("-", "*", "+", ">", "|")) else ""
        position += len(line)
