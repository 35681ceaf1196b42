import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.runtime.steering.concept_directions import sparse_direction


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_an_atom_is_itself():
    latents, coefficients, fit = sparse_direction(np.array([0, 1, 0], np.float32), np.eye(3, dtype=np.float32), 5)
    assert latents.tolist() == [1]
    assert coefficients.tolist() == [pytest.approx(1.0)]
    assert fit == pytest.approx(1.0)


def test_a_mixture_is_taken_apart():
    target = unit(np.array([3.0, 0, 4.0]))
    latents, coefficients, fit = sparse_direction(target, np.eye(3, dtype=np.float32), 5)
    assert dict(zip(latents.tolist(), coefficients.tolist(), strict=True)) == {
        2: pytest.approx(0.8),
        0: pytest.approx(0.6),
    }
    assert fit == pytest.approx(1.0)


def test_nothing_points_there_and_unusable_atoms_stay_out():
    atoms = np.eye(2, dtype=np.float32)
    latents, _, fit = sparse_direction(np.array([-1, 0], np.float32), atoms, 5)
    assert len(latents) == 0
    assert fit == 0
    latents, _, _ = sparse_direction(unit(np.array([1.0, 0.5])), atoms, 5, np.array([False, True]))
    assert latents.tolist() == [1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_coefficients_are_positive_few_and_the_fit_is_their_cosine(seed, limit):
    rng = np.random.default_rng(seed)
    atoms, target = unit(rng.standard_normal((30, 10))), unit(rng.standard_normal(10))
    latents, coefficients, fit = sparse_direction(target, atoms, limit)
    assert 1 <= len(latents) <= limit
    assert len(set(latents.tolist())) == len(latents)
    assert (coefficients > 0).all()
    made = coefficients @ atoms[latents]
    assert fit == pytest.approx(float(made @ target / np.linalg.norm(made)), abs=1e-4)
    assert fit >= float((atoms @ target).max()) - 1e-4  # never worse than the best single atom
