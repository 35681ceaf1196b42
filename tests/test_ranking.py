import math

import numpy as np
import pytest

from steersearch.metrics import unit_codes, unit_rows
from steersearch.ranking import qrels_of, run_of, score_run


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
