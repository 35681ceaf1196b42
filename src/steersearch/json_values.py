"""Values of Python that JSON lacks, written in one way, so that metadata and filters agree on them.

============================  =====================================================================================
`datetime`, `date`, `time`    ISO 8601 text. A datetime with a time zone is written in UTC, so that texts order as
                              the instants do; those without a zone order among themselves.
`UUID`, `Path`                text
`Decimal`                     a number; a `DataError` where a float would be another number
`Enum`                        its value
scalars and arrays of NumPy   numbers, texts, truth values, lists; ``datetime64`` is ISO 8601 text
============================  =====================================================================================

Everything else is returned as it is, for whoever checks JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from .errors import DataError

_PLAIN = (str, int, float, bool, type(None))
DEEPEST = 100
"""Levels of lists and mappings that are converted; deeper ones are refused where JSON is checked."""


def json_values(values: Mapping[Any, Any], depth: int = 1) -> dict[Any, Any]:
    """Return a mapping with the values that JSON has; see the table of this module.

    Raises:
        DataError: A Decimal has more digits than a float, or a time does not exist (`NaT`).
    """
    return {key: json_value(value, depth) for key, value in values.items()}


def json_value(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it; see the table of this module. Errors as of `json_values`."""
    if type(value) in _PLAIN or depth > DEEPEST:
        return value
    if isinstance(value, Mapping):
        return json_values(value, depth + 1)
    if isinstance(value, list | tuple):
        return [json_value(item, depth + 1) for item in value]
    if isinstance(value, Enum):
        return json_value(value.value, depth + 1)
    # Not at the top, because the help of the command line loads this module.
    import numpy as np

    if isinstance(value, np.ndarray | np.generic):
        return _of_numpy(value, depth)
    if isinstance(value, datetime | date | time):
        return _iso(value)
    if isinstance(value, UUID | PurePath):
        return str(value)
    if isinstance(value, Decimal):
        return _number(value)
    return value


def _of_numpy(value: Any, depth: int) -> Any:
    import numpy as np

    if value.dtype.kind in "mM":
        if np.isnat(value).any():
            raise DataError("a time is NaT, which does not exist: leave it out, or use None")
        return _of_times(value) if value.dtype.kind == "M" else value
    plain = value.tolist()
    return json_value(plain, depth + 1) if isinstance(plain, list) or type(plain) in _PLAIN else value


def _of_times(value: Any) -> Any:
    """Return times of NumPy as a `datetime` or `date` of the same instant is written, so that filters find them."""
    import numpy as np

    if value.ndim:
        return [_of_times(item) for item in value]
    unit = np.datetime_data(value.dtype)[0]
    rounded = value.astype("M8[D]" if unit in ("Y", "M", "W", "D") else "M8[us]")
    plain = rounded.item()
    # Months, what is finer than a microsecond, and the year 10000 keep NumPy's own text.
    if unit in ("Y", "M") or not isinstance(plain, date) or rounded.astype(value.dtype) != value:
        return str(np.datetime_as_string(value))
    return _iso(plain)


def _iso(value: datetime | date | time) -> str:
    if value != value:  # NaT of pandas
        raise DataError("a time is NaT, which does not exist: leave it out, or use None")
    if isinstance(value, datetime) and value.tzinfo is not None:
        try:
            value = value.astimezone(timezone.utc)
        except OverflowError:  # within hours of the years 1 and 9999
            pass
    return value.isoformat()


def _number(value: Decimal) -> int | float:
    if not value.is_finite():
        return math.nan if value.is_nan() else float(value)  # refused by whoever checks JSON
    number = int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
    if Decimal(repr(number)) != value:
        raise DataError(f"{value!r} has more digits than a number of JSON keeps: give str(value) or float(value)")
    return number


def finite_json(value: Any) -> Any:
    """Return JSON values with None in the place of numbers that are not finite, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_json(held) for key, held in value.items()}
    return [finite_json(held) for held in value] if isinstance(value, list | tuple) else value
