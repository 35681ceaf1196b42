"""The kinds of files that hold many documents: each reader yields rows and keeps few in memory."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import DataError
from .records import field, id_field, read_json_lines, read_lines, read_table
from .rows import Row

_NAMED = frozenset({"_id", "id", "text", "query"})
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,14}")


def read_json_rows(path: Path, text_column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a .jsonl file: ``{"_id" | "id", "title"?, "text", "query"?, "metadata"?, ...}``.

    The line number stands in for a missing id. Other fields, the title and what ``metadata`` holds are the metadata.

    Raises:
        DataError: A line is not a JSON object or has no text.
    """
    for place, number, record in read_json_lines(path):
        yield record_row(record, text_column or "text", place, number)


def read_csv_rows(path: Path, text_column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a .csv file with a header.

    The text column is ``text``, else the only column that is no id, title or query; ``_id`` or ``id``, ``title`` and
    ``query`` are optional, and the line number stands in for a missing id. Other columns and the title are the
    metadata; cells that are whole or decimal numbers become numbers.

    Raises:
        DataError: There is no text column, or a line has more or fewer fields than the header.
    """
    names, records = read_table(path, ",")
    column = text_column_of(path, names, text_column)
    if any(mark in column for mark in ";\t|"):  # another separator: everything looks like one column
        raise DataError(f"{path}: the header {column!r} is not separated by commas: save the table with commas")
    for place, number, record in records:
        row = record_row(record, column, place, number)
        yield row._replace(metadata={name: _number(cell) for name, cell in row.metadata.items() if cell != ""})


def read_text_rows(path: Path) -> Iterator[Row]:
    """Yield one row per line of a .txt file; the id is the line number.

    Raises:
        DataError: The file is binary or not UTF-8.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if "\0" in line:
            raise DataError(f"{path}, line {number} is binary: expected text")
        yield Row(str(number), line.strip())


def text_column_of(path: Path, names: Sequence[str], chosen: str | None) -> str:
    """Which column of a table holds the text: the chosen one, else ``text``, else the only one that may.

    Raises:
        DataError: There is no such column, or it is not clear which; the message has all their names.
    """
    if chosen is not None:
        if chosen.strip().lower() not in names:
            raise DataError(f"{path} has no column {chosen!r}, only {', '.join(names)}: choose the one with the text")
        return chosen.strip().lower()
    others = [name for name in names if name not in ("_id", "id", "title", "query")]
    if "text" in names or len(others) != 1:
        if "text" not in names:
            raise DataError(
                f"{path} has no text column, only {', '.join(names)}: name one text, or choose with --text-column"
            )
        return "text"
    return others[0]


def record_row(record: Mapping[str, object], column: str, place: str, number: int) -> Row:
    """A record with named fields as a row.

    Raises:
        DataError: It has no text, or title, text or query is no string.
    """
    text = _with_title(field(record, "title", place), field(record, column, place, required=True))
    rest = {name: value for name, value in record.items() if name != column}
    return Row(id_field(record) or str(number), text, field(record, "query", place), _metadata(rest))


def _metadata(record: Mapping[str, object]) -> dict[str, object]:
    """What is left of a record when id, text and query are taken out."""
    rest = {name: value for name, value in record.items() if name not in _NAMED}
    inner = rest.get("metadata")
    if isinstance(inner, dict):
        del rest["metadata"]
        rest |= inner
    if not rest.get("title", ""):
        rest.pop("title", None)
    return rest


def _number(cell: object) -> object:
    """A cell as the number that it spells, but only where nothing is lost: ``007`` and ``1e5`` stay text."""
    text = str(cell)
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else cell


def _with_title(title: str, text: str) -> str:
    """Join title and text as the BEIR baselines do: ``title + ". " + text`` where both are there."""
    if not title.strip():
        return text
    return f"{title}. {text}" if text.strip() else title
