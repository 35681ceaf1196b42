import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.runtime.interpret.scoring import (
    MAX_POSITIVES,
    MIN_NEGATIVES,
    EvaluationSet,
    auc,
    best_threshold,
    score,
    select_evaluation_set,
)

NUMBERS = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8)


def test_auc_by_hand():
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1
    assert auc(np.array([1.0]), np.array([1.0, 1.0])) == 0.5
    assert auc(np.array([2.0, 0.0]), np.array([1.0])) == 0.5
    assert auc(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == 0.75


@given(NUMBERS, NUMBERS)
def test_auc_is_the_share_of_pairs_in_order(up, down):
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in up for b in down]
    assert auc(np.array(up), np.array(down)) == pytest.approx(sum(pairs) / len(pairs))


@given(NUMBERS, NUMBERS)
def test_no_threshold_is_better(up, down):
    def f1(threshold):
        hits, wrong = np.mean(np.array(up) >= threshold), np.mean(np.array(down) >= threshold)
        return 2 * hits / (1 + hits + wrong)

    found = best_threshold(np.array(up), np.array(down))
    assert f1(found) == pytest.approx(max(f1(t) for t in up))


def test_threshold_comes_from_the_other_documents():
    predicted = np.array([0.9, 0.8, 0.1, 0.2, 0.7, 0.3, 0.4, 0.0])
    held_out = EvaluationSet(np.array([0, 5]), np.array([2]), np.array([6]))
    others = EvaluationSet(np.array([1, 4]), np.array([3]), np.array([7]))
    found = score(predicted, held_out, others)
    assert found.auc == 0.75  # .9 beats .1 and .4, .3 beats .1
    assert (found.auc_near, found.auc_random) == (1.0, 0.5)
    assert (found.precision, found.recall, found.positives) == (1.0, 0.5, 2)  # from .7 on it says yes
    assert found.p_value == pytest.approx(2 / 6)


def test_without_a_positive_the_threshold_is_above_all_negatives():
    predicted = np.array([0.9, 0.4, 0.3, 0.6])
    nothing = EvaluationSet(np.array([], int), np.array([], int), np.array([1, 2]))
    found = score(predicted, EvaluationSet(np.array([0]), np.array([3]), np.array([2])), nothing)
    assert (found.recall, found.precision) == (1.0, 2 / 3)  # .9 and .6 are above .4, .3 is not
    assert best_threshold(np.array([]), np.array([0.4, 0.3])) > 0.4


def test_negatives_are_near_misses_and_random_ones_that_are_not_active(monkeypatch):
    monkeypatch.setattr("steersearch.runtime.interpret.scoring.MIN_NEGATIVES", 3)
    angles = np.linspace(0, 3, 31)
    rows = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    active = np.zeros(31, bool)
    active[[0, 5, 10, 11]] = True  # 11: active, but not enough to fire
    neighbours = np.argsort(-(rows @ rows.T), axis=1, kind="stable")[:, 1:4]
    trial = select_evaluation_set(
        np.array([0, 5, 10]), active, np.ones(31, bool), neighbours, rows, np.random.default_rng(0)
    )
    assert trial is not None
    assert trial.positives.tolist() == [0, 5, 10]
    assert trial.near_misses[0] == 1
    assert trial.near_misses[1] in (4, 6)
    assert trial.near_misses[2] == 9  # 11 is as near, but the latent is active there
    assert not active[trial.random].any()


def test_only_documents_of_its_side_and_not_too_many():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1000, 4)).astype(np.float32)
    active = np.zeros(1000, bool)
    active[:500] = True
    side = np.arange(1000) % 2 == 0
    ours = np.flatnonzero(side)
    neighbours = np.tile(ours[:3], (1000, 1))  # the feature is active on all of them: every document is looked at
    trial = select_evaluation_set(np.arange(500), active, side, neighbours, rows, rng)
    assert trial is not None
    assert len(trial.positives) == len(trial.near_misses) == len(trial.random) == MAX_POSITIVES
    assert all(side[part].all() for part in (trial.positives, trial.near_misses, trial.random))
    quiet = np.flatnonzero(side & ~active)
    assert trial.near_misses.tolist() == [quiet[(rows[quiet] @ rows[p]).argmax()] for p in trial.positives]
    assert select_evaluation_set(np.arange(500), np.ones(1000, bool), side, neighbours, rows, rng) is None


def test_a_rare_feature_is_told_from_as_many_as_it_takes():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4)).astype(np.float32)
    active = np.zeros(200, bool)
    active[[7, 8, 9]] = True
    neighbours = np.argsort(-(rows @ rows.T), axis=1, kind="stable")[:, 1:65]
    everywhere = np.ones(200, bool)
    trial = select_evaluation_set(np.array([7]), active, everywhere, neighbours, rows, rng)
    assert trial is not None
    quiet = [row for row in neighbours[7] if not active[row]]
    assert trial.near_misses.tolist() == quiet[:MIN_NEGATIVES]
    assert len(trial.random) == len(set(trial.random)) == MIN_NEGATIVES
    trial = select_evaluation_set(np.array([7, 8, 9]), active, everywhere, neighbours, rows, rng)
    assert trial is not None
    assert len(trial.near_misses) == 21  # seven for each of three
    trial = select_evaluation_set(np.array([], int), active, everywhere, neighbours, rows, rng)
    assert trial is not None
    assert (len(trial.positives), len(trial.near_misses), len(trial.random)) == (0, 0, MIN_NEGATIVES)
