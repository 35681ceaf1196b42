"""HTML as text (extra ``files``): paragraphs, headings and the title, without scripts, styles and navigation.

The tree is that of the HTML standard, built by selectolax.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from ..errors import DataError
from .html_bounds import check_page
from .readers import encoding_mark
from .sections import Content, headings, short_heading

_DROPPED = frozenset("noscript template svg nav title script style rt rp iframe noembed noframes".split())
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_BLANKS = re.compile(r"\s+")
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_XHTML = re.compile(r"\s*<\?xml\s|[^<]*(?:<![^<]*)*<html\s[^>]*xmlns\s*=", re.I)
_XML = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style)(?=[\s/>])[^<>]*(?<!/)>.*?(?:</\1|\Z)"
    r"|<!\[CDATA\[(?P<text>.*?)(?:\]\]>|\Z)"
    r"|<(?P<empty>[a-z][^\s/>]*)(?P<rest>[^<>]*)/>",
    re.I | re.S,
)
"""What XML reads otherwise than HTML does, after comments and scripts, in which nothing is such."""
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)|<meta[^>]{0,1000}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
_DECLARED_WITHIN = 4096
"""Bytes at the start of a page in which it may declare its encoding."""
_NO_PAGE = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
"""Encodings of Python that no page has; some are slow, some execute escapes."""


def read_html(path: Path, data: bytes) -> Content:
    """Return a page's text with a blank line between blocks, its headings, and its title as metadata.

    The encoding is that of the byte order mark, else the declared one, else UTF-8 or Windows-1252.

    Raises:
        DataError: The page is binary, or too deeply nested to be parsed in a moment.
    """
    if not encoding_mark(data) and b"\0" in data:
        raise DataError(f"{path} is binary: expected HTML")
    page = _as_html(_decode(data))
    check_page(path, page)
    titles: list[str] = []
    found, pieces, position = [], [], 0
    for block, whole in _blocks(page, titles):
        lines = [_BLANKS.sub(" ", line).strip() for line in whole.split("\n") if line.strip()]
        text = whole.strip() if block == "pre" else "\n".join(lines)
        if not text:
            continue
        if re.fullmatch("h[1-6]", block):
            found.append((position, int(block[1]), _BLANKS.sub(" ", text)))
        pieces.append(text)
        position += len(text) + 2
    title = short_heading(_BLANKS.sub(" ", titles[0]).strip()) if titles else ""
    return "\n\n".join(pieces), headings(iter(found)), {"title": title} if title else {}


def _blocks(page: str, titles: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every run of text in one block; append the titles to `titles`."""
    from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

    # Events copy the options of a select, in quadratic time. As in a browser with scripts, <noscript> holds one text.
    tree = LexborHTMLParser(page, options=LexborDocumentOptions.WO_EVENTS, scripting=True)
    # The open elements: address, number and name of the innermost block, whether the text is dropped.
    above: list[tuple[int, int, str, bool]] = [(0, 0, "", False)]
    current, parts = (0, ""), list[str]()
    for count, node in enumerate(tree.root.traverse(include_text=True) if tree.root else (), start=1):
        tag, parent = node.tag or "", node.parent
        outer = parent.mem_id if parent else 0
        while len(above) > 1 and above[-1][0] != outer:
            above.pop()
        _, number, block, dropped = above[-1]
        if tag in ("-text", "br"):
            if dropped:
                continue
            if (number, block) != current:
                yield current[1], "".join(parts)
                current, parts = (number, block), []
            parts.append("\n" if tag == "br" else node.text_content or "")
        elif node.is_element_node:
            if tag == "title" and not dropped:
                titles.append(node.text())
            if tag in _BLOCKS:
                number, block = count, tag
            above.append((node.mem_id, number, block, dropped or tag in _DROPPED))
    yield current[1], "".join(parts)


def _as_html(page: str) -> str:
    """Write what XML reads otherwise so that it is read as HTML: CDATA, and in XHTML elements that end with ``/>``."""
    xhtml = bool(_XHTML.match(page))

    def written(part: re.Match[str]) -> str:
        text, name = part["text"], part["empty"]
        if text is not None:
            return escape(text)
        return f"<{name}{part['rest']}></{name}>" if xhtml and name and name.lower() not in _VOID else part[0]

    return _XML.sub(written, page) if xhtml or "<![CDATA[" in page else page


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
