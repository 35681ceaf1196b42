"""Rows, and the readers of sources with many documents: each yields rows and keeps few of them in memory."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .readers import field, id_field, read_json_lines, read_lines, read_table
from .sections import Section

_NAMED = frozenset({"_id", "id", "text", "query"})
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,14}")


class Row(NamedTuple):
    """One document as its source has it. Blank and duplicate ones are not removed yet."""

    id: str
    text: str
    query: str = ""
    """A question that this document answers; empty when the source has none."""
    metadata: Mapping[str, object] = {}
    """All other fields of the source."""
    sections: tuple[Section, ...] = ()
    """Its pages and headings."""
    made_up: bool = False
    """Whether the id is a position or a path and not the source's own."""


def read_json_rows(path: Path, text_column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a .jsonl file: ``{"_id" | "id", "title"?, "text", "query"?, "metadata"?, ...}``.

    The line number replaces a missing id. The title, the content of ``metadata`` and all other fields are the metadata.

    Raises:
        DataError: A line is not a JSON object or has no text.
    """
    for place, number, record in read_json_lines(path):
        yield record_row(record, text_column or "text", place, number)


def read_csv_rows(path: Path, text_column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a .csv file with a header.

    The text column is ``text``, else the only column that is no id, title or query. ``_id`` or ``id``, ``title`` and
    ``query`` are optional. The line number replaces a missing id. The title and all other columns are the metadata;
    whole and decimal numbers become numbers.

    Raises:
        DataError: There is no text column, or a line has more or fewer fields than the header.
    """
    names, records = read_table(path, ",")
    column = text_column_of(path, names, text_column)
    # With another separator the whole header looks like one column.
    if any(mark in column for mark in ";\t|"):
        raise DataError(f"{path}: the header {column!r} is not separated by commas: save the table with commas")
    for place, number, record in records:
        row = record_row(record, column, place, number)
        yield row._replace(metadata={name: _number(cell) for name, cell in row.metadata.items() if cell != ""})


def read_text_rows(path: Path) -> Iterator[Row]:
    """Yield one row per line of a .txt file, its id the line number; raise a `DataError` where it is binary."""
    for number, line in enumerate(read_lines(path), start=1):
        if "\0" in line:
            raise DataError(f"{path}, line {number} is binary: expected text")
        yield Row(str(number), line.strip(), made_up=True)


def read_objects(items: Iterable[object]) -> Iterator[Row]:
    """Yield one row for each text or document in memory, for example of LangChain's loaders and text splitters.

    Args:
        items: Strings, whose ids are their positions from 0; or objects with `page_content`, `metadata` and `id`. An
            object without an id gets one of its content, see `content_id`: the same in every call, whatever else is in
            it.

    Raises:
        DataError: An item is neither.
    """
    numbers: Counter[str] = Counter()
    for position, item in enumerate(items):
        if isinstance(item, str):
            yield Row(str(position), item, made_up=True)
            continue
        text, metadata = getattr(item, "page_content", None), getattr(item, "metadata", None)
        if not isinstance(text, str) or not isinstance(metadata, Mapping):
            kind = type(item).__name__
            raise DataError(f"item {position} of the texts is a {kind}: expected a string or a document of LangChain")
        id = getattr(item, "id", None)
        yield Row(content_id(text, metadata, numbers) if id is None else str(id), text, metadata=metadata)


def content_id(text: str, metadata: Mapping[str, object], numbers: Counter[str]) -> str:
    """Return an id of a document's content: its `source` with a checksum, ``notes.md#0123456789abcdef``, or that alone.

    Documents that are equal get the same id in every call. `numbers` counts them within one: the second ends in ``-2``.
    """
    try:
        content = json.dumps([text, metadata], sort_keys=True, default=str)
    # Keys of several types, or a loop: whoever stores the document refuses its metadata with the reason.
    except (TypeError, ValueError, RecursionError):
        content = json.dumps([text, sorted(map(str, metadata))])
    checksum = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    source = metadata.get("source")
    id = f"{source}#{checksum[:16]}" if isinstance(source, str) and source else checksum[:32]
    numbers[id] += 1
    return id if numbers[id] == 1 else f"{id}-{numbers[id]}"


def text_column_of(path: Path, names: Sequence[str], chosen: str | None) -> str:
    """Return the column of a table that holds the text: the chosen one, else ``text``, else the only candidate.

    Raises:
        DataError: There is no such column, or there are several candidates. The message has the names of all columns.
    """
    if chosen is not None:
        if chosen.strip().lower() not in names:
            raise DataError(f"{path} has no column {chosen!r}, only {', '.join(names)}: choose the one with the text")
        return chosen.strip().lower()
    others = ["text"] if "text" in names else [name for name in names if name not in ("_id", "id", "title", "query")]
    if len(others) != 1:
        raise DataError(
            f"{path} has no text column, only {', '.join(names)}: name one text, or choose with --text-column"
        )
    return others[0]


def record_row(record: Mapping[str, object], column: str, place: str, number: int) -> Row:
    """Turn a record with named fields into a row.

    Raises:
        DataError: It has no text, or its title, text or query is not a string.
    """
    title, text = field(record, "title", place), field(record, column, place, required=True)
    if title.strip():
        # As the BEIR baselines join them.
        text = f"{title}. {text}" if text.strip() else title
    rest = {name: value for name, value in record.items() if name != column}
    id = id_field(record)
    return Row(id or str(number), text, field(record, "query", place), _metadata(rest), made_up=not id)


def _metadata(record: Mapping[str, object]) -> dict[str, object]:
    rest = {name: value for name, value in record.items() if name not in _NAMED}
    inner = rest.get("metadata")
    if isinstance(inner, dict):
        del rest["metadata"]
        rest |= inner
    if not rest.get("title", ""):
        rest.pop("title", None)
    return rest


def _number(cell: object) -> object:
    """Turn a cell into a number where nothing is lost: ``007`` and ``1e5`` stay text."""
    text = str(cell)
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else cell
