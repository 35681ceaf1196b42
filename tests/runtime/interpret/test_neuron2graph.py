import numpy as np

from steersearch.arrays import unit_rows
from steersearch.runtime.interpret.neuron2graph import ITERATIONS, RIDGE, TokenMeans, fit_token_model


def test_tokens_that_make_the_direction_are_found():
    """Texts point where the sum of their tokens' vectors points; the common token 0 says nothing."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 8)).astype(np.float32)
    texts = [np.concatenate([[0], rng.choice(np.arange(1, 40), 5, replace=False)]) for _ in range(600)]
    goal = unit_rows(np.stack([vectors[text[1:]].sum(0) for text in texts]))
    model = fit_token_model(texts[:500], goal[:500], [], np.empty((0, 8), np.float32))
    held_out = model.directions(texts[500:])
    assert (held_out * goal[500:]).sum(1).mean() > 0.9
    assert model.idf[0] == 0  # in every text
    assert np.allclose(np.linalg.norm(held_out, axis=1), 1, atol=1e-5)


def test_it_is_ridge_regression():
    """Against the closed form, on a problem small enough to write down."""
    texts = [np.array([1, 2]), np.array([2, 3]), np.array([1, 3]), np.array([1])]
    goal = np.eye(4, dtype=np.float32)
    model = fit_token_model(texts, goal, [], np.empty((0, 4), np.float32))
    idf = np.log(4 / np.array([3, 2, 2]))
    rows = unit_rows(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0]]) * idf) * 2  # documents count twice
    closed = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(3), rows.T @ (goal * 2))
    assert ITERATIONS >= 3
    assert np.allclose(model.table, closed, atol=1e-4)


def test_parts_add_up_and_unknown_tokens_add_nothing():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 30, 6) for _ in range(50)]
    model = fit_token_model(texts, rng.normal(size=(50, 4)).astype(np.float32), texts[:5], np.ones((5, 4), np.float32))
    a, b, both, strange = model.sums([np.array([3]), np.array([4]), np.array([3, 4]), np.array([999])])
    assert np.allclose(a + b, both, atol=1e-6)
    assert not strange.any()
    assert not model.directions([np.array([999]), np.array([], np.int64)]).any()
    atom = np.array([1.0, 0, 0, 0], np.float32)
    at = np.searchsorted(model.tokens, 3)
    assert np.isclose(model.shares(atom)[at], a[0])


def test_what_tokens_add_by_themselves_tells_apart_those_that_always_occur_together():
    rng = np.random.default_rng(0)
    # Token 1 points along the first axis and 2 along the second; where one is, the other is too.
    texts = [np.array([1, 2, 3 + i % 5]) if i % 2 else np.array([3 + i % 5, 9]) for i in range(60)]
    goal = unit_rows(
        np.stack([[1, 1, 0, 0] if 1 in text else [0, 0, 1, 1] for text in texts]).astype(np.float32)
        + 0.1 * rng.normal(size=(60, 4)).astype(np.float32)
    )
    none = np.empty((0, 4), np.float32)
    means = TokenMeans(np.array([0, 1, 2]), np.eye(3, 4, k=-1, dtype=np.float32)[[0, 1, 2]])
    alone = [np.array([1]), np.array([2])]
    without, informed = (fit_token_model(texts, goal, [], none, known).directions(alone) for known in (None, means))
    assert np.isclose(without[0] @ without[1], 1, atol=1e-3)
    assert informed[0, 0] > informed[0, 1] + 0.3
    assert informed[1, 1] > informed[1, 0] + 0.3
