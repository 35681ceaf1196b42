import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.steering.change import PROTECTED, add_step, apply, orthogonalise, shifted, step_of, strongest
from steersearch.runtime.steering.explain import explain_all

D, N = 16, 40


def steer(query, change, atoms):
    return add_step(query, step_of(change, atoms))


def world(seed):
    """Unit atoms (two of them equal), a unit query, its five-latent code, typical activations and a unit document."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((N, D)).astype(np.float32)
    atoms[1] = atoms[0]
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    query, document = (v / np.linalg.norm(v) for v in rng.standard_normal((2, D)).astype(np.float32))
    indices = np.concatenate([[0, 1], rng.choice(np.arange(2, N), 4, replace=False)])
    values = np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.0], np.float32)
    return atoms, query, document, indices, values, rng.uniform(0.1, 0.6, N).astype(np.float32)


seeds = st.integers(0, 2**31)
boosts = st.dictionaries(st.integers(0, N - 1), st.floats(-4, 4), min_size=1, max_size=5)


def test_the_strongest_by_what_is_typical():
    typical = np.array([1.0, 0.1, 0.5, 0.0, 0.2], np.float32)
    indices, values = np.array([0, 1, 2, 3, 4]), np.array([0.9, 0.2, 0.5, 0.7, 0.0], np.float32)
    assert strongest(indices, values, typical).tolist() == [1, 2, 0]  # 2, 1 and .9; 3 has no unit, 4 is not active
    assert strongest(indices, values, typical, without=[2, 4]).tolist() == [1, 0]
    many = np.arange(20)
    assert len(strongest(many, np.ones(20, np.float32), np.ones(20, np.float32))) == PROTECTED


def test_by_hand():
    atoms = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    query = np.array([1, 0, 0], np.float32)
    change = apply(np.array([0]), np.array([0.5], np.float32), np.ones(3, np.float32), [({1: 1.0}, 2.0)])
    made = orthogonalise(change, np.array([0]), atoms)
    assert made.latents.tolist() == [0, 1]
    assert made.after == pytest.approx([0.5 - 1.2, 2.0])  # 2 * .6 along atom 0 is given back
    assert shifted(query, made, atoms) == pytest.approx([1, 1.6, 0])


@given(seeds, boosts)
def test_the_own_features_stay_and_explanations_add_up(seed, boost):
    atoms, query, document, indices, values, typical = world(seed)
    own = strongest(indices, values, typical)
    change = apply(indices, values, typical, [({latent: 1.0}, s) for latent, s in boost.items()])
    made = orthogonalise(change, own, atoms)
    moved = shifted(query, made, atoms)
    # how strongly the query points along each of its own atoms, and along everything they span
    assert atoms[own] @ moved == pytest.approx(atoms[own] @ query.astype(np.float64), abs=1e-5)
    within = np.random.default_rng(seed).standard_normal(len(own)) @ atoms[own]
    assert moved @ within == pytest.approx(query @ within, abs=1e-4)
    features = [Feature(i, None, 0, 0, float(typical[i]), 0) for i in range(N)]
    explanation = explain_all(["d"], query, document[None], made, atoms, features)[0]
    total = sum(part.contribution for part in explanation.parts) + explanation.rest
    assert total == pytest.approx(float(steer(query, made, atoms) @ document), abs=1e-5)


@given(seeds, boosts)
def test_what_is_orthogonal_already_is_left_alone(seed, boost):
    *_, indices, values, typical = world(seed)
    atoms = np.eye(N, dtype=np.float32)
    away = {latent: s for latent, s in boost.items() if latent not in indices}
    change = apply(indices, values, typical, [({latent: 1.0}, s) for latent, s in away.items()])
    made = orthogonalise(change, strongest(indices, values, typical), atoms)
    assert np.array_equal(made.after, change.after)


def test_nothing_to_change_or_to_protect():
    atoms, _, _, indices, values, typical = world(0)
    same, moved = apply(indices, values, typical), apply(indices, values, typical, [({7: 1.0}, 1.0)])
    assert orthogonalise(same, np.array([0]), atoms) is same
    assert orthogonalise(moved, np.zeros(0, np.int64), atoms) is moved
