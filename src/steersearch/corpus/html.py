"""HTML as text (extra ``files``): paragraphs, headings and the title, without scripts, styles and navigation.

Beautiful Soup with Python's own parser is pure Python, so it installs everywhere, and it finds the encoding that a page
declares. Its speed does not matter: embedding a page takes a hundred times as long as parsing it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from .readers import encoding_mark
from .sections import Content, headings

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_DROPPED = ("noscript", "template", "svg", "nav", "title")
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_BLANKS = re.compile(r"\s+")


def read_html(path: Path, data: bytes) -> Content:
    """Return a page's text with a blank line between blocks, its headings, and its title as metadata.

    Raises:
        DataError: The page is binary or cannot be parsed.
    """
    from bs4 import BeautifulSoup

    if not encoding_mark(data) and b"\0" in data:
        raise DataError(f"{path} is binary: expected HTML")
    try:
        with warnings.catch_warnings():
            # Beautiful Soup guesses that some pages are XML or file names.
            warnings.simplefilter("ignore")
            soup = BeautifulSoup(data, "html.parser")
        title = _BLANKS.sub(" ", soup.title.get_text()).strip() if soup.title else ""
        for tag in soup.find_all(_DROPPED):
            tag.decompose()
        for tag in soup.find_all("br"):
            tag.replace_with("\n")
        blocks = list(_blocks(soup))
    except (RecursionError, ValueError, AssertionError) as error:  # html.parser raises the last one
        raise DataError(f"{path} cannot be parsed as HTML ({error or type(error).__name__}): save it anew") from error
    found, pieces, position = [], [], 0
    for level, text in blocks:
        if level:
            found.append((position, level, _BLANKS.sub(" ", text)))
        pieces.append(text)
        position += len(text) + 2
    return "\n\n".join(pieces), headings(iter(found)), {"title": title} if title else {}


def _blocks(soup: BeautifulSoup) -> Iterator[tuple[int, str]]:
    """Yield (level of the heading or 0, text) of every block that has text of its own."""
    last: Tag | None = None
    parts: list[str] = []
    for string in soup.strings:
        block = next((tag for tag in string.parents if tag.name in _BLOCKS), None)
        if block is not last:
            yield from _block(last, parts)
            last, parts = block, []
        parts.append(string)
    yield from _block(last, parts)


def _block(tag: Tag | None, parts: list[str]) -> Iterator[tuple[int, str]]:
    name = tag.name if tag is not None else ""
    whole = "".join(parts)
    lines = [_BLANKS.sub(" ", line).strip() for line in whole.split("\n") if line.strip()]
    text = whole.strip("\r\n") if name == "pre" else "\n".join(lines)
    if text.strip():
        yield int(name[1]) if re.fullmatch("h[1-6]", name) else 0, text.strip()
