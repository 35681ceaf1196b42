import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.training.sparse_ops import SparseSum, column_by_column, lookup, select_top_k, transposed_product


def tensors(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 6))
def test_topk_has_the_gradients_of_the_dense_formula(seed, n, k):
    x, W, bias = tensors(seed, (n, 5), (5, 12), (12,))
    values, indices = select_top_k(x, W, bias, k, dtype=torch.float64)
    weights = torch.randn(n, k, dtype=torch.float64)
    ours = torch.autograd.grad((values * weights).sum(), [x, W, bias])
    dense, order = (x @ W + bias).topk(k, dim=1)
    assert torch.equal(order, indices)
    theirs = torch.autograd.grad((dense.relu() * weights).sum(), [x, W, bias])
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 6), st.integers(1, 12))
def test_a_correction_has_the_gradients_of_the_dense_formula(seed, n, k, prior_k):
    x, W, bias, scale, prior = tensors(seed, (n, 5), (5, 12), (12,), (12,), (n, prior_k))
    where = torch.stack([torch.randperm(12)[:prior_k] for _ in range(n)])
    values, indices = select_top_k(x, W, bias, k, dtype=torch.float64, scale=scale, prior=(where, prior))
    weights = torch.randn(n, k, dtype=torch.float64)
    inputs = [x, W, bias, scale, prior]
    ours = torch.autograd.grad((values * weights).sum(), inputs)
    dense, order = (torch.zeros(n, 12, dtype=torch.float64).scatter(1, where, prior) + scale * (x @ W) + bias).topk(k)
    assert torch.equal(order, indices)
    theirs = torch.autograd.grad((dense.relu() * weights).sum(), inputs)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-9)


def test_a_bfloat16_product_selects_nearly_the_same():
    generator = torch.Generator().manual_seed(0)
    x, W = torch.randn(64, 32, generator=generator), torch.randn(32, 200, generator=generator)
    exact, where = select_top_k(x, W, torch.zeros(200), 8)
    rough, there = select_top_k(x, W, torch.zeros(200), 8, dtype=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, exact, rtol=0.02)
    assert (lookup(there, torch.ones(64, 8), where) == 1).float().mean() > 0.95


@settings(max_examples=25)
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
    for product in (transposed_product, column_by_column):
        assert product(indices, values, x, 4).tolist() == [[1, 10], [0, 0], [2 + 6, 20 + 60], [0, 0]]


def test_lookup_by_hand():
    indices, values = torch.tensor([[5, 2, 9]]), torch.tensor([[1.0, 2.0, 3.0]])
    assert lookup(indices, values, torch.tensor([[9, 0, 2, 11]])).tolist() == [[3, 0, 2, 0]]
