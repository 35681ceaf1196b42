import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import ConfigError, SteeringWarning
from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.steering.change import add_step, apply, check_strength, step_of
from steersearch.runtime.steering.explain import explain_all

D, N = 8, 20


def steer(query, change, atoms):
    return add_step(query, step_of(change, atoms))


def world(seed):
    """Unit atoms, a unit query, its three-latent code, typical activations and a unit document."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((N, D)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    query, document = (v / np.linalg.norm(v) for v in rng.standard_normal((2, D)).astype(np.float32))
    indices = rng.choice(N, 3, replace=False)
    values = np.array([0.5, 0.2, 0.0], np.float32)
    typical = rng.uniform(0.1, 0.6, N).astype(np.float32)
    return atoms, query, document, indices, values, typical


seeds = st.integers(0, 2**31)
latents = st.integers(0, N - 1)
strengths = st.floats(-5, 5).filter(lambda s: abs(s) > 1e-3)


def test_by_hand():
    typical = np.array([0.4, 0.5, 0.6], np.float32)
    change = apply(
        np.array([0, 2]), np.array([0.3, 0.0], np.float32), typical, boost=[({1: 0.5}, 2.0), ({0: 1.0}, -1.0)]
    )
    assert change.latents.tolist() == [0, 1]
    assert change.before.tolist() == [pytest.approx(0.3), 0.0]
    assert change.after.tolist() == [pytest.approx(-0.1), pytest.approx(0.5)]
    moved = steer(np.array([1.0, 0, 0], np.float32), change, np.eye(3, dtype=np.float32))
    expected = np.array([1 - 0.4, 0.5, 0]) / np.linalg.norm([0.6, 0.5, 0])
    assert moved == pytest.approx(expected, abs=1e-6)


def test_clamp_sets_removes_and_wins():
    typical = np.array([0.4, 0.5], np.float32)
    code = np.array([0, 1]), np.array([0.3, 0.2], np.float32)
    assert apply(*code, typical, clamp=[({0: 1.0}, 0.0)]).after.tolist() == [0.0, pytest.approx(0.2)]
    assert apply(*code, typical, clamp=[({1: 1.0}, 2.0)]).after.tolist() == [pytest.approx(0.3), pytest.approx(1.0)]
    assert apply(*code, typical, boost=[({0: 1.0}, 3.0)], clamp=[({0: 1.0}, 1.0)]).after[0] == pytest.approx(0.4)
    assert apply(*code, typical, clamp=[({0: 1.0}, 0.0)]).latents.tolist() == [0, 1]


@given(seeds)
def test_empty_and_zero_boosts_return_the_query_itself(seed):
    atoms, query, _, indices, values, typical = world(seed)
    for boost in ([], [({3: 1.0, 4: 0.5}, 0.0)], [({}, 2.0)]):
        assert steer(query, apply(indices, values, typical, boost), atoms) is query


@given(seeds, latents, strengths)
def test_the_result_has_unit_length_and_moves_towards_the_atom(seed, latent, strength):
    atoms, query, _, indices, values, typical = world(seed)
    moved = steer(query, apply(indices, values, typical, [({latent: 1.0}, strength)]), atoms)
    assert np.linalg.norm(moved) == pytest.approx(1, abs=1e-5)
    before, after = float(query @ atoms[latent]), float(moved @ atoms[latent])
    assert (after >= before - 1e-6) if strength > 0 else (after <= before + 1e-6)


@given(seeds, latents, strengths)
def test_opposite_boosts_cancel(seed, latent, strength):
    atoms, query, _, indices, values, typical = world(seed)
    change = apply(indices, values, typical, [({latent: 1.0}, strength), ({latent: 1.0}, -strength)])
    assert steer(query, change, atoms) == pytest.approx(query, abs=1e-6)


@settings(max_examples=60)
@given(seeds, st.dictionaries(latents, strengths, max_size=4), st.dictionaries(latents, st.floats(-2, 2), max_size=2))
def test_explanations_add_up_to_the_score(seed, boost, clamp):
    atoms, query, document, indices, values, typical = world(seed)
    change = apply(
        indices, values, typical, [({i: 1.0}, s) for i, s in boost.items()], [({i: 1.0}, s) for i, s in clamp.items()]
    )
    score = float(steer(query, change, atoms) @ document)
    features = [Feature(i, None, 0, 0, float(typical[i]), 0) for i in range(N)]
    explanation = explain_all(["d"], query, document[None], change, atoms, features)[0]
    assert explanation.score == pytest.approx(score, abs=1e-5)
    assert sum(p.contribution for p in explanation.parts) + explanation.rest == pytest.approx(score, abs=1e-5)
    assert {p.feature.id for p in explanation.parts} == {int(i) for i in change.latents}
    sizes = [abs(p.contribution) for p in explanation.parts]
    assert sizes == sorted(sizes, reverse=True)


def test_boosts_that_cancel_the_query_out():
    change = apply(np.array([0]), np.array([1.0], np.float32), np.ones(2, np.float32), [({0: 1.0}, -1.0)])
    with pytest.raises(ConfigError, match="cancel"):
        steer(np.array([1.0, 0.0], np.float32), change, np.eye(2, dtype=np.float32))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "1", None, True, pytest.param(10**5000, id="huge")])
def test_strengths_that_are_not_numbers(bad):
    with pytest.raises(ConfigError, match="jazz"):
        check_strength("jazz", bad)


@pytest.mark.parametrize(("absurd", "bound"), [(101, 100), (-1e300, -100), (np.float32(1e9), 100)])
def test_absurd_strengths_are_bounded_with_a_warning(absurd, bound):
    with pytest.warns(SteeringWarning, match=f"'jazz'.* taken as {bound}, the bound"):
        assert check_strength("jazz", absurd) == bound
    assert check_strength("jazz", bound) == bound  # itself is no reason to warn
