"""Parquet files as documents (extra ``parquet``), read in small batches."""

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..extras import require
from .readers import Row, record_row, text_column_of

require("parquet", "pyarrow")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

BATCH = 256


def read_parquet_rows(path: Path, text_column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a .parquet file, with the columns of `read_csv_rows`; the row number stands in for an id.

    Dates become ISO strings and decimals numbers; what JSON cannot hold is no metadata and an error.

    Raises:
        DataError: It is damaged, has no text column, or a row cannot be used.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = {name: name.strip().lower() for name in file.schema_arrow.names}
            column = text_column_of(path, list(names.values()), text_column)
            number = 0
            for batch in file.iter_batches(batch_size=BATCH):
                for cells in batch.to_pylist():
                    number += 1
                    place = f"{path}, row {number}"
                    record = {names[name]: _plain(cell, place, name) for name, cell in cells.items()}
                    record[column] = "" if record[column] is None else record[column]  # blank, and left out
                    yield record_row(record, column, place, number)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({_short(error)}): write it anew") from error


def _plain(cell: Any, place: str, name: str) -> Any:
    """A cell as what JSON can hold."""
    if cell is None or isinstance(cell, str | int):
        return cell
    if isinstance(cell, float):
        return cell if cell == cell and abs(cell) != float("inf") else None
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, list | tuple):
        return [_plain(item, place, name) for item in cell]
    if isinstance(cell, dict):
        return {str(key): _plain(item, place, name) for key, item in cell.items()}
    raise DataError(f"{place}: the column {name} holds {type(cell).__name__}, which is no metadata: drop the column")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
