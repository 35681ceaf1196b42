import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.metrics import unit_codes
from steersearch.runtime.steering import Change
from steersearch.runtime.views import LatentView, best_rows


def test_ties_go_to_the_earlier_row():
    rows, scores = best_rows(np.array([9, 4, 7, 5]), np.array([0.5, 0.5, 0.9, 0.5], np.float32), 2)
    assert rows.tolist() == [7, 4]
    assert scores.tolist() == [np.float32(0.9), np.float32(0.5)]
    assert best_rows(np.array([1]), np.array([0.1], np.float32), 5)[0].tolist() == [1]
    assert len(best_rows(np.zeros(0, int), np.zeros(0, np.float32), 5)[0]) == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 6))
def test_inverted_lists_equal_the_cosine_of_dense_codes(seed, n, k):
    rng = np.random.default_rng(seed)
    n_latents = 15
    indices = np.array([rng.choice(n_latents, k, replace=False) for _ in range(n)])
    values = np.maximum(rng.uniform(-0.3, 1, (n, k)), 0).astype(np.float32)
    rows = np.sort(rng.choice(1000, n, replace=False))
    dense = np.zeros((n, n_latents), np.float32)
    np.put_along_axis(dense, indices, values, 1)
    half = n // 2
    view = LatentView(rows, [(indices[:half], values[:half]), (indices[half:], values[half:])], n_latents)
    latents = np.sort(rng.choice(n_latents, 4, replace=False))
    after = rng.standard_normal(4).astype(np.float32)
    change = Change(latents, np.zeros(4, np.float32), after)
    _, scores = view.search(change, 5, None)
    expected = unit_codes(dense)[:, latents] @ unit_codes(after[None])[0]
    assert np.allclose(scores, np.sort(expected)[::-1][:5], atol=1e-5)
    allowed = rows[::2]
    narrowed, _ = view.search(change, n, allowed)
    assert sorted(narrowed.tolist()) == allowed.tolist()
