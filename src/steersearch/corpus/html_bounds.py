"""Pages on which an HTML parser takes quadratic time or memory: they are refused before it sees them.

The parser looks through all open elements at many tags, as the HTML standard says. One linear pass over the tags counts
what would be open. It knows only the commonest elements that end by themselves, and counts rather too much.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError

MAX_DEPTH = 1000
"""Elements in each other; browsers stop at 512."""
MAX_ATTRIBUTES = 1000
"""Attributes of one tag."""
MAX_NAMES = 25_000
"""Different names of tags and of attributes in a page."""
MAX_COPIES = 1_000_000
"""Copies of formatting elements, which the standard opens anew in every later paragraph until they are closed."""

_NOT_NESTED = frozenset(
    "area base br col embed hr img input link meta param source track wbr html head body p a nobr option optgroup "
    "colgroup caption thead tbody tfoot tr td th".split()
)
"""Void elements, and those that end where the next one begins."""
_ITEMS = {"li": frozenset({"li"}), "dt": frozenset({"dt", "dd"}), "dd": frozenset({"dt", "dd"})}
_FORMATTING = frozenset("b big code em font i s small strike strong tt u".split())
_TOKEN = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    r"|<(script|style|title|textarea|noscript|iframe|noembed|noframes|xmp)(?=[\s/>]).*?(?:</\1(?=[\s/>])|\Z)"
    r"|<(/?)([a-z][^\s/>]*)",
    re.I | re.S | re.A,
)
_ATTRIBUTE = re.compile(r"""[\s/]*(=?[^\s/>=]*)(?:\s*=\s*(?:"[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s>"'][^\s>]*)?)?""", re.A)


def check_page(path: Path, page: str) -> None:
    """Pass over a page once.

    Raises:
        DataError: Elements are nested too deeply, a tag has too many attributes, there are too many different names, or
            too many formatting elements are left open.
    """
    stack: list[str] = []
    held: Counter[str] = Counter()
    formatting: list[tuple[str, str]] = []
    names: set[str] = set()
    copies, most = 0, MAX_COPIES + len(page) // 4
    for closing, name, attributes, whole in _tags(page):
        names.update(attributes, (f"<{name}",))
        _limit(path, len(set(attributes)), MAX_ATTRIBUTES, "attributes in one tag")
        _limit(path, len(names), MAX_NAMES, "different names of tags and attributes")
        if closing:
            _close(name, stack, held, formatting)
        elif name not in _NOT_NESTED:
            _end_item(name, stack, held)
            stack.append(name)
            held[name] += 1
            # Of equal ones the standard opens three anew.
            if name in _FORMATTING and formatting.count((name, whole)) < 3:
                formatting.append((name, whole))
            _limit(path, len(stack), MAX_DEPTH, "elements nested in each other")
        copies += len(formatting)
        _limit(path, copies, most, "copies of formatting elements that are left open")


def _limit(path: Path, value: int, limit: int, what: str) -> None:
    if value > limit:
        raise DataError(f"{path} has {value} {what}, more than {limit}: close its elements, or save the page as text")


def _close(name: str, stack: list[str], held: Counter[str], formatting: list[tuple[str, str]]) -> None:
    """Take an element and all inside it from the stack; a formatting element ends with its own tag only."""
    while held[name]:
        inner = stack.pop()
        held[inner] -= 1
        if inner == name:
            break
    if name in _FORMATTING:
        last = next((n for n in range(len(formatting) - 1, -1, -1) if formatting[n][0] == name), None)
        if last is not None:
            del formatting[last]


def _end_item(name: str, stack: list[str], held: Counter[str]) -> None:
    """End the item before this one where only formatting elements are open in it."""
    ends = _ITEMS.get(name, frozenset())
    for depth in range(len(stack) - 1, max(len(stack) - 10, -1), -1):
        if stack[depth] in ends:
            for _ in range(len(stack) - depth):
                held[stack.pop()] -= 1
        elif stack[depth] in _FORMATTING:
            continue
        return


def _tags(page: str) -> Iterator[tuple[bool, str, list[str], str]]:
    """Yield of every tag whether it closes, its name, the names of its attributes, and its text."""
    position = 0
    while token := _TOKEN.search(page, position):
        position = token.end()
        if not token[3]:
            continue
        attributes = []
        while (attribute := _ATTRIBUTE.match(page, position)) and attribute.end() > position:
            position = attribute.end()
            if attribute[1]:
                attributes.append(attribute[1].lower())
        yield bool(token[2]), token[3].lower(), attributes, page[token.start() : position]
