"""The columns of a table: which of them have a meaning, and which hold numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from ..text import shown
from .readers import doubled, listed

_IDS = ("_id", "id")
_TITLE, _TEXT, _QUERY = "title", "text", "query"
_NEVER_NUMBERS = frozenset({*_IDS, _TITLE, _TEXT, _QUERY})
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,17}")
_WHOLE_FLOAT = re.compile(r"(0|-?[1-9][0-9]{0,14})\.0")
_NO_NUMBER = frozenset({"nan", "NaN", "inf", "-inf", "Infinity", "-Infinity"})
"""How programs write numbers that JSON does not have."""


class Columns(NamedTuple):
    """The fields of a record that have a meaning, by name; ``""`` for one that is missing. All others are metadata."""

    text: str = _TEXT
    ids: tuple[str, ...] = _IDS
    """The first of these that is not empty is the id."""
    title: str = _TITLE
    query: str = _QUERY

    def with_text(self, name: str | None) -> Columns:
        """Return these with another text, which is then not a title or a query as well."""
        if name is None:
            return self
        title, query = ("" if name == other else other for other in (self.title, self.query))
        return self._replace(text=name, title=title, query=query)


def columns_of(path: Path, names: Sequence[str], chosen: str | None) -> Columns:
    """Find the columns of a table that have a meaning, in upper or lower case; no other name is changed.

    Args:
        path: The table, for messages.
        names: All column names.
        chosen: The column that holds the text. None takes ``text``, else the only column that is no id, title or query.

    Raises:
        DataError: There is no such column, there are several candidates, or two columns have the same name. The message
            has the names of the first columns.
    """
    if twice := doubled(filter(None, names)):
        raise DataError(f"{path} has two columns {shown(twice)} ({listed(names)}): rename one")
    ids = tuple(filter(None, (find_column(path, names, name) for name in _IDS)))
    title, query = (find_column(path, names, name) for name in (_TITLE, _QUERY))
    if chosen is not None:
        chosen = chosen.strip()
        if not (text := chosen if chosen in names else find_column(path, names, chosen)):
            raise DataError(f"{path} has no column {chosen!r}, only {listed(names)}: choose the one with the text")
    elif not (text := find_column(path, names, _TEXT, "choose with --text-column")):
        others = [name for name in names if name not in (*ids, title, query)]
        if len(others) != 1:
            raise DataError(
                f"{path} has no text column, only {listed(names)}: name one text, or choose with --text-column"
            )
        text = others[0]
    return Columns(_TEXT, ids, title, query).with_text(text)


def number_of(cell: str) -> int | float | None:
    """Return the number that a cell holds when it prints as the cell; None for ``007``, ``3.10`` and ``1e5``."""
    if _WHOLE.fullmatch(cell):
        return int(cell)
    return number if _DECIMAL.fullmatch(cell) and str(number := float(cell)) == cell else None


def numeric_columns(columns: Columns, names: Iterable[str], records: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Return the columns whose every cell is a number, by `number_of`, empty, or a name of no number (``NaN``).

    Titles, texts and queries never hold numbers. Ids do only where some are empty and all others end in ``.0``, as
    pandas writes integers with gaps. The records are read as long as a column may be one of numbers.
    """
    possible = {name for name in names if name.lower() not in _NEVER_NUMBERS} - {columns.text}
    found: set[str] = set()
    ids, gaps = set(columns.ids), set[str]()
    for record in records:
        if not possible and not ids:
            break
        for name in [name for name in ids if name in record]:
            if not record[name]:
                gaps.add(name)
            elif not _WHOLE_FLOAT.fullmatch(record[name]):
                ids.discard(name)
        for name in [name for name in possible if record.get(name)]:
            if number_of(record[name]) is not None:
                found.add(name)
            elif record[name] not in _NO_NUMBER:
                possible.discard(name)
    return frozenset(found & possible | ids & gaps)


def find_column(path: Path, names: Sequence[str], wanted: str, cure: str = "rename one") -> str:
    """Return the column with a name in upper or lower case, ``""`` when there is none; a `DataError` when two are."""
    found = [name for name in names if name.lower() == wanted.lower()]
    if len(found) > 1:
        both = " and ".join(found[:2])
        raise DataError(f"{path} has the columns {both}, which are both its {wanted.lower()}: {cure}")
    return found[0] if found else ""
