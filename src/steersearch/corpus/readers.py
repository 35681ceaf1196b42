"""The kinds of files that hold many documents: each reader yields rows and keeps few in memory."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .sections import Section


class Row(NamedTuple):
    """One document as its file has it, before blanks and duplicates are dealt with."""

    id: str
    text: str
    query: str = ""
    """A question that this document answers; empty when the file has none."""
    metadata: Mapping[str, object] = {}
    """Everything else that the file says about it."""
    sections: tuple[Section, ...] = ()
    """Where its pages and headings begin."""


_MAX_FIELD = 2**31 - 1
"""Longest field of a table in characters: the largest limit that the csv module takes on every platform."""


def kind_of(path: Path) -> str:
    """Tell the kind of a file by its name: ``"jsonl"`` for ``docs.JSONL.gz``, ``""`` for a name without a suffix."""
    return path.name.lower().removesuffix(".gz").rpartition(".")[2] if "." in path.name else ""


def first_file(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that a folder has."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def encodable(text: str) -> str:
    r"""Replace half surrogate pairs by ``?``: JSON can hold them (``"\ud83d"``), tokenizers and UTF-8 files cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line ends; ``.gz`` is unpacked, a byte order mark is dropped.

    Raises:
        DataError: The file is missing or unreadable, is not UTF-8, or its gzip stream is damaged.
    """
    number, descriptor = 0, -1
    try:
        # The generator owns the descriptor and not the stream: one that is given up half-way may be collected after its
        # stream, which would then complain that nobody closed it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", closefd=False) as stream:
            packed = path.suffix.lower() == ".gz"
            for number, raw in enumerate(gzip.GzipFile(fileobj=stream) if packed else stream, start=1):
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path}, line {number}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip stream is damaged after line {number} ({error}): make it again") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def read_json_lines(path: Path) -> Iterator[tuple[str, int, Mapping[str, object]]]:
    """Yield (place for messages, line number, object) for every non-blank line of a .jsonl file.

    Raises:
        DataError: A line is not a JSON object, or the file cannot be read.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not JSON ({error}): expected one object per line") from error
        if not isinstance(record, dict):
            raise DataError(f"{place} is a JSON {type(record).__name__}: expected an object")
        yield place, number, record


def field(record: Mapping[str, object], name: str, place: str, *, required: bool = False) -> str:
    """Take a string out of a JSON object; a missing one or null is ``""`` unless it is required.

    Raises:
        DataError: It is required and missing, or it is not a string.
    """
    value = record.get(name)
    if value is None:
        if required:
            raise DataError(f"{place} has no {name}: it has {', '.join(map(str, record)) or 'nothing'}")
        return ""
    if not isinstance(value, str):
        raise DataError(f"{place}: {name} is a {type(value).__name__}, expected a string")
    return value


def id_field(record: Mapping[str, object]) -> str:
    """Take ``_id`` or ``id`` out of a JSON object, ``""`` when there is none; a number becomes its digits."""
    value = record.get("_id", record.get("id"))
    return "" if value is None else str(value)


def read_table(
    path: Path, separator: str, *, names: Sequence[str] = ()
) -> tuple[list[str], Iterator[tuple[str, int, dict[str, str]]]]:
    """Open a .csv (``,``, quotes allowed) or a .tsv (tab, no quotes).

    Args:
        path: The file, may end in .gz.
        separator: ``","`` or a tab.
        names: What the columns are called when the first line is no header, that is when it holds none of these names.

    Returns:
        The column names in lower case, and an iterator of (place for messages, line number, record).

    Raises:
        DataError: The file is empty or cannot be read, or a line has more or fewer fields than the header.
    """
    # The default limit of 128 KiB refuses long documents. It belongs to the whole process, so it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    if separator == ",":
        reader = csv.reader(read_lines(path), strict=True)  # a quote that is never closed would swallow the rest
    else:
        reader = csv.reader(read_lines(path), delimiter=separator, quoting=csv.QUOTE_NONE)

    def rows() -> Iterator[list[str]]:
        try:
            yield from filter(any, reader)  # spreadsheets end with rows of nothing but commas
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from error

    body = rows()
    first = next(body, None)
    if first is None:
        raise DataError(f"{path} is empty: expected a header and at least one line")
    header = [name.strip().lower() for name in first]
    if names and not set(names) & set(header):
        header, body = list(names), chain([first], body)

    def records() -> Iterator[tuple[str, int, dict[str, str]]]:
        for cells in body:
            place = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{place} has {len(cells)} fields, expected {len(header)} ({', '.join(header)})")
            yield place, reader.line_num, dict(zip(header, cells, strict=True))

    return header, records()


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
