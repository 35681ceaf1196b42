"""HTML as text: paragraphs, headings and the title, without scripts, styles and navigation.

One pass finds the tags as browsers do, in linear time whatever is left open, and no tree is built. Only its own end tag
closes a tag, so that an unclosed ``<p>`` holds the paragraphs after it; for the text that is the same.
"""

from __future__ import annotations

import codecs
import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .readers import encoding_mark
from .sections import Content, headings

_DROPPED = frozenset("noscript template svg nav title script style rt rp".split())
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_RAW = frozenset("script style title textarea".split())
"""Elements whose content has no tags."""
_BLANKS = re.compile(r"\s+")
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_TAG_STOP = re.compile(r""">|=\s*(["'])""")
_LONG_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)|<meta[^>]{0,1000}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
_DECLARED_WITHIN = 4096
"""Bytes at the start of a page in which it may declare its encoding."""
_NO_PAGE = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Encodings of Python that no page has; some are slow, some execute escapes."""


class _Token(NamedTuple):
    kind: str
    """``text``, ``open`` or ``close``."""
    value: str
    """The text, or the name of the tag in lower case."""


def read_html(path: Path, data: bytes) -> Content:
    """Return a page's text with a blank line between blocks, its headings, and its title as metadata.

    The encoding is that of the byte order mark, else the declared one, else UTF-8 or Windows-1252.

    Raises:
        DataError: The page is binary.
    """
    if not encoding_mark(data) and b"\0" in data:
        raise DataError(f"{path} is binary: expected HTML")
    page = _Page()
    for token in _tokens(_decode(data)):
        page.add(token)
    page.end_block()
    title = _BLANKS.sub(" ", "".join(page.title)).strip()
    found, pieces, position = [], [], 0
    for level, text in page.blocks:
        if level:
            found.append((position, level, _BLANKS.sub(" ", text)))
        pieces.append(text)
        position += len(text) + 2
    return "\n\n".join(pieces), headings(iter(found)), {"title": title} if title else {}


class _Page:
    """The text of a page, block by block."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, str]] = []
        """(level of the heading or 0, text) of every block that has text of its own."""
        self.title: list[str] = []
        self._titles = 0
        # The open elements; and of each the number and the name of the innermost block.
        self._open: list[tuple[str, int, str]] = []
        self._names: Counter[str] = Counter()
        self._dropped = self._number = 0
        self._block: tuple[int, str] = (0, "")
        self._parts: list[str] = []

    def add(self, token: _Token) -> None:
        """Take the next tag or text."""
        kind, value = token
        if kind == "text":
            self._text(value)
        elif kind == "close":
            self._close(value)
        elif value == "br":
            self._text("\n")
        elif value not in _VOID:
            self._number += 1
            number, block = self._open[-1][1:] if self._open else (0, "")
            self._open.append((value, self._number, value) if value in _BLOCKS else (value, number, block))
            self._names[value] += 1
            self._dropped += value in _DROPPED
            self._titles += value == "title"

    def end_block(self) -> None:
        """Put what was gathered into `blocks`."""
        whole, name = "".join(self._parts), self._block[1]
        lines = [_BLANKS.sub(" ", line).strip() for line in whole.split("\n") if line.strip()]
        text = whole.strip("\r\n") if name == "pre" else "\n".join(lines)
        if text.strip():
            self.blocks.append((int(name[1]) if re.fullmatch("h[1-6]", name) else 0, text.strip()))
        self._parts = []

    def _text(self, text: str) -> None:
        if self._titles == 1 and self._names["title"]:
            self.title.append(text)
        if self._dropped:
            return
        block = self._open[-1][1:] if self._open else (0, "")
        if block != self._block:
            self.end_block()
            self._block = block
        self._parts.append(text)

    def _close(self, name: str) -> None:
        while self._names[name]:
            inner = self._open.pop()[0]
            self._names[inner] -= 1
            self._dropped -= inner in _DROPPED
            if inner == name:
                return


def _tokens(page: str) -> Iterator[_Token]:
    """Yield the tags and the text of a page; comments and declarations are left out."""
    position = 0
    while (at := page.find("<", position)) >= 0:
        yield from _text(page[position:at])
        tag = _TAG.match(page, at)
        if tag is None:
            position, text = _no_tag(page, at)
            yield from text
            continue
        name, end = tag[2].lower(), _tag_end(page, tag.end())
        if end < 0:
            # Nothing after it is a tag.
            yield from _text(page[at:])
            return
        position = end + 1
        if tag[1]:
            yield _Token("close", name)
            continue
        yield _Token("open", name)
        if page[end - 1] == "/" and name not in _VOID:
            yield _Token("close", name)
        elif name in _RAW:
            close = re.compile(rf"</{name}(?=[\s/>])", re.I).search(page, position)
            stop = close.start() if close else len(page)
            yield from _text(page[position:stop])
            position = stop
    yield from _text(page[position:])


def _text(text: str) -> Iterator[_Token]:
    if text:
        if "&" in text:
            text = html.unescape(_LONG_REFERENCE.sub("\ufffd", text))
        yield _Token("text", text)


def _no_tag(page: str, at: int) -> tuple[int, Iterator[_Token]]:
    """Return the end of a comment, a declaration or a lone ``<``, and its text."""
    nothing: Iterator[_Token] = iter(())
    if page.startswith("<!--", at):
        end = page.find("-->", at + 2)
        return (end + 3 if end >= 0 else len(page)), nothing
    if page.startswith("<![CDATA[", at):
        end = page.find("]]>", at)
        stop = end if end >= 0 else len(page)
        return min(stop + 3, len(page)), iter((_Token("text", page[at + 9 : stop]),))
    if page.startswith(("<!", "<?", "</"), at):
        end = page.find(">", at)
        return (end + 1 if end >= 0 else len(page)), nothing
    return at + 1, iter((_Token("text", "<"),))


def _tag_end(page: str, position: int) -> int:
    """Return the position of the ``>`` that ends a tag, -1 when there is none."""
    while stop := _TAG_STOP.search(page, position):
        if not stop[1]:
            return stop.start()
        close = page.find(stop[1], stop.end())
        position = close + 1 if close >= 0 else stop.end()
    return -1


def _decode(data: bytes) -> str:
    declared = _DECLARED.search(data[:_DECLARED_WITHIN])
    name = (declared[1] or declared[2]).decode("ascii", "replace") if declared else ""
    for encoding in (encoding_mark(data), _page_encoding(name), "utf-8", "windows-1252"):
        try:
            return data.decode(encoding or "utf-8")
        except UnicodeError:
            continue
    return data.decode("utf-8", "replace")


def _page_encoding(name: str) -> str | None:
    """Return Python's name of a declared encoding, None where a page cannot be written in it."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        return None
    # A declaration that could be read is not written in UTF-16 or UTF-32.
    usable = found._is_text_encoding and found.name not in _NO_PAGE and not found.name.startswith(("utf-16", "utf-32"))
    return found.name if usable else None
