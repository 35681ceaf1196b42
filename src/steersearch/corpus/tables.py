"""Tables of text, .csv and .tsv, as records."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import DataError
from .lines import MAX_LINE, LongLine, read_lines
from .readers import TOO_LONG, listed

_MAX_FIELD = 2**31 - 1
"""Most characters in a field of a table: the largest limit that the csv module takes on every platform."""
_CELL_TEXT = re.compile(r'[^",;|\t\r\n]+(?:""[^",;|\t\r\n]*)*')
"""Text of a cell that does not decide where the cell ends; a doubled quote in it does not either."""
_INSIDE = re.compile(r'[^"]*(?:""[^"]*)*')
"""What comes before the end of quotes."""
_SEPARATOR = re.compile(r'"?sep=([,;|\t])"?[,;|\t]*\s*', re.I)
"""The line with which Excel names the separator of a table, before its header."""
_CURES = {
    "new-line": "a cell without quotes holds a carriage return: save the table with LF or CRLF line ends",
    "unexpected end": "unexpected end of data: close the quotes of its last cell",
}
"""Beginnings of messages of the csv module, and what is said instead."""
Cells = tuple[int, list[str] | None]
"""(line number, cells), None for a record that is too long."""


def read_table(
    path: Path, separator: str, *, names: Sequence[str] = ()
) -> tuple[list[str], Iterator[tuple[str, int, dict[str, str]]]]:
    """Open a .csv file (``,``, quotes allowed) or a .tsv file (tab, no quotes).

    Args:
        path: The file; it may end in .gz.
        separator: ``","`` or a tab. A .csv file may name another one in a line before its header, ``sep=;``.
        names: Names of the columns when the first line is no header. A line with none of these names is no header.

    Returns:
        The column names without blanks around them, and an iterator of (place for messages, line number, record). The
        record is `TOO_LONG` for one of more than `MAX_LINE` characters.

    Raises:
        DataError: The file is empty or cannot be read, or a line has more or fewer fields than the header.
    """
    # The default limit of 128 KiB refuses long documents. It belongs to the whole process, so it is never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    lines = _RecordLines(path)
    if separator == ",":
        # Without `strict` a quote that is never closed would take the rest of the file.
        reader = csv.reader(lines, delimiter=lines.named_separator() or separator, strict=True)
    else:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    body = _rows(path, reader, lines)
    first = next(body, None)
    if first is None:
        raise DataError(f"{path} is empty: expected a header and at least one line")
    if first[1] is None:
        raise DataError(f"{path}: its header is longer than {MAX_LINE >> 20} MiB: expected names of columns")
    header = [name.strip() for name in first[1]]
    if names and not set(names) & {name.lower() for name in header}:
        header, body = list(names), chain([first], body)
    return header, _records(path, header, body)


def _rows(path: Path, reader: Any, lines: _RecordLines) -> Iterator[Cells]:
    try:
        for cells in reader:
            # Spreadsheets end with rows of nothing but commas.
            if any(cells):
                yield lines.before + reader.line_num, None if lines.too_long else cells
            lines.next_record()
    except csv.Error as error:
        said = str(error)
        problem = next((cure for start, cure in _CURES.items() if said.startswith(start)), said)
        raise DataError(f"{path}, line {lines.before + reader.line_num}: {problem}") from error


def _records(path: Path, header: list[str], rows: Iterator[Cells]) -> Iterator[tuple[str, int, dict[str, str]]]:
    # Spreadsheets have columns without a name and without content.
    unnamed = [at for at, name in enumerate(header) if not name] if header.count("") > 1 else []
    for number, cells in rows:
        place = f"{path}, line {number}"
        if cells is None:
            yield place, number, TOO_LONG
            continue
        if len(cells) != len(header):
            raise DataError(f"{place} has {len(cells)} fields, expected {len(header)} ({listed(header)})")
        if unnamed and any(cells[at] for at in unnamed):
            raise DataError(f"{place} has a cell in a column without a name ({listed(header)}): name the column")
        yield place, number, dict(zip(header, cells, strict=True))


class _RecordLines:
    """The lines of a table for the csv module, which holds a whole record in memory.

    Of a record that is too long only those characters are handed on that decide where it ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: Iterator[str] = read_lines(path, _shape)
        self.before = 0
        """Lines before the header: 1 when the first one names the separator."""
        self._size = self._kept = 0
        self.too_long = False

    def named_separator(self) -> str | None:
        """Return the separator that the first line names, which is then no part of the table; None for another line."""
        line = next(self._lines, "")
        found = _SEPARATOR.fullmatch(line)
        if found:
            self.before = 1
            return found[1]
        self._lines = chain([line], self._lines)
        return None

    def next_record(self) -> None:
        """Begin with the next record."""
        self._size = self._kept = 0
        self.too_long = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            # The csv module asks for another line of a record only inside quotes.
            inside = self._size > 0
            self._size += len(line)
            if type(line) is LongLine or self._size > MAX_LINE:
                self.too_long = True
                line = _shape(_INSIDE.sub("", line, count=1) if inside else line)
                self._kept += len(line)
                if self._kept > MAX_LINE:
                    raise DataError(f"{self._path} has a record of more than {MAX_LINE >> 20} MiB: close its quotes")
            yield line


def _shape(text: str) -> str:
    return _CELL_TEXT.sub("x", text)
