import math

import numpy as np
import pytest

from steersearch.arrays import unit_rows
from steersearch.metrics import qrels_of, ranking_kept, run_of, score_run, unit_codes


def test_scores_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3]], np.float32)
    found = score_run(run_of(scores), qrels_of([{1: 1}, {2: 1, 0: 1}]))
    # First query: the answer is second. Second: one answer first, the other third.
    second = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert found["nDCG@10"] == pytest.approx((1 / math.log2(3) + second) / 2)
    assert found["MRR@10"] == pytest.approx((0.5 + 1) / 2)
    assert found["R@100"] == 1


def test_only_the_best_are_kept():
    run = run_of(np.array([[0.1, 0.4, 0.3, 0.2]], np.float32), depth=2)
    assert run == {"0": {"1": pytest.approx(0.4), "2": pytest.approx(0.3)}}


def test_unit_rows_and_codes():
    assert np.allclose(unit_rows(np.array([[3, 4], [0, 0]], np.float32)), [[0.6, 0.8], [0, 0]])
    code = unit_codes(np.array([[16.0, -1.0, 0.0]], np.float32))[0]
    assert code == pytest.approx(np.array([8, -1, 0]) / math.sqrt(65))
    assert code.dtype == np.float32


def test_how_much_of_a_ranking_is_kept_by_hand():
    reference = np.array([[4.0, 3, 2, 1]], np.float32)  # grades 2, 1, 0, 0 with k = 2
    second = 1 / math.log2(3)
    whole = 2 + second
    for scores, gain in (
        ([4, 3, 2, 1], whole),
        ([9, 8, 1, 2], whole),  # what comes after the k-th does not count
        ([3, 4, 2, 1], 1 + 2 * second),  # first and second changed places
        ([4, 1, 3, 2], 2),  # the second is lost
        ([1, 2, 3, 4], 0),
    ):
        assert ranking_kept(reference, np.array([scores], np.float32), k=2) == pytest.approx(gain / whole)
    assert ranking_kept(reference, reference, k=10) == 1  # fewer documents than k
