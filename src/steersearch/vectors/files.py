"""Files of vectors: .npy, .jsonl and .parquet. The last two may hold ids and texts beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray
from ..corpus import Corpus
from ..corpus.columns import Columns, columns_of, find_column
from ..corpus.lines import check_regular
from ..corpus.parquet import read_parquet_batches, read_parquet_names, read_parquet_rows
from ..corpus.readers import TOO_LONG, id_field, id_text, listed, read_json_lines, suffix_of
from ..corpus.rows import read_json_rows
from ..errors import DataError
from ..extras import require
from ..text import shown
from .rows import Lengths, UnitRowsFile

COLUMNS = ("embedding", "vector", "embeddings", "vectors", "dense_vector", "values")
"""Names of a column of vectors that are looked for, the first one first."""
JSON_BLOCK, PARQUET_BLOCK = 1024, 16_384
"""Most rows that are held in memory together."""
LOOKED_AT = 100
"""Lines that are looked at for their fields."""
Lists = Sequence[float] | str | None


@dataclass(frozen=True)
class FileOfVectors:
    """What a file holds, as it stands there."""

    rows: NDArray[Any]
    """Shape (n, d); of .jsonl and .parquet unit rows, those without a direction NaN."""
    lengths: Lengths | None = None
    """Of the rows before they were divided; None where they were not looked at."""
    ids: list[str] | None = None
    """The file's own id of each row; None where one has none."""
    documents: Corpus | None = None
    """The texts of the rows, those that are not blank; None where it has no texts."""


def read_vectors(
    path: Path, folder: Path, *, column: str | None, text_column: str | None, with_texts: bool
) -> FileOfVectors:
    """Read a file of vectors; those of .jsonl and .parquet are put into a file without a name in `folder`.

    Args:
        path: The file.
        folder: Where there is room for as many floats.
        column: Column of the vectors; None looks for one.
        text_column: Column of the texts, as in `Corpus.open`.
        with_texts: Whether texts are wanted; False when they come from elsewhere.

    Raises:
        DataError: The file cannot be read, has another format, no such column, or rows of several widths.
        StorageError: The disk is full.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist: expected .npy, .jsonl or .parquet")
    check_regular(path, path.stat().st_mode)
    if path.suffix.lower() == ".npy":
        if column is not None:
            raise DataError(f"{path} has no columns: leave out --vector-column {column}")
        return FileOfVectors(_read_npy(path))
    kind = suffix_of(path)
    if kind == "jsonl":
        return _read_json(path, folder, column, text_column, with_texts)
    if kind == "parquet":
        require("parquet", "pyarrow")
        return _read_parquet(path, folder, column, text_column, with_texts)
    raise DataError(f"{path} is no file of vectors: expected .npy (a matrix), .jsonl or .parquet (a column of vectors)")


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array of embeddings: {error}") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise DataError(f"{path} holds several arrays (.npz): save the matrix of vectors alone, with np.save")
    return found


def _read_json(
    path: Path, folder: Path, column: str | None, text_column: str | None, with_texts: bool
) -> FileOfVectors:
    records = [record for _, _, record in islice(read_json_lines(path), LOOKED_AT)]
    names = list(dict.fromkeys(name for record in records for name in record))
    own = [name for name in names if any(_is_vector(record.get(name)) for record in records)]
    name = _choose(path, names, own, column)
    ids: list[str] = []

    def cells() -> Iterator[tuple[str, Lists]]:
        for place, _, record in read_json_lines(path):
            ids.append("" if record is TOO_LONG else id_field(record, place))
            if name not in record and record is not TOO_LONG:
                raise DataError(f"{place} has no {name}: it has {listed(record) or 'nothing'}")
            yield place, record.get(name)  # type: ignore[misc]

    spool = _spooled(cells(), folder, name)
    others = set(names) - {name, *Columns().ids}
    has_text = any(isinstance(record.get(other), str) for other in others for record in records)
    rows = partial(read_json_rows, path, text_column, leave_out=(name,))
    return _file(path, spool, ids, rows if with_texts and has_text else None)


def _read_parquet(
    path: Path, folder: Path, column: str | None, text_column: str | None, with_texts: bool
) -> FileOfVectors:
    names, own = read_parquet_names(path)
    name = _choose(path, names, own, column)
    others = [other for other in names if other not in (*own, name)]
    id_columns = tuple(filter(None, (find_column(path, names, id) for id in ("_id", "id"))))
    spool, ids = UnitRowsFile(folder), list[str]()
    width = 0
    for batch in read_parquet_batches(path, (*id_columns, name), PARQUET_BLOCK):
        place = f"{path}, rows {len(ids) + 1:,} to {len(ids) + batch.num_rows:,}"
        found, width = _matrix(batch.column(name), place, name, width)
        spool.append(found)
        keys = [batch.column(key).to_pylist() for key in id_columns]
        for number in range(batch.num_rows):
            ids.append(next((id_text(key[number]) for key in keys if key[number] not in (None, "")), ""))
    if not with_texts or not set(others) - set(id_columns):
        return _file(path, spool, ids, None)
    text = columns_of(path, others, text_column).text
    return _file(path, spool, ids, partial(read_parquet_rows, path, text, leave_out=(name,)))


def _file(path: Path, spool: UnitRowsFile, ids: list[str], rows: Callable[[], Iterable[Any]] | None) -> FileOfVectors:
    documents = None if rows is None else Corpus(path.name.split(".")[0], rows, origin=str(path.resolve()))
    return FileOfVectors(spool.open(), spool.lengths, ids if all(ids) else None, documents)


def _choose(path: Path, names: Sequence[str], own: Sequence[str], chosen: str | None) -> str:
    """Return the column of vectors: the chosen one, else the one with a known name, else the only one."""
    if chosen is not None:
        if not (name := chosen if chosen in names else find_column(path, names, chosen)):
            raise DataError(f"{path} has no column {shown(chosen)}, only {listed(names) or 'none'}: choose another one")
        return name
    known = next((name for wanted in COLUMNS for name in own if name.lower() == wanted), None)
    if known is None and len(own) != 1:
        what = f"several columns of vectors ({listed(own)})" if own else f"no column of vectors, only {listed(names)}"
        raise DataError(f"{path} has {what}: choose one with --vector-column")
    return own[0] if known is None else known


def _is_vector(value: object) -> bool:
    if isinstance(value, str):
        # As pgvector and its exports write one.
        return value.startswith("[") and value.endswith("]") and _is_vector(_parsed(value))
    return isinstance(value, list) and len(value) > 1 and all(type(each) in (int, float) for each in value)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _spooled(cells: Iterable[tuple[str, Lists]], folder: Path, name: str) -> UnitRowsFile:
    """Write lists of numbers as rows; a list that is missing becomes a row of NaN."""
    spool, block = UnitRowsFile(folder), list[FloatArray | None]()
    width = 0

    def flush() -> None:
        gap = np.full(width, np.nan, np.float32)
        if block:
            spool.append(np.stack([gap if row is None else row for row in block]))
        block.clear()

    for place, cell in cells:
        row = _row(cell, place, name)
        if row is not None and width and len(row) != width:
            raise _widths(place, name, len(row), width)
        width = width or (0 if row is None else len(row))
        block.append(row)
        if len(block) >= JSON_BLOCK:
            flush()
    flush()
    return spool


def _row(cell: Any, place: str, name: str) -> FloatArray | None:
    if isinstance(cell, str):
        cell = _parsed(cell)
    if cell is None or (isinstance(cell, list) and not cell):
        return None
    try:
        with np.errstate(over="ignore"):
            row = np.array(cell, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{place}: {name} is no list of numbers ({error}): give one number per dimension") from error
    if row.ndim != 1 or isinstance(cell, Mapping):
        raise DataError(f"{place}: {name} has shape {row.shape}: expected one list of numbers")
    return row


def _widths(place: str, name: str, found: int, expected: int) -> DataError:
    return DataError(
        f"{place}: {name} has {found} numbers, the rows before have {expected}: vectors of one model have one width; "
        "keep those of one model"
    )


def _matrix(column: Any, place: str, name: str, width: int) -> tuple[FloatArray, int]:
    """Return a column of vectors as rows, shape (n, width), those that are missing NaN; and the width, 0 if unknown."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if not hasattr(column.type, "value_type") or pa.types.is_dictionary(column.type):
        rows = [_row(cell, place, name) for cell in column.to_pylist()]
        widths = {len(row) for row in rows if row is not None} | ({width} if width else set())
        if len(widths) > 1:
            expected = width or min(widths)
            raise _widths(place, name, min(widths - {expected}), expected)
        width = max(widths, default=0)
        gap = np.full(width, np.nan, np.float32)
        return np.stack([gap if row is None else row for row in rows]), width
    if pa.types.is_fixed_size_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    sizes = np.nan_to_num(pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.float64)).astype(int)
    for found in np.unique(sizes[sizes > 0]).tolist():
        width = width or found
        if found != width:
            raise _widths(place, name, found, width)
    try:
        flat = pc.list_flatten(column).to_numpy(zero_copy_only=False)
        numbers = flat if flat.dtype.kind == "f" else flat.astype(np.float32)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{place}: {name} is no list of numbers ({error}): choose one with --vector-column") from error
    rows_ = np.full((len(sizes), width), np.nan, numbers.dtype)
    if width:
        rows_[sizes > 0] = numbers.reshape(-1, width)
    return rows_, width
