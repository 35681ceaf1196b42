"""Ground floor: checks of matrices."""

import numpy as np
import pytest

from steersearch import arrays
from steersearch.arrays import check_finite_rows, check_unit_rows, distinct, first_not_unit, unit_rows
from steersearch.errors import DataError

ROWS = unit_rows(np.arange(1, 13, dtype=np.float32).reshape(4, 3))


def message_of(check, *arguments, **options):
    with pytest.raises(DataError) as caught:
        check(*arguments, **options)
    return str(caught.value)


def test_distinct_is_numpys_unique():
    for values in ([], [3], [2, 1, 2, 2, 5, 1], [-1, 0, -1]):
        found = distinct(np.array(values, np.int64))
        assert found.tolist() == np.unique(np.array(values, np.int64)).tolist()
        assert found.dtype == np.int64


def test_unit_rows_keeps_a_row_of_zeros():
    rows = unit_rows(np.array([[3, 4], [0, 0]], np.float32))
    assert rows.tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
    assert rows.dtype == np.float32


def test_unit_rows_are_returned_without_a_copy(tmp_path):
    assert np.shares_memory(check_unit_rows(ROWS, "rows", 3), ROWS)
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert np.shares_memory(check_unit_rows(mapped, "rows", 3), mapped)
    wide = check_unit_rows(ROWS.astype(np.float64)[::2], "rows", 3)
    assert wide.dtype == np.float32
    assert wide.flags.c_contiguous
    assert check_unit_rows(np.empty((0, 3)), "rows", 3).shape == (0, 3)


def test_rows_that_are_not_of_unit_length(monkeypatch):
    monkeypatch.setattr(arrays, "_BLOCK", 2)
    told = message_of(check_unit_rows, ROWS[0], "the query", 3)
    assert told == "the query has shape (3,): this index takes rows of length 3"
    assert message_of(check_unit_rows, ROWS, "rows", 4) == "rows has shape (4, 3): this index takes rows of length 4"
    long, nan, huge = ROWS.copy(), ROWS.copy(), ROWS.astype(np.float64)
    long[3] *= 2
    nan[2, 1] = np.nan
    huge[1, 0] = 1e300
    end = "expected 1: divide rows by their length"
    assert message_of(check_unit_rows, long, "rows", 3) == f"rows: row 3 has length 2, {end}"
    assert message_of(check_unit_rows, nan, "rows", 3) == f"rows: row 2 has length nan, {end}"
    assert message_of(check_unit_rows, huge, "rows", 3) == f"rows: row 1 has length inf, {end}"
    assert first_not_unit(ROWS * 1.005, tolerance=1e-2) is None
    assert first_not_unit(ROWS * 1.005) == (0, pytest.approx(1.005))


def test_rows_that_are_not_finite():
    assert np.shares_memory(check_finite_rows(ROWS, "rows", 3), ROWS)
    assert check_finite_rows([[1, 2]], "rows", 2).dtype == np.float32
    assert message_of(check_finite_rows, ROWS, "rows", 2) == "rows has shape (4, 3): expected (n, 2)"
    assert message_of(check_finite_rows, ROWS, "rows", 3, n=5) == "rows has shape (4, 3): expected (5, 3)"
    told = message_of(check_finite_rows, ROWS, "embeddings", 2, has="have", expected="this takes 2")
    assert told == "embeddings have shape (4, 3): this takes 2"
    assert message_of(check_finite_rows, [["a"]], "rows", 1) == "rows has dtype <U1: expected float32"
    huge = ROWS.astype(np.float64)
    huge[1, 2] = 1e300
    assert (
        message_of(check_finite_rows, huge, "rows", 3) == "rows[1] holds 1e+300: every number must be finite in float32"
    )
    assert message_of(check_finite_rows, huge, "rows", 3, not_finite="no") == "no"


@pytest.mark.parametrize(
    ("known", "wanted", "found"),
    [
        ([4, 5, 6, 7], [6, 4, 9, 3, 7, 6], [2, 0, 3, 2]),  # without a gap
        ([4, 5, 7, 9], [7, 6, 9, 4, 10, 3], [2, 3, 0]),
        ([8], [8, 7], [0]),
        ([], [1], []),
        ([4, 5], [], []),
    ],
)
def test_positions_of_numbers_among_ascending_ones(known, wanted, found):
    assert arrays.positions_of(np.array(known, np.int64), np.array(wanted, np.int64)).tolist() == found
