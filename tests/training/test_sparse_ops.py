import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.training.sparse_ops import SelectTopK, SparseSum, transposed_product


def tensors(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 6))
def test_topk_has_the_gradients_of_the_dense_formula(seed, n, k):
    x, W_enc, b_enc, b_dec = tensors(seed, (n, 5), (5, 12), (12,), (5,))
    values, indices = SelectTopK.apply(x, W_enc, b_enc, b_dec, k)
    weights = torch.randn(n, k, dtype=torch.float64)
    ours = torch.autograd.grad((values * weights).sum(), [x, W_enc, b_enc, b_dec])
    dense, order = ((x - b_dec) @ W_enc + b_enc).topk(k, dim=1)
    assert torch.equal(order, indices)
    theirs = torch.autograd.grad((dense.relu() * weights).sum(), [x, W_enc, b_enc, b_dec])
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 6))
def test_sums_have_the_gradients_of_the_dense_product(seed, n, k):
    values, rows = tensors(seed, (n, k), (12, 5))
    indices = torch.stack([torch.randperm(12, generator=torch.Generator().manual_seed(seed + i))[:k] for i in range(n)])
    out = SparseSum.apply(indices, values, rows)
    dense = torch.zeros(n, 12, dtype=torch.float64).scatter(1, indices, values) @ rows
    assert torch.allclose(out, dense)
    weights = torch.randn(n, 5, dtype=torch.float64)
    for mine, other in zip(
        torch.autograd.grad((out * weights).sum(), [values, rows]),
        torch.autograd.grad((dense * weights).sum(), [values, rows]),
        strict=True,
    ):
        assert torch.allclose(mine, other, atol=1e-9)


def test_transposed_product_by_hand():
    indices, values = torch.tensor([[0, 2], [2, 1]]), torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0]])
    assert transposed_product(indices, values, x, 4).tolist() == [[1, 10], [0, 0], [2 + 6, 20 + 60], [0, 0]]


def test_gradcheck():
    x, W_enc, b_enc, b_dec = tensors(3, (4, 3), (3, 7), (7,), (3,))
    assert torch.autograd.gradcheck(lambda *a: SelectTopK.apply(*a, 2)[0], (x, W_enc, b_enc, b_dec))
    values, rows = tensors(4, (4, 2), (7, 3))
    indices = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 0]])
    assert torch.autograd.gradcheck(lambda v, r: SparseSum.apply(indices, v, r), (values, rows))


def test_long_gathers_are_split(monkeypatch):
    monkeypatch.setattr("steersearch.training.sparse_ops._GATHERED", 1)
    values, rows = tensors(5, (6, 2), (7, 3))
    indices = torch.randint(0, 7, (6, 2))
    out = SparseSum.apply(indices, values, rows)
    dense = (rows[indices] * values[..., None]).sum(1)
    for mine, other in zip(
        torch.autograd.grad(out.sum(), [values, rows]), torch.autograd.grad(dense.sum(), [values, rows]), strict=True
    ):
        assert mine == pytest.approx(other)
