"""Files as text and JSON objects, and their fields; every error names the file and the line."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..text import one_line, shown
from .lines import LongLine, check_inside, read_lines

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
TOO_LONG: dict[str, Any] = {}
"""Stands for a record that is too long to be held in memory."""
_SHOWN_NAMES = 20
"""Names of columns or fields that a message lists."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the key {shown(doubled(name for name, _ in pairs))} occurs twice")
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_object)


def suffix_of(path: Path) -> str:
    """Return the ending of a file name without ``.gz``: ``"jsonl"`` for ``docs.JSONL.gz``, ``""`` when it has none."""
    return path.name.lower().removesuffix(".gz").rpartition(".")[2] if "." in path.name else ""


def first_file(folder: Path, *names: str) -> Path | None:
    """Return the first of these files that is in a folder, None when none is; a `DataError` for a link out of it."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is not None:
        check_inside(found, folder)
    return found


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


def read_json_lines(path: Path) -> Iterator[tuple[str, int, Mapping[str, object]]]:
    """Yield (place for messages, line number, object) for every non-blank line of a .jsonl file.

    The object is `TOO_LONG` for a line of more than `MAX_LINE` bytes.

    Raises:
        DataError: A line is not a JSON object or has a key twice, or the file cannot be read.
    """
    file = str(path)
    for number, line in enumerate(read_lines(path), start=1):
        place = f"{file}, line {number}"
        if type(line) is LongLine:
            yield place, number, TOO_LONG
            continue
        if not line.strip():
            continue
        try:
            record = _JSON.decode(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not JSON ({error}): expected one object per line") from error
        if not isinstance(record, dict):
            raise DataError(f"{place} is a JSON {type(record).__name__}: expected an object")
        yield place, number, record


def doubled(names: Iterable[str]) -> str | None:
    """Return the first name that was there before, None when there is none."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def listed(names: Iterable[object]) -> str:
    """Join names of columns or fields for a message, which says how many there are beyond the first twenty."""
    known = list(names)
    more = [f"and {len(known) - _SHOWN_NAMES:,} more"] if len(known) > _SHOWN_NAMES else []
    return ", ".join([one_line(str(name)[:200], 80) for name in known[:_SHOWN_NAMES]] + more)


def field(record: Mapping[str, object], name: str, place: str, *, required: bool = False) -> str:
    """Return a string of a JSON object; ``""`` when it is missing or null, unless it is required.

    Raises:
        DataError: It is required and missing, or it is not a string.
    """
    value = record.get(name)
    if value is None:
        if required:
            raise DataError(f"{place} has no {name}: it has {listed(record) or 'nothing'}")
        return ""
    if not isinstance(value, str):
        raise DataError(f"{place}: {name} is a {type(value).__name__}, expected a string")
    return value


def title_field(record: Mapping[str, object], name: str, place: str) -> str:
    """Return the title of a record as in `field`, a number (``1984``) as its digits."""
    value = record.get(name)
    return str(value) if type(value) in (int, float) else field(record, name, place)


def id_field(record: Mapping[str, object], place: str, names: Sequence[str] = ("_id", "id")) -> str:
    """Return the first of these fields that is not empty, a number as its digits; ``""`` when there is none.

    A float that is whole is written as an integer: a column of integers with gaps becomes one of floats in pandas.

    Raises:
        DataError: It is neither a string nor a number, or it is infinite (``1e400``).
    """
    for name in names:
        value = record.get(name)
        if value is None or value == "" or value != value:
            continue
        if type(value) not in (str, int, float):
            raise DataError(f"{place}: {name} is a {type(value).__name__}, expected a string or a number")
        if isinstance(value, float) and math.isinf(value):
            raise DataError(f"{place}: {name} is a number that no float holds: write it as a string")
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        return str(value)
    return ""
