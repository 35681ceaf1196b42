"""Files as text, lines, JSON objects and tables; every error names the file and the line."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from ..errors import DataError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_FIELD = 2**31 - 1
"""Most characters in a field of a table: the largest limit that the csv module takes on every platform."""


def suffix_of(path: Path) -> str:
    """Return the ending of a file name without ``.gz``: ``"jsonl"`` for ``docs.JSONL.gz``, ``""`` when it has none."""
    return path.name.lower().removesuffix(".gz").rpartition(".")[2] if "." in path.name else ""


def first_file(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that is in a folder, None when none is."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def encodable(text: str) -> str:
    r"""Replace half surrogate pairs by ``?``. JSON can hold them (``"\ud83d"``); tokenizers and UTF-8 files cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def decode(path: Path, data: bytes) -> str:
    """Decode a file that is UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Raises:
        DataError: It is binary or in another encoding. The message names the line.
    """
    encoding = encoding_mark(data) or "utf-8"
    if encoding == "utf-8" and b"\0" in data:
        raise DataError(f"{path} is binary: expected text")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise DataError(f"{path} is damaged: its byte order mark says {encoding}, which it is not") from error
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DataError(f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8") from error


def encoding_mark(data: bytes) -> str | None:
    """Return the encoding that a byte order mark at the start of a file names, None when there is none."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), None)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line ends, without a byte order mark; unpack a ``.gz`` file.

    Raises:
        DataError: The file is missing or unreadable, is not UTF-8, or its gzip stream is damaged.
    """
    number, descriptor = 0, -1
    try:
        # The generator owns the descriptor and not the stream. A generator that is given up half-way may be collected
        # after its stream, which would then warn that nobody closed it.
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


def read_table(
    path: Path, separator: str, *, names: Sequence[str] = ()
) -> tuple[list[str], Iterator[tuple[str, int, dict[str, str]]]]:
    """Open a .csv file (``,``, quotes allowed) or a .tsv file (tab, no quotes).

    Args:
        path: The file; it may end in .gz.
        separator: ``","`` or a tab.
        names: Names of the columns when the first line is no header. A line with none of these names is no header.

    Returns:
        The column names in lower case, and an iterator of (place for messages, line number, record).

    Raises:
        DataError: The file is empty or cannot be read, or a line has more or fewer fields than the header.
    """
    # The default limit of 128 KiB refuses long documents. It belongs to the whole process, so it is never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    if separator == ",":
        # Without `strict` a quote that is never closed would take the rest of the file.
        reader = csv.reader(read_lines(path), strict=True)
    else:
        reader = csv.reader(read_lines(path), delimiter=separator, quoting=csv.QUOTE_NONE)

    def rows() -> Iterator[list[str]]:
        try:
            # Spreadsheets end with rows of nothing but commas.
            yield from filter(any, reader)
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


def field(record: Mapping[str, object], name: str, place: str, *, required: bool = False) -> str:
    """Return a string of a JSON object; ``""`` when it is missing or null, unless it is required.

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
    """Return ``_id`` or ``id`` of a JSON object, a number as its digits; ``""`` when there is none."""
    value = record.get("_id", record.get("id"))
    return "" if value is None else str(value)
