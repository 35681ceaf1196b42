"""Front matter of Markdown files: the metadata between ``---`` lines (YAML) or ``+++`` lines (TOML) at their start.

Only what people write there is parsed: plain and quoted scalars, lists, and indented text. Tags, anchors and nested
mappings of YAML stay text, so nothing is constructed, and no file can be damaged by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from textwrap import dedent

from .columns import number_of

_OPENING = re.compile(r"(---|\+\+\+)[ \t]*\r?\n")
_CLOSING = {"---": re.compile(r"^(?:---|\.\.\.)[ \t]*\r?$", re.M), "+++": re.compile(r"^\+\+\+[ \t]*\r?$", re.M)}
_NAME = r"""("[^"\n]+"|'[^'\n]+'|[^\s"'\[\]{}:=#&*!|>%@`,?-][^:=\n]*?)"""
_KEY = {"---": re.compile(_NAME + r"[ \t]*:(?=\s|$)(.*)"), "+++": re.compile(_NAME + r"[ \t]*=(.*)")}
_ITEM = re.compile(r"\s*-(?:\s+(.*))?$")
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'"""
_QUOTED_SCALAR = re.compile(rf"({_QUOTED})(?:\s+#.*)?\s*", re.S)
_ITEMS = re.compile(rf"""\s*({_QUOTED}|[^,\[\]{{}}"']+)\s*(?:,|(?=\]))""")
_END = re.compile(r"\s*\](?:\s+#.*)?\s*", re.S)
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[+-]?")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}
_TEXTS = frozenset({"id", "_id", "title", "text", "query"})
"""Keys whose values are never numbers, as in tables."""
_OURS = frozenset({"source", "chunk", "start", "end", "page", "heading", "front_matter"})
"""Keys of the metadata of a chunk. In front matter they become ``front_matter.source`` and so on."""


def split_front_matter(text: str) -> tuple[dict[str, object], str]:
    """Return the front matter of a Markdown text and the rest; nothing and the whole text when there is none.

    What cannot be parsed is kept whole, as `front_matter`.
    """
    opening = _OPENING.match(text)
    closing = opening and _CLOSING[opening[1]].search(text, opening.end())
    if not opening or not closing:
        return {}, text
    inside, body = text[opening.end() : closing.start()], text[closing.end() :].lstrip("\r\n")
    lines = [line.rstrip() for line in inside.split("\n")]
    written = [line for line in lines if line and not line.startswith("#")]
    key = _KEY[opening[1]]
    if written and (not key.match(written[0]) or _is_prose(lines, key)):
        return {}, text
    found: dict[str, object] = {}
    broken = False
    for name, value, below in _entries(lines, key):
        name = str(_quoted(name)) if name[:1] in ("'", '"') else name
        broken |= not name or name in found
        if name and name not in found:
            found[name] = _value(name, value, below)
    found = {f"front_matter.{name}" if name in _OURS else name: value for name, value in found.items()}
    if not found.get("title", ""):
        found.pop("title", None)
    return (found | {"front_matter": inside.strip()} if broken else found), body


def _is_prose(lines: list[str], key: re.Pattern[str]) -> bool:
    """Tell whether a text follows after a blank line: the second ``---`` is then a line across the page."""
    blank = False
    for line in lines:
        if blank and line and not line[0].isspace() and not line.startswith(("#", "-")) and not key.match(line):
            return True
        blank |= not line
    return False


def _entries(lines: list[str], key: re.Pattern[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (key, value on its line, lines below) of every entry; the key is empty for a line that belongs nowhere."""
    entry: tuple[str, str, list[str]] | None = None
    for line in lines:
        if match := key.match(line):
            if entry:
                yield entry
            entry = (match[1], match[2].strip(), [])
        elif entry and (not line or line[0].isspace() or line.startswith(("- ", "]"))):
            entry[2].append(line)
        elif line and not line.startswith("#"):
            yield "", line, []
    if entry:
        yield entry


def _value(name: str, value: str, below: list[str]) -> object:
    """Return the value of an entry: a scalar, a list, or the text below it."""
    below = [line for line in below if line] if not _BLOCK.fullmatch(value) else below
    if not below:
        return _scalar(name, value)
    if _BLOCK.fullmatch(value):
        text = dedent("\n".join(below)).strip("\n")
        return text if value[0] == "|" else " ".join(text.split())
    if value:
        return _scalar(name, " ".join([value, *(line.strip() for line in below)]))
    items = [_ITEM.match(line) for line in below]
    if all(items):
        return [_scalar(name, item[1] or "") for item in items if item]
    return dedent("\n".join(below))


def _scalar(name: str, text: str) -> object:
    text = text.strip()
    if text.startswith(('"', "'")) and (found := _quoted(text)) is not None:
        return found
    if text.startswith("["):
        return _list(name, text)
    text = _COMMENT.sub("", text).strip()
    if name.lower() in _TEXTS:
        return text
    number = number_of(text)
    return number if number is not None else _WORDS.get(text.lower(), text)


def _list(name: str, text: str) -> object:
    """Return a list of scalars (``[a, "b, c"]``); one that nests or is not closed stays text."""
    items: list[object] = []
    position = 1
    while not _END.fullmatch(text, position):
        match = _ITEMS.match(text, position)
        if match is None or (match[1][0] not in "\"'" and _COMMENT.search(match[1])):
            return text
        items.append(_scalar(name, match[1]))
        position = match.end()
    return items


def _quoted(text: str) -> str | None:
    """Return the content of a quoted scalar, None when it is not closed."""
    # From its start, for a comment behind it may hold quotes, and it may hold what looks like a comment.
    if match := _QUOTED_SCALAR.fullmatch(text):
        text = match[1]
    if len(text) < 2 or text[-1] != text[0]:
        return None
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text[1:-1]
