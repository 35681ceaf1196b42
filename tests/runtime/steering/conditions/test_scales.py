"""How far documents stand out along a direction: mean, deviation, top and correlation, from a sample and a prior."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.runtime.steering.conditions.scales import FEW, PRIOR, PRIOR_TOP, Scales

seeds = st.integers(0, 2**31)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def standard(scales, direction):
    return scales.measured(direction)[0]


def top(scales, direction):
    return scales.measured(direction)[1]


def drawn(seed, n=300, d=8):
    rng = np.random.default_rng(seed)
    return unit(rng.standard_normal((n, d)) + rng.standard_normal(d)), rng.standard_normal(d)


@pytest.mark.parametrize("rows", [None, np.zeros((0, 2), np.float32)])
def test_without_documents_the_prior_decides(rows):
    scales = Scales(rows, np.array([0.6, 0.8], np.float32))
    assert scales.mean == pytest.approx([0.6, 0.8])
    assert standard(scales, np.array([3.0, 4.0])) == pytest.approx([0.6 / PRIOR, 0.8 / PRIOR])
    one, other = standard(scales, np.array([1.0, 0])), standard(scales, np.array([0, 2.0]))
    assert top(scales, one) == PRIOR_TOP
    found = scales.correlations(np.stack([one, -one, other]))
    assert found == pytest.approx(np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 1]]))


def test_by_hand_with_as_many_documents_as_the_prior_weighs():
    """Half of them at (1, 0) and half at (0, 1): each coordinate has the variance 1/4, and the two have -1/4."""
    rows = np.array([[1, 0], [0, 1]] * (FEW // 2), np.float32)
    scales = Scales(rows, np.array([0.1, 0.3], np.float32))
    assert scales.mean == pytest.approx([(0.5 + 0.1) / 2, (0.5 + 0.3) / 2])
    deviation = np.sqrt((1 / 4 + PRIOR**2) / 2)
    x, y = standard(scales, np.array([5.0, 0])), standard(scales, np.array([0, 0.01]))
    assert x == pytest.approx([1 / deviation, 0])  # whatever the length was
    assert y == pytest.approx([0, 1 / deviation])
    between = -1 / 8 / deviation**2
    assert scales.correlations(np.stack([x, y])) == pytest.approx(np.array([[1, between], [between, 1]]))
    assert top(scales, x) == pytest.approx((0.5 / deviation + PRIOR_TOP) / 2)  # one document is a hundredth of 16


def test_the_hundredth_is_a_mean_of_the_most_similar():
    rows = np.zeros((300, 2), np.float32)
    rows[:3, 0] = [0.9, 0.6, 0.3]
    scales = Scales(rows, np.zeros(2, np.float32))
    direction, share = np.array([2.0, 0]), 300 / (300 + FEW)
    centred = 0.6 - 0.006  # of the three most similar; the mean of all is .006
    deviation = np.sqrt(share * rows[:, 0].var() + (1 - share) * PRIOR**2)
    expected = share * centred / deviation + (1 - share) * PRIOR_TOP
    assert top(scales, direction) == top(scales, direction / 2) == pytest.approx(expected, rel=1e-5)
    small, lower = scales.measured(direction, least=10.0)  # of a deviation below which it stays as small as it is
    assert small == pytest.approx(direction / 10)
    assert lower == pytest.approx(share * 2 * centred / 10 + (1 - share) * PRIOR_TOP, rel=1e-5)


def test_documents_that_are_all_the_same_and_a_direction_of_nothing():
    scales = Scales(np.tile(np.array([[0.6, 0.8]], np.float32), (200, 1)), np.zeros(2, np.float32))
    assert np.isfinite(standard(scales, np.array([0.6, 0.8]))).all()
    nothing = standard(scales, np.zeros(2))
    assert nothing.tolist() == [0, 0]
    assert scales.correlations(np.stack([nothing, standard(scales, np.array([1.0, 0]))]))[0].tolist() == [0, 0]
    assert 0 <= top(scales, nothing) <= PRIOR_TOP


@given(seeds, st.floats(0.01, 100))
def test_the_unit_is_a_standard_deviation(seed, length):
    rows, direction = drawn(seed)
    scales = Scales(rows, rows.mean(0))
    one = standard(scales, length * direction)
    assert one == pytest.approx(standard(scales, direction))
    z = rows.astype(np.float64) @ one - one @ scales.mean
    share = len(rows) / (len(rows) + FEW)
    assert z.mean() == pytest.approx(0, abs=1e-5)
    assert share * z.var() + (1 - share) * PRIOR**2 * (one @ one) == pytest.approx(1, rel=1e-4)
    assert z.min() - 1e-4 <= top(scales, one) <= max(z.max(), PRIOR_TOP) + 1e-4


@given(seeds)
def test_correlation_is_that_of_the_documents(seed):
    rows, direction = drawn(seed)
    other = np.random.default_rng(seed + 1).standard_normal(len(direction))
    scales = Scales(rows, rows.mean(0))
    a, b = standard(scales, direction), standard(scales, other)
    found = scales.correlations(np.stack([a, b]))
    assert found == pytest.approx(found.T)
    assert found.diagonal() == pytest.approx([1, 1], abs=1e-5)
    measured = np.corrcoef(rows @ direction, rows @ other)[0, 1]
    assert found[0, 1] == pytest.approx(measured, abs=0.1)  # the prior knows of none
