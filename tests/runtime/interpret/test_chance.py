from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.runtime.interpret.scoring import MAX_EXACT, auc_p_value


def test_by_hand():
    assert auc_p_value(1.0, 1, 19) == pytest.approx(1 / 20)  # the one document is the first of 20
    assert auc_p_value(1.0, 2, 2) == pytest.approx(1 / 6)  # one of the six orders of two and two
    assert auc_p_value(0.75, 2, 2) == pytest.approx(2 / 6)
    assert auc_p_value(0.0, 3, 5) == pytest.approx(1.0)


@given(st.integers(1, 5), st.integers(1, 6), st.data())
def test_is_the_share_of_orders_that_do_as_well(up, down, data):
    pairs = data.draw(st.integers(0, up * down))
    orders = list(combinations(range(up + down), up))
    # A positive at place p with j positives below it has p - j negatives below it.
    as_well = sum(sum(place - j for j, place in enumerate(order)) >= pairs for order in orders)
    assert auc_p_value(pairs / (up * down), up, down) == pytest.approx(as_well / len(orders))


def test_ties_never_help():
    assert auc_p_value(0.875, 2, 2) == auc_p_value(0.75, 2, 2)


@pytest.mark.parametrize("auc", [0.5, 0.6, 0.7, 0.8])
def test_the_normal_distribution_goes_on_where_counting_ends(monkeypatch, auc):
    counted = auc_p_value(auc, MAX_EXACT, 40)
    monkeypatch.setattr("steersearch.runtime.interpret.scoring.MAX_EXACT", 0)
    assert auc_p_value(auc, MAX_EXACT, 40) == pytest.approx(counted, abs=3e-3)


@given(st.integers(1, 60), st.integers(1, 90))
def test_better_is_never_more_likely(up, down):
    values = [auc_p_value(step / 20, up, down) for step in range(21)]
    assert all(0 <= b <= a <= 1 + 1e-9 for a, b in pairwise(values))
