import numpy as np
import pytest

from steersearch.arrays import unit_rows
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments, firing_statistics
from steersearch.runtime.interpret.scoring import nearest_in_same_half, select_splits


def encoded(activations, rows=None):
    """Documents with these activations, shape (n, n_latents); all latents are kept."""
    activations = np.array(activations, np.float32)
    n, latents = activations.shape
    rows = np.random.default_rng(0).normal(size=(n, 4)) if rows is None else np.array(rows)
    indices = np.tile(np.arange(latents), (n, 1))
    return EncodedDocuments(
        [f"d{i}" for i in range(n)], [""] * n, unit_rows(rows.astype(np.float32)), indices, activations, latents
    )


def test_what_is_seen_of_a_latent():
    column = [1.0, 0.5, 0.2, 0.0, 0.0, 0.8]
    found = list(firing_statistics(encoded([[a, 0.0] for a in column])))
    assert [e.latent for e in found] == [0, 1]
    first, silent = found
    assert first.active == 4
    assert first.fires == 3  # .2 is below a quarter of the 95th percentile, .97
    assert first.top.tolist() == [0, 5, 1]
    assert first.quantiles == pytest.approx(np.quantile([1.0, 0.5, 0.2, 0.8], (0.5, 0.75, 0.9, 0.95, 1.0)))
    assert (silent.fires, silent.active, len(silent.top), len(silent.near_misses)) == (0, 0, 0, 0)
    assert silent.quantiles == (0.0,) * 5


def test_near_misses_are_the_nearest_without_it_that_labels_may_be_made_from():
    angles = np.linspace(0, np.pi, 40)
    where = encoded([[1.0] if i < 10 else [0.0] for i in range(40)], np.stack([np.cos(angles), np.sin(angles)], 1))
    [found] = firing_statistics(where)
    seen = [i for i in range(10, 40) if not where.held_out[i]]
    assert found.near_misses.tolist() == seen[:3]


def test_companions_by_how_much_more_often_than_by_chance():
    rng = np.random.default_rng(0)
    together = rng.random(200) < 0.1
    values = np.stack([together, together, rng.random(200) < 0.9, rng.random(200) < 0.1], 1).astype(float)
    found = next(iter(firing_statistics(encoded(values))))
    latent, lift = found.companions[0]
    assert latent == 1
    assert lift == pytest.approx(1 / together.mean(), rel=1e-5)
    assert all(other != 0 for other, _ in found.companions)


def test_neighbours_stay_on_their_side():
    where = encoded(np.ones((60, 1)))
    near = nearest_in_same_half(where, block=7)
    for row in range(60):
        side = np.flatnonzero((where.held_out == where.held_out[row]) & (np.arange(60) != row))
        exact = side[np.argsort(-(where.embeddings[side] @ where.embeddings[row]), kind="stable")]
        assert near[row].tolist() == exact[: near.shape[1]].tolist()


def test_trials_hold_documents_of_their_side_only():
    rng = np.random.default_rng(0)
    where = encoded((rng.random((100, 3)) < [0.3, 0.02, 1.0]).astype(float))
    often, seldom, always = select_splits(where)
    assert often is not None
    for trial, side in ((often.held_out, where.held_out), (often.training, ~where.held_out)):
        for part in (trial.positives, trial.near_misses, trial.random):
            assert side[part].all()
    assert seldom is None
    assert always is None  # there is nothing to tell it from
    again = select_splits(where)[0]
    assert again is not None
    assert again.held_out.random.tolist() == often.held_out.random.tolist()
