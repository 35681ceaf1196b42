"""Rows, and the readers of sources with many documents: each yields rows and keeps few of them in memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .columns import Columns, columns_of, number_of, numeric_columns
from .lines import MAX_LINE, LongLine, read_lines
from .readers import TOO_LONG, field, id_field, id_text, listed, read_json_lines, title_field
from .sections import Section
from .tables import read_table


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
    problem: str = ""
    """Why it could not be read. Such a row is left out and named at the end."""


def read_json_rows(path: Path, text_column: str | None = None, *, leave_out: Collection[str] = ()) -> Iterator[Row]:
    """Yield the rows of a .jsonl file: ``{"_id" | "id", "title"?, "text", "query"?, "metadata"?, ...}``.

    The line number replaces a missing id. The title, the content of ``metadata`` and all other fields are the metadata,
    with the types that they have in the file. A text of null is blank. Fields in `leave_out` are no metadata.

    Raises:
        DataError: A line is not a JSON object, has no text, or has a key twice.
    """
    columns = Columns().with_text(text_column)
    for place, number, record in read_json_lines(path):
        if record is TOO_LONG:
            yield _too_long(place, number)
            continue
        if leave_out:
            record = {name: value for name, value in record.items() if name not in leave_out}
        yield record_row(record, columns, place, number)


def read_csv_rows(path: Path, text_column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a .csv file with a header; see `columns_of` for the columns with a meaning.

    The line number replaces a missing id. The title and all other columns are the metadata. A column holds numbers when
    every cell is one and prints as the cell, else strings; so the file is read twice. Empty cells are left out.

    Raises:
        DataError: There is no text column, or a line has more or fewer fields than the header.
    """
    names, records = read_table(path, ",")
    columns = columns_of(path, names, text_column)
    # With another separator the whole header looks like one column.
    if any(mark in columns.text for mark in ";\t|"):
        raise DataError(f"{path}: the header {columns.text!r} is not separated by commas: save the table with commas")
    file = path.stat()
    numbers = _numbers_in(path, ",", columns, (file.st_ino, file.st_size, file.st_mtime_ns)).intersection
    for place, number, record in records:
        if record is TOO_LONG:
            yield _too_long(place, number)
            continue
        cells: dict[str, object] = {name: cell for name, cell in record.items() if cell or name == columns.text}
        for name in numbers(cells):
            cells[name] = number_of(record[name])
        yield record_row(cells, columns, place, number)


def read_text_rows(path: Path) -> Iterator[Row]:
    """Yield one row per line of a .txt file, its id the line number; raise a `DataError` where it is binary.

    A line ends with LF, CRLF or, as on old Macs, CR.
    """
    for number, line in enumerate(_universal_lines(path), start=1):
        if "\0" in line:
            raise DataError(f"{path}, line {number} is binary: expected text")
        if type(line) is LongLine:
            yield _too_long(f"{path}, line {number}", number)
        else:
            yield Row(str(number), line.strip(), made_up=True)


def _universal_lines(path: Path) -> Iterator[str]:
    for line in read_lines(path):
        if type(line) is LongLine or "\r" not in line:
            yield line
        else:
            # CRLF, also where it became CRCRLF, is one end.
            yield from line.rstrip("\r\n").split("\r")


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


def record_row(record: Mapping[str, object], columns: Columns, place: str, number: int) -> Row:
    """Turn a record with named fields into a row.

    Raises:
        DataError: It has no text, its title, text or query is not a string, its id is neither a string nor a number, or
            a key stands both in its `metadata` and beside it.
    """
    if columns.text not in record:
        raise DataError(f"{place} has no {columns.text}: it has {listed(record) or 'nothing'}")
    # A text of null counts as blank, and blank documents are left out.
    text = field(record, columns.text, place)
    title = title_field(record, columns.title, place) if columns.title else ""
    query = field(record, columns.query, place) if columns.query else ""
    if title.strip():
        # As the BEIR baselines join them.
        text = f"{title}. {text}" if text.strip() else title
    id = id_field(record, place, columns.ids)
    rest = dict(record)
    del rest[columns.text]
    if columns.query:
        rest.pop(columns.query, None)
    for name in columns.ids:
        # With `_id` and `id`, the one that is not the id is kept.
        if name in rest and (rest[name] in (None, "") or id_text(rest[name]) == id):
            del rest[name]
    if columns.title and columns.title in rest:
        if title:
            rest[columns.title] = title
        else:
            del rest[columns.title]
    return Row(id or str(number), text, query, _joined(rest, place), (), not id)


def _joined(rest: dict[str, object], place: str) -> dict[str, object]:
    """Return the fields with the content of `metadata` among them."""
    inner = rest.get("metadata")
    if not isinstance(inner, dict):
        return rest
    del rest["metadata"]
    if both := sorted(rest.keys() & inner.keys()):
        raise DataError(f"{place} has {both[0]!r} twice, in its metadata and beside it: rename one")
    return rest | inner


def _too_long(place: str, number: int) -> Row:
    problem = f"{place} is longer than {MAX_LINE >> 20} MiB: cut it into several documents"
    return Row(str(number), "", made_up=True, problem=problem)


@lru_cache(maxsize=16)
def _numbers_in(path: Path, separator: str, columns: Columns, stamp: tuple[int, ...]) -> frozenset[str]:
    """Read a table once for its columns of numbers. The stamp is another one when the file has changed."""
    names, records = read_table(path, separator)
    return numeric_columns(columns, names, (record for _, _, record in records))
