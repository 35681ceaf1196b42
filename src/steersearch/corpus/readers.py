"""The kinds of files that hold documents: each reader yields rows and keeps no more than one in memory."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .records import field, id_field, read_json_lines, read_lines, read_table

_NAMED = frozenset({"_id", "id", "text", "query"})
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,14}")


class Row(NamedTuple):
    """One document as its file has it, before blanks and duplicates are dealt with."""

    id: str
    text: str
    query: str = ""
    """A question that this document answers; empty when the file has none."""
    metadata: Mapping[str, object] = {}
    """Everything else that the file says about it."""


def read_json_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a .jsonl file: ``{"_id" | "id", "title"?, "text", "query"?, "metadata"?, ...}``.

    The line number stands in for a missing id. Other fields, the title and what ``metadata`` holds are the metadata.

    Raises:
        DataError: A line is not a JSON object or has no text.
    """
    for place, number, record in read_json_lines(path):
        text = _with_title(field(record, "title", place), field(record, "text", place, required=True))
        yield Row(id_field(record) or str(number), text, field(record, "query", place), _metadata(record))


def read_csv_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a .csv file with a header.

    The text column is ``text``, else the only column that is no id, title or query; ``_id`` or ``id``, ``title`` and
    ``query`` are optional, and the line number stands in for a missing id. Other columns and the title are the
    metadata; cells that are whole or decimal numbers become numbers.

    Raises:
        DataError: There is no text column, or a line has more or fewer fields than the header.
    """
    names, records = read_table(path, ",")
    others = [name for name in names if name not in ("_id", "id", "title", "query")]
    if "text" not in names and len(others) != 1:
        raise DataError(f"{path} has no text column, only {', '.join(names)}: name one of them text")
    column = "text" if "text" in names else others[0]
    if any(mark in column for mark in ";\t|"):  # another separator: everything looks like one column
        raise DataError(f"{path}: the header {column!r} is not separated by commas: save the table with commas")
    for _, number, record in records:
        id_ = record.get("_id") or record.get("id") or str(number)
        text, rest = (
            _with_title(record.get("title", ""), record[column]),
            {k: v for k, v in record.items() if k != column},
        )
        yield Row(id_, text, record.get("query", ""), {k: _number(v) for k, v in _metadata(rest).items() if v != ""})


def read_text_rows(path: Path) -> Iterator[Row]:
    """Yield one row per line of a .txt file; the id is the line number."""
    for number, line in enumerate(read_lines(path), start=1):
        yield Row(str(number), line.strip())


def read_folder_rows(folder: Path) -> Iterator[Row]:
    """Yield one row per .txt or .md file of a folder and what is below it, sorted; the id is the path in the folder."""
    for path in text_files(folder):
        yield Row(path.relative_to(folder).as_posix(), "".join(read_lines(path)).strip())


def read_sequence_rows(texts: Iterable[object]) -> Iterator[Row]:
    """Yield one row per text that is in memory; the id is its position, from 0.

    Raises:
        DataError: An item is no string.
    """
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"item {number} of the texts is a {type(text).__name__}: expected a string")
        yield Row(str(number), text)


def text_files(folder: Path) -> list[Path]:
    """List the .txt and .md files of a folder and its sub-folders, in the same order on every machine."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in (".txt", ".md") and path.is_file()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


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
