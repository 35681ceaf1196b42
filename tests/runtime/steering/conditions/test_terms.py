"""One condition of a request by hand: presence, value, slope, and parts that add up."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.runtime import Concept
from steersearch.runtime.steering.conditions.terms import (
    CONCEPT_SLOPE,
    ENOUGH,
    FLOOR,
    POWER,
    SLOPE,
    Term,
    factor_of,
    presences,
)

CONCEPT = Concept.from_text("some words")
weights = st.floats(0.01, 100) | st.floats(-100, -0.01)
sizes = st.floats(-50, 50)


def term(weight=1.0, threshold=1.0, direction=(2.0, 0.0), mean=(0.25, 0.5), word_weight=0.0, concept=CONCEPT):
    none = np.zeros(0, np.int64), np.zeros(0)
    arrays = np.array(direction, np.float64), np.array(mean, np.float64)
    return Term("a concept", weight, *arrays, threshold, *none, 0.0, "some words", word_weight, concept)


def query(**how):
    return term(concept=None, **how)


def believed(share):
    """The logarithm of a condition on a concept that is met to this share."""
    return math.log(FLOOR + (1 - FLOOR) * share)


def test_presence_by_hand():
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    assert term().offset == -0.5
    assert term().presence(rows) == pytest.approx([1.5, -0.5, 0.7])
    assert term(word_weight=2.0).presence(rows, np.array([0, 1, 0.25])) == pytest.approx([1.5, 1.5, 1.2])
    assert term().presence(rows, np.ones(3)) == pytest.approx([1.5, -0.5, 0.7])  # words without a weight
    assert term().presence(np.zeros((0, 2), np.float32)).shape == (0,)


def test_value_by_hand():
    wanted, unwanted, about = term(weight=3.0), term(weight=-2.0), query()
    assert [one.wanted for one in (wanted, unwanted, about)] == [True, False, False]
    half, three_to_one, sooner = 1.0, 1 + math.log(3) / SLOPE, 1 + math.log(3) / CONCEPT_SLOPE
    assert float(about.value(half)) == pytest.approx(-math.log(2))
    assert float(about.value(three_to_one)) == pytest.approx(math.log(3 / 4))
    assert float(wanted.value(half)) == pytest.approx(3 * believed(1 / 2))
    assert float(wanted.value(sooner)) == pytest.approx(3 * believed(3 / 4))
    assert float(unwanted.value(half)) == pytest.approx(-2 * math.log(2))
    assert float(unwanted.value(three_to_one)) == pytest.approx(2 * math.log(1 / 4))
    assert [float(one.value(1e6)) for one in (about, wanted)] == [0, 0]
    assert float(about.value(-1e6)) == pytest.approx(-SLOPE * 1e6, rel=1e-5)
    assert float(wanted.value(-1e6)) == pytest.approx(3 * believed(0))  # no more is ever taken away
    assert float(unwanted.value(-1e6)) == 0
    assert wanted.value(np.array([0.0, 2.0])).shape == (2,)


def test_how_far_a_condition_is_met():
    z = np.array([-1e6, 1.0, 1 + math.log(3) / SLOPE, 1 + math.log(3) / CONCEPT_SLOPE, 1e6])
    assert query().met(z)[[0, 1, 2, 4]] == pytest.approx([0, 1 / 2, 3 / 4, 1])
    assert term().met(z)[[0, 1, 3, 4]] == pytest.approx([0, 1 / 2, 3 / 4, 1])
    assert term(weight=-0.5).met(z)[[0, 1, 2, 4]] == pytest.approx([1, 1 / 2, 1 / 4, 0])


def test_slope_by_hand():
    one = query()
    at_two = (float(one.value(2.0)) - float(one.value(0.0))) / 2
    assert one.slope(np.array([2.0])) == pytest.approx([at_two])
    derivative = SLOPE / (1 + math.exp(-SLOPE))  # of log sigmoid(SLOPE (z - 1)) at 0
    assert one.slope(np.zeros(1)) == pytest.approx([derivative], rel=1e-4)
    assert term(weight=-1.0).slope(np.zeros(1)) == pytest.approx([derivative - SLOPE], rel=1e-4)
    assert term().slope(np.zeros(1)) == pytest.approx((term().value(1e-5) - term().value(0)) / 1e-5, rel=1e-3)


@given(weights, st.booleans(), st.floats(-5, 5), sizes)
def test_parts_of_z_are_parts_of_the_value(weight, of_query, threshold, z):
    one = query(threshold=threshold) if of_query else term(weight, threshold)
    whole = float(one.value(z) - one.value(0.0))
    assert float(one.slope(np.array([z]))[0]) * z == pytest.approx(whole, abs=1e-6 * abs(one.weight))


@given(weights, st.booleans(), st.floats(-5, 5), st.lists(sizes, min_size=2, max_size=9))
def test_more_is_better_where_it_is_wanted_and_nothing_is_better_than_met(weight, of_query, threshold, some):
    one = query(threshold=threshold) if of_query else term(weight, threshold)
    values = one.value(np.sort(some))
    assert np.isfinite(values).all()
    assert values.max() <= 0
    assert (np.diff(values) * np.sign(one.weight) >= -1e-9).all()


def test_words_of_the_query_count_where_its_concepts_are():
    about, there, also = query(word_weight=2.0), term(threshold=0.0), term(direction=(0, 4.0), mean=(0, 0))
    rows, none = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32), np.zeros(3)
    shares = [np.array([1.0, ENOUGH / 2, ENOUGH]), none, none]
    said = np.array([1.0, 0.5, 1.0])  # with enough of the words a document has as good as all
    (first, *others), (counted, *rest) = presences([about, there, also], rows, shares)
    met = np.minimum(there.met(there.presence(rows)), also.met(also.presence(rows)))  # of the one that has least
    assert counted == pytest.approx(said * met)
    assert first == pytest.approx(about.presence(rows) + 2 * said * met)
    for z, one, share in zip(others, (there, also), rest, strict=True):
        assert z == pytest.approx(one.presence(rows))
        assert share.tolist() == [0, 0, 0]
    for others in ((), (term(weight=-1.0),)):  # nothing is wanted beside the query
        (first, *_), (counted, *_) = presences([about, *others], rows, shares[: 1 + len(others)])
        assert counted == pytest.approx(said)
        assert first == pytest.approx(about.presence(rows, said))


def test_twice_the_strength_is_less_than_twice_the_factor():
    assert [factor_of(strength) for strength in (0.0, 1.0, -1.0)] == [0, 1, -1]
    assert factor_of(2.0) == pytest.approx(2**POWER) == -factor_of(-2.0)
    assert factor_of(0.5) == pytest.approx(1 / factor_of(2.0))
    assert 0.5 < factor_of(0.5) < 1


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 400))
def test_a_document_has_the_same_presence_beside_any_others(seed, n, d):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)).astype(np.float32)
    one = replace(term(), direction=rng.standard_normal(d), mean=rng.standard_normal(d))
    whole = one.presence(rows)
    some = np.sort(rng.choice(n, rng.integers(1, n + 1), replace=False))
    assert one.presence(rows[some]).tobytes() == whole[some].tobytes()
    assert one.presence(rows[some[:1]]).tobytes() == whole[some[:1]].tobytes()
