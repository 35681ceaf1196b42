import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import ConfigError
from steersearch.training.config import SaeConfig, TrainConfig
from steersearch.training.sae import SparseAutoencoder


def identity_sae(d: int = 3, k: int = 1) -> SparseAutoencoder:
    sae = SparseAutoencoder(SaeConfig(n_latents=d, k=k, d_in=d))
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(d))
        sae.W_dec.copy_(torch.eye(d))
    return sae


def test_by_hand_the_largest_coordinate_survives():
    sae = identity_sae()
    codes = sae.encode(torch.tensor([[0.2, 0.9, -3.0]]))
    assert codes.indices.tolist() == [[1]]
    assert sae(torch.tensor([[0.2, 0.9, -3.0]])).tolist() == [[0.0, pytest.approx(0.9), 0.0]]


def test_topk_is_on_raw_pre_activations_and_relu_comes_after():
    codes = identity_sae(k=2).encode(torch.tensor([[-1.0, -2.0, 0.5]]))
    assert codes.indices.tolist() == [[2, 0]]
    assert codes.values.tolist() == [[0.5, 0.0]]


def test_bias_is_subtracted_before_and_added_after():
    sae = identity_sae(2)
    with torch.no_grad():
        sae.b_dec.copy_(torch.tensor([1.0, 0.0]))
    x = torch.tensor([[1.5, 0.2]])
    assert sae.pre_acts(x).tolist() == [[pytest.approx(0.5), pytest.approx(0.2)]]
    assert sae(x).tolist() == [[pytest.approx(1.5), pytest.approx(0.0)]]


def test_tied_init_starts_at_the_mean_with_unit_atoms():
    mean = torch.tensor([0.1, 0.2, 0.3, 0.4])
    sae = SparseAutoencoder(SaeConfig(n_latents=8, k=2), mean=mean)
    assert sae.config.d_in == 4
    assert torch.equal(sae.W_enc, sae.W_dec.T)
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(8))
    assert torch.equal(sae.b_dec, mean)


def test_untied_init_is_that_of_two_linear_layers():
    sae = SparseAutoencoder(SaeConfig(n_latents=64, k=2, d_in=16), tied=False)
    assert not torch.equal(sae.W_enc, sae.W_dec.T)
    assert float(sae.W_enc.detach().abs().max()) <= 16**-0.5
    assert float(sae.W_dec.detach().abs().max()) <= 64**-0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(0, 2**31))
def test_sparse_decode_equals_the_dense_product(k, seed):
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(
        SaeConfig(n_latents=12, k=k, d_in=5), mean=torch.randn(5, generator=generator), generator=generator
    )
    x = torch.randn(7, 5, generator=generator)
    codes = sae.encode(x)
    dense = codes.dense(12)
    assert int((dense > 0).sum(1).max()) <= k
    assert torch.allclose(sae.decode(*codes), dense @ sae.W_dec + sae.b_dec, atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31))
def test_permuting_latents_changes_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(SaeConfig(n_latents=10, k=3, d_in=4), mean=torch.zeros(4), generator=generator)
    x = torch.randn(6, 4, generator=generator)
    before = sae(x)
    order = torch.randperm(10, generator=generator)
    with torch.no_grad():
        sae.W_enc.copy_(sae.W_enc[:, order])
        sae.W_dec.copy_(sae.W_dec[order])
        sae.b_enc.copy_(sae.b_enc[order])
    assert torch.allclose(sae(x), before, atol=1e-6)


def test_only_the_length_part_of_the_gradient_is_removed():
    sae = identity_sae(2)
    sae.W_dec.grad = torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    sae.remove_parallel_gradient()
    assert sae.W_dec.grad.tolist() == [[0.0, 4.0], [5.0, 0.0]]


@pytest.mark.parametrize("bad", [{"k": 0}, {"k": 9, "n_latents": 8}, {"n_latents": 0}, {"d_in": -1}])
def test_shapes_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match="must"):
        SaeConfig(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"temperature": 0.0},
        {"learning_rate": float("nan")},
        {"loss": "other"},
        {"candidates": 9, "pool": 8},
        {"kl_weight": -1},
    ],
)
def test_recipes_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError):
        TrainConfig(**bad)


def test_codes_do_not_depend_on_the_batch():
    generator = torch.Generator().manual_seed(0)
    sae = SparseAutoencoder(SaeConfig(n_latents=32, k=4, d_in=8), mean=torch.zeros(8), generator=generator)
    x = torch.randn(9, 8, generator=generator)
    together, alone = sae.encode(x), [sae.encode(x[i : i + 1]) for i in range(9)]
    assert np.array_equal(together.indices.numpy(), torch.cat([c.indices for c in alone]).numpy())
