import numpy as np
import pytest

from steersearch.runtime.interpret.positions import map_positions


def clusters(n, groups, noise=0.3, d=32, seed=0):
    rng = np.random.default_rng(seed)
    group = np.arange(n) % groups
    found = rng.standard_normal((groups, d))[group] + noise * rng.standard_normal((n, d))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), group


def test_two_clusters_stay_apart():
    directions, group = clusters(80, 2)
    places = map_positions(directions)
    assert places.shape == (80, 2)
    assert places.dtype == np.float32
    assert places.min() >= 0
    assert places.max() <= 1
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    same = group[:, None] == group[None]
    np.fill_diagonal(distances, np.inf)
    assert same[np.arange(80), distances.argmin(1)].all()
    np.fill_diagonal(distances, 0)
    assert distances[~same].min() > 0.5 * distances[same].max()


def test_many_clusters_keep_their_neighbours():
    directions, group = clusters(600, 20)
    places = map_positions(directions)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (group[nearest] == group[:, None]).mean() > 0.95


def test_the_same_input_gives_the_same_map():
    directions, _ = clusters(50, 3)
    assert np.array_equal(map_positions(directions), map_positions(directions))
    assert not np.array_equal(map_positions(directions), map_positions(directions, seed=1))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_few_or_equal_directions(n):
    for directions in (np.eye(n, 8, dtype=np.float32), np.ones((n, 1), np.float32), np.zeros((n, 4), np.float32)):
        places = map_positions(directions)
        assert places.shape == (n, 2)
        assert np.isfinite(places).all()
        assert len(np.unique(places, axis=0)) == n
