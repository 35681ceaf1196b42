"""Parquet files as documents (extra ``parquet``), read in small batches."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..json_values import json_value
from ..text import one_line
from .columns import columns_of
from .lines import MAX_LINE, MAX_RATIO, check_regular
from .readers import listed
from .rows import Row, record_row

BATCH = 256
"""Most rows that are held in memory together."""
BATCH_BYTES = 256 << 20
"""Most bytes of them, as long as a single row has fewer."""


def read_parquet_rows(path: Path, text_column: str | None = None, *, leave_out: Collection[str] = ()) -> Iterator[Row]:
    """Yield the rows of a .parquet file with the columns of `read_csv_rows`; the row number replaces a missing id.

    Times and decimals are written as in memory, see `json_values`: times with a zone in UTC. NaN becomes None. Columns
    in `leave_out`, such as vectors, are not read.

    Raises:
        DataError: The file is damaged, unpacks to more than `MAX_RATIO` times its size, has no text column or two
            without a name, or a column holds values that JSON cannot hold.
    """
    with _opened(path) as file:
        written = [name for name in file.schema_arrow.names if name.strip() not in leave_out]
        names = [name.strip() for name in written]
        columns = columns_of(path, names, text_column)
        if names.count("") > 1:
            raise DataError(f"{path} has {names.count('')} columns without a name ({listed(names)}): name them")
        number = 0
        for batch in _batches(path, file, BATCH, written if leave_out else None):
            for cells in zip(*map(_cells, batch.columns), strict=True):
                number += 1
                place = f"{path}, row {number}"
                pairs = zip(names, cells, strict=True)
                record = {name: _plain(cell, place, name) for name, cell in pairs}
                yield record_row(record, columns, place, number)


def read_parquet_names(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of all columns, and of those whose cells are lists of floats; errors as `read_parquet_rows`."""
    import pyarrow as pa

    def holds_vectors(kind: Any) -> bool:
        kind = getattr(kind, "storage_type", kind)
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return bool(lists and pa.types.is_floating(kind.value_type))

    with _opened(path) as file:
        schema = file.schema_arrow
        return list(schema.names), [field.name for field in schema if holds_vectors(field.type)]


def read_parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[Any]:
    """Yield some columns in record batches of at most `rows` rows and `BATCH_BYTES`; errors as `read_parquet_rows`."""
    with _opened(path) as file:
        yield from _batches(path, file, rows, list(columns))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file, and turn what Arrow raises while it is read into a `DataError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular(path, path.stat().st_mode)
        with pq.ParquetFile(path) as file:
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            _check_size(path, sum(group.total_byte_size for group in groups))
            yield file
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({one_line(str(error))[:120]}): write it anew") from error


def _check_size(path: Path, size: int) -> None:
    """Check that columns do not unpack to more than `MAX_RATIO` times the file, as its metadata says."""
    if size > max(MAX_LINE, MAX_RATIO * path.stat().st_size):
        raise DataError(f"{path} unpacks to more than {MAX_RATIO} times its size: write it without compression")


def _batches(path: Path, file: Any, rows: int = BATCH, columns: list[str] | None = None) -> Iterator[Any]:
    """Yield all row groups in batches of at most `rows` rows that fit into `BATCH_BYTES`, of some columns or all.

    A value of a dictionary is written once and may be that of every row, so the largest one, of which nothing but the
    size of its column is known, is counted for each.

    One row is read before a column's metadata is looked at. Where it is damaged, reading is a Python error, and
    looking ends the process: `RowGroupMetaData.column` lets no C++ exception through.
    """
    unpacked = 0
    for at in range(file.metadata.num_row_groups):
        next(file.iter_batches(batch_size=1, row_groups=[at]), None)
        group = file.metadata.row_group(at)
        chunks = [group.column(number) for number in range(group.num_columns)]
        sizes = [chunk.total_uncompressed_size for chunk in chunks]
        unpacked += sum(sizes)
        _check_size(path, unpacked)
        size = sum(size for size, chunk in zip(sizes, chunks, strict=True) if chunk.has_dictionary_page)
        size += sum(sizes) // max(1, group.num_rows)
        most = max(1, min(rows, BATCH_BYTES // max(1, size)))
        yield from file.iter_batches(batch_size=most, row_groups=[at], columns=columns)


def _cells(column: Any) -> list[Any]:
    """Return the cells of a column; times that Python cannot hold (the year 10000) as Arrow writes them."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_cell(scalar) for scalar in column]


def _cell(scalar: Any) -> Any:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, pa.StructScalar):
            return {name: _cell(item) for name, item in scalar.items()}
        if isinstance(scalar, pa.ListScalar):
            return [_cell(item) for item in scalar.values]
        if pa.types.is_timestamp(scalar.type) and scalar.type.tz is not None:
            scalar = scalar.cast(pa.timestamp(scalar.type.unit, "UTC"))
        text = str(scalar.cast("string")).replace(" ", "T", 1)
        return f"{text[:-1]}+00:00" if text.endswith("Z") else text


def _plain(cell: Any, place: str, name: str) -> Any:
    if isinstance(cell, float):
        return cell if cell == cell and abs(cell) != float("inf") else None
    if isinstance(cell, list | tuple):
        return [_plain(item, place, name) for item in cell]
    if isinstance(cell, dict):
        return {str(key): _plain(item, place, name) for key, item in cell.items()}
    try:
        plain = json_value(cell)
    except DataError as error:
        raise DataError(f"{place}: the column {name} holds {cell}, which no number of JSON is: make it text") from error
    if plain is None or isinstance(plain, str | int | float):
        return plain
    raise DataError(f"{place}: the column {name} holds {type(cell).__name__}, which is no metadata: drop the column")
