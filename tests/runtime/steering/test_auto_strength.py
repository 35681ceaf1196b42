import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.errors import ConfigError
from steersearch.runtime.steering.auto_strength import largest_strength
from steersearch.runtime.steering.change import MAX_STRENGTH
from steersearch.runtime.steering.request import auto_sign, check_keep

D = 6
seeds = st.integers(0, 2**31)
keeps = st.floats(0.01, 1.0)


def drawn(seed, started=True):
    """A unit query, what numbers have made of it (at a cosine of about .97), and a step."""
    rng = np.random.default_rng(seed)
    query = rng.standard_normal(D)
    query /= np.linalg.norm(query)
    start = query + (0.1 * rng.standard_normal(D) if started else 0)
    return query, start, rng.standard_normal(D) * rng.uniform(0.01, 1)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_by_hand():
    query, step = np.array([1.0, 0]), np.array([0.0, 0.5])
    # cos = 1 / sqrt(1 + s² / 4) = .8 where s / 2 = .75
    assert largest_strength(query, query, step, 0.8) == pytest.approx(1.5)
    assert largest_strength(query, query, -step, 0.8) == pytest.approx(1.5)
    assert largest_strength(query, query, step, 1.0) == pytest.approx(0, abs=1e-5)
    assert largest_strength(query, query, np.array([2.0, 0]), 0.8) == MAX_STRENGTH  # towards the query: no end
    assert largest_strength(query, query, np.zeros(2), 0.8) == 0.0
    start = np.array([1.0, 1.0])  # at .71 already
    assert largest_strength(query, start, step, 0.8) == 0.0
    # the way out is counted, not the way in: start above, through the query, and out below
    assert largest_strength(query, np.array([1.0, 0.5]), -step, 0.8) == pytest.approx(2.5)


@given(seeds, keeps, st.booleans())
def test_the_cosine_equals_keep_or_a_bound_is_reached(seed, keep, started):
    query, start, step = drawn(seed, started)
    strength = largest_strength(query, start, step, keep)
    assert 0 <= strength <= MAX_STRENGTH
    kept = cosine(query, start + strength * step)
    if cosine(query, start) < keep - 1e-9:
        assert strength == 0
    elif strength == MAX_STRENGTH:
        assert kept >= keep - 1e-9
    else:
        assert kept == pytest.approx(keep, abs=1e-4)


@given(seeds, keeps, keeps)
def test_the_more_is_kept_the_weaker_it_gets(seed, one, other):
    query, start, step = drawn(seed, started=False)
    low, high = sorted((one, other))
    assert largest_strength(query, start, step, high) <= largest_strength(query, start, step, low) + 1e-9


@given(seeds, keeps)
def test_nothing_larger_would_do(seed, keep):
    query, start, step = drawn(seed)
    strength = largest_strength(query, start, step, keep)
    if cosine(query, start) >= keep and strength < MAX_STRENGTH:
        for larger in np.linspace(strength, MAX_STRENGTH, 50)[1:]:
            assert cosine(query, start + larger * step) < keep + 1e-9


def test_what_a_person_may_write():
    assert [auto_sign(s) for s in ("auto", "-auto", " AUTO ", "1", 1.0, True, None)] == [1, -1, 1, 0, 0, 0, 0]
    assert check_keep(np.float32(0.5)) == 0.5
    for bad in (0, -1, 1.01, float("nan"), "0.9", True, None):
        with pytest.raises(ConfigError, match="keep is"):
            check_keep(bad)
