"""Pieces of HTML: texts of documents made harmless, bars, marked words, tables.

There is no script, no style sheet and no address in it, so that a notebook shows it before it is trusted. Colours are
translucent over the notebook's own, and text keeps the notebook's colour: that reads on light and on dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..text import one_line, visible

FOR, AGAINST = "rgba(42,120,214,.75)", "rgba(214,96,32,.8)"
"""Colours of what adds to a score and of what takes from it."""
BAR = 64
"""Pixels of the longest bar of a table."""
_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"
_FAINT = "opacity:.7"


def plain(text: str, width: int | None = None) -> str:
    """Return a text as HTML shows it: on one line, cut at `width` characters, whatever it holds."""
    return escape(visible(one_line(text, width)))


def faint(html: str) -> str:
    """Return HTML in the colour of what is less important."""
    return f'<span style="{_FAINT}">{html}</span>'


def bar(value: float, largest: float) -> str:
    """Return a bar as long as the share of `value` in `largest`, in the colour of its sign; empty for 0 and NaN."""
    # `not >`: also for NaN.
    if not largest > 0 or not abs(value) > 0:
        return ""
    width = max(1, round(BAR * min(abs(value) / largest, 1.0)))
    colour = FOR if value > 0 else AGAINST
    return f'<span style="display:inline-block;height:.7em;width:{width}px;background-color:{colour}"></span>'


def longest(values: Iterable[float]) -> float:
    """Return the largest absolute value, for `bar`; 0 without any."""
    return max((abs(value) for value in values if value == value), default=0.0)


def marked(text: str, spans: Sequence[tuple[int, int]], width: int) -> str:
    """Return the part of a text around its first marked words, at most `width` characters, with the words marked.

    Args:
        text: Of a document.
        spans: First character of each marked word and its last plus one, in reading order.
        width: Characters.
    """
    start = max(0, spans[0][0] - width // 4) if spans and spans[0][1] > width else 0
    end = min(len(text), start + width)
    if end < len(text):  # between two words, where there are any
        end = max(text.rfind(" ", start + width // 2, end), 0) or end
    made, at = ["… " if start else ""], start
    for first, last in spans:
        if at <= first and last <= end:
            made.append(_piece(text[at:first]))
            made.append(f'<b style="background-color:rgba(42,120,214,.25)">{_piece(text[first:last])}</b>')
            at = last
    return "".join([*made, _piece(text[at:end]), " …" if end < len(text) else ""])


def _piece(text: str) -> str:
    """Return a piece of a text on one line, its blanks at both ends kept."""
    line = " ".join(text.split())
    before, after = text[:1].isspace(), text[-1:].isspace()
    return escape(visible(f"{' ' * before}{line}{' ' * (after and bool(line))}"))


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """Return a table of cells that are HTML already; columns that are empty in all rows are left out.

    Args:
        caption: HTML above the table.
        headings: One per column, HTML; all empty for a table without a head.
        rows: One cell per column.
        note: HTML below the table.
    """
    found = [list(row) for row in rows]
    kept = [i for i in range(len(headings)) if any(row[i] for row in found)]
    head = "".join(f'<th style="{_CELL}">{headings[i]}</th>' for i in kept)
    lines = "".join(f"<tr>{''.join(f'<td style={_quoted(_CELL)}>{row[i]}</td>' for i in kept)}</tr>" for row in found)
    top = f"<thead><tr>{head}</tr></thead>" if any(headings) and found else ""
    body = f'<table style="border-collapse:collapse;color:inherit">{top}<tbody>{lines}</tbody></table>' if found else ""
    below = f"<div>{faint(note)}</div>" if note else ""
    return f"<div><div><b>{caption}</b></div>{body}{below}</div>"


def _quoted(style: str) -> str:
    return f'"{style}"'
