"""The correlation of the two scores of a feature, by hand."""

import pytest

from benchmarks.interpretation.steering import spearman


@pytest.mark.parametrize(
    ("some", "others", "expected"),
    [
        ([1, 2, 3], [10, 20, 400], 1.0),
        ([1, 2, 3], [3, 2, -1], -1.0),
        ([1, 1, 2, 2], [1, 1, 2, 2], 1.0),
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / (4.5 * 5) ** 0.5),  # of the ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4
        ([0.5, 0.5], [1, 2], 0.0),
    ],
)
def test_spearman_is_the_correlation_of_ranks(some, others, expected):
    assert spearman(some, others) == pytest.approx(expected)
    assert spearman(others, some) == pytest.approx(expected)
