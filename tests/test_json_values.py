import datetime as dt
import enum
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from steersearch.errors import DataError
from steersearch.json_values import finite_json, json_value, json_values

EAST = dt.timezone(dt.timedelta(hours=2))


class Kind(enum.Enum):
    NEWS = "news"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(2024, 1, 2, 3, 4), "2024-01-02T03:04:00"),
        (dt.datetime(2024, 1, 2, 3, 4, tzinfo=EAST), "2024-01-02T01:04:00+00:00"),
        (dt.datetime.min.replace(tzinfo=EAST), "0001-01-01T00:00:00+02:00"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (PurePosixPath("a/b"), "a/b"),
        (Decimal("3.10"), 3.1),
        (Decimal("1E+3"), 1000),
        (Kind.NEWS, "news"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.datetime64("2024-01-02T03:04", "ns"), "2024-01-02T03:04:00"),
        (np.datetime64("2024-01-02T03:04"), "2024-01-02T03:04:00"),
        (np.datetime64("2024-01-02T03:04:05.000006"), "2024-01-02T03:04:05.000006"),
        (np.datetime64(1, "ns"), "1970-01-01T00:00:00.000000001"),
        (np.datetime64("300000-01-01T00:00:00"), "300000-01-01T00:00:00"),
        (np.datetime64("2024-05"), "2024-05"),
        (np.array([["2024-01-02"]], "M8[ns]"), [["2024-01-02T00:00:00"]]),
        (np.array([[1, 2]]), [[1, 2]]),
        (MappingProxyType({"a": (dt.date(2024, 1, 2), None)}), {"a": ["2024-01-02", None]}),
        ("plain", "plain"),
        (10**30, 10**30),
    ],
    ids=repr,
)
def test_values(value: Any, expected: Any) -> None:
    made = json_value(value)
    assert made == expected
    assert type(made) is type(expected)


def test_the_rest_is_for_whoever_checks_json() -> None:
    others: list[Any] = [{1}, b"x", 1j, object(), np.timedelta64(3, "s")]
    assert [json_value(value) for value in others] == others
    loop: list[Any] = []
    loop.append(loop)
    assert isinstance(json_value(loop), list)
    given: Mapping[str, Any] = {"a": 1}
    assert json_values(given) == given
    assert json_values(given) is not given


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.datetime64("NaT"), "NaT, which does not exist"),
        (Decimal("0.12345678901234567890"), "more digits than a number of JSON keeps"),
        (Decimal(2**53 + 1), "more digits"),
    ],
    ids=repr,
)
def test_what_would_be_lost(value: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        json_value({"deep": [value]})


def test_no_decimal_ends_in_an_error_of_python() -> None:
    for text in ("NaN", "sNaN"):
        assert math.isnan(json_value(Decimal(text)))  # refused by whoever checks JSON


def test_utc_orders_as_instants_do() -> None:
    zones = [dt.timezone(dt.timedelta(hours=hours)) for hours in (-11, 0, 3, 14)]
    times = [
        dt.datetime(2024, 5, 1, hour, 30, 0, part, zone) for zone in zones for hour in (0, 12, 23) for part in (0, 5)
    ]
    assert sorted(times, key=lambda time: str(json_value(time))) == sorted(times)


def test_numbers_that_json_lacks_are_none():
    given = {"a": [1.5, math.nan, (math.inf, "x")], "b": {"c": -math.inf, "d": None, "e": 2}}
    assert finite_json(given) == {"a": [1.5, None, [None, "x"]], "b": {"c": None, "d": None, "e": 2}}
