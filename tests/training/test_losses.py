import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.training.losses import aux_k, paper_kl, ranking_kl, squared_error


def test_squared_error_by_hand():
    x, x_hat = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    assert float(squared_error(x, x_hat)) == pytest.approx((1 + 4) / 2)
    assert float(squared_error(x, x_hat, torch.tensor([3.0, 1.0]))) == pytest.approx((3 * 1 + 4) / 4)


def test_ranking_kl_by_hand():
    target, scores = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[0.0, 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(ranking_kl(target, scores, 1.0)) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=8), st.floats(-5, 5), st.floats(0.01, 2))
def test_ranking_kl_ignores_a_shift_and_is_never_negative(row, shift, temperature):
    target = torch.tensor([row])
    assert float(ranking_kl(target, target + shift, temperature)) == pytest.approx(0, abs=1e-4)
    assert float(ranking_kl(target, -target, temperature)) >= -1e-5


def test_paper_kl_is_the_formula_of_its_code():
    target, scores = torch.tensor([[0.8, 0.5, 0.1]]), torch.tensor([[0.7, 0.6, 0.2]])
    s, s_hat = target.exp()[0], scores.exp()[0]
    expected = 0.0
    for k in range(3):
        p, q = s[k] / (s[k] + s.sum()), s_hat[k] / (s_hat[k] + s_hat.sum())
        expected += float(p * (p.log() - q.log()))
    assert float(paper_kl(target, scores)) == pytest.approx(expected, rel=1e-4)


def test_aux_k_by_hand():
    error = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # spread about its mean: 1
    assert float(aux_k(error, error)) == pytest.approx(0)
    assert float(aux_k(error, torch.zeros(2, 2))) == pytest.approx(2)
    assert float(aux_k(error, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))) == pytest.approx(1)
