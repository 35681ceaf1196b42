import dataclasses

import numpy as np
import pytest
import torch

from steersearch.errors import CheckpointError, ConfigError, DataError
from steersearch.training.batches import BatchSampler, check_embeddings, nearest
from steersearch.training.config import SaeConfig, TrainConfig
from steersearch.training.distributed import product_dtype
from steersearch.training.fit import fit_embeddings
from steersearch.training.losses import largest_of_batch
from steersearch.training.sae import Codes

SMALL = TrainConfig(
    steps=40, queries_per_step=16, random_documents=8, extra_documents=16, warmup_steps=5, save_every=10, dead_steps=5
)
SHAPE = SaeConfig(n_latents=32, k=4)


@pytest.fixture(scope="module")
def data():
    """Texts of 12 topics: a topic direction plus noise."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((12, 16))

    def draw(n):
        rows = topics[rng.integers(0, 12, n)] + 0.3 * rng.standard_normal((n, 16)) + 0.5
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return draw(600), draw(120)


def test_nearest_is_the_exact_ranking_whatever_the_block(data):
    documents, queries = data
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :7]
    for block in (64, 100, 10_000):
        assert np.array_equal(nearest(queries, documents, 7, block=block), expected)
    assert nearest(queries[:2], documents[:3], 50).shape == (2, 3)


def test_a_batch_depends_only_on_its_step(data):
    documents, queries = data
    sampler = BatchSampler(queries, documents, nearest(queries, documents, 64), SMALL)
    first, again, other = (sampler.draw(step, torch.device("cpu")) for step in (3, 3, 4))
    assert torch.equal(first.documents, again.documents)
    assert torch.equal(first.queries, again.queries)
    assert first.queries.shape != other.queries.shape or not torch.equal(first.queries, other.queries)


def test_own_candidates_are_near_their_query(data):
    documents, queries = data
    sampler = BatchSampler(queries, documents, nearest(queries, documents, 20), SMALL)
    batch = sampler.draw(0, torch.device("cpu"))
    scores = batch.queries @ batch.documents.T
    own = scores.gather(1, batch.own)
    assert own.shape == (16, 4)
    assert len(set(batch.own[0].tolist())) == 4  # without replacement
    assert float(own.mean()) > float(scores.mean()) + 0.2


@pytest.mark.parametrize("loss", ["ranking", "mse", "paper"])
def test_training_lowers_the_error(data, loss):
    documents, queries = data
    make = TrainConfig.paper if loss == "paper" else TrainConfig
    start = dataclasses.replace(make(loss=loss), steps=1, queries_per_step=16, learning_rate=1e-9, warmup_steps=0)
    end = dataclasses.replace(make(loss=loss), steps=150, queries_per_step=16, warmup_steps=0, learning_rate=1e-2)
    before = fit_embeddings(documents, queries, SHAPE, start).info.metrics
    after = fit_embeddings(documents, queries, SHAPE, end).info.metrics
    assert after["fvu"] < 0.7 * before["fvu"]
    assert after["l0"] <= 4


def test_atoms_stay_at_unit_length_except_in_the_paper_recipe(data):
    ours = fit_embeddings(*data, SHAPE, SMALL)
    paper = fit_embeddings(*data, SHAPE, TrainConfig.paper(steps=20, queries_per_step=16))
    assert torch.allclose(ours.W_dec.norm(dim=1), torch.ones(32), atol=1e-5)
    assert not torch.allclose(paper.W_dec.norm(dim=1), torch.ones(32), atol=1e-2)


def test_same_seed_same_weights_other_seed_other_weights(data):
    first, again = fit_embeddings(*data, SHAPE, SMALL), fit_embeddings(*data, SHAPE, SMALL)
    other = fit_embeddings(*data, SHAPE, dataclasses.replace(SMALL, seed=1))
    assert torch.equal(first.W_dec, again.W_dec)
    assert not torch.equal(first.W_dec, other.W_dec)


def stopped_run(data, folder):
    """Return the state of a run that was stopped at its twelfth step."""
    path = folder / "r"

    def stop(stage, done, total, figures):
        if stage == "train" and done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_embeddings(*data, SHAPE, SMALL, resume_path=path, progress=stop)
    return path


def test_a_stopped_run_goes_on_to_the_same_weights(data, tmp_path):
    whole = fit_embeddings(*data, SHAPE, SMALL)
    path = tmp_path / "model.pt.resume"

    def stop(stage, done, total, figures):
        if stage == "train" and done == 23:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_embeddings(*data, SHAPE, SMALL, resume_path=path, progress=stop)
    assert path.exists()
    steps = []
    resumed = fit_embeddings(
        *data,
        SHAPE,
        SMALL,
        resume_path=path,
        resume=True,
        progress=lambda s, d, t, f: steps.append(d) if s == "train" else None,
    )
    assert steps[0] == 24  # the interrupt saved step 23 and nothing was done twice
    assert torch.equal(resumed.W_dec, whole.W_dec)
    assert torch.equal(resumed.b_enc, whole.b_enc)
    assert not path.exists()


def test_a_stopped_run_goes_on_to_another_last_step(data, tmp_path):
    path = stopped_run(data, tmp_path)
    steps = []
    longer = dataclasses.replace(SMALL, steps=SMALL.steps + 7, patience=3)
    fit_embeddings(
        *data,
        SHAPE,
        longer,
        resume_path=path,
        resume=True,
        progress=lambda s, d, t, f: steps.append((d, t)) if s == "train" else None,
    )
    assert (steps[0], steps[-1]) == ((13, longer.steps), (longer.steps, longer.steps))


def test_resuming_with_other_settings_is_refused(data, tmp_path):
    path = stopped_run(data, tmp_path)
    with pytest.raises(CheckpointError, match="temperature"):
        fit_embeddings(*data, SHAPE, dataclasses.replace(SMALL, temperature=0.1), resume_path=path, resume=True)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged"):
        fit_embeddings(*data, SHAPE, SMALL, resume_path=path, resume=True)


def test_bad_embeddings_are_named(data):
    documents, _ = data
    nan = documents.copy()
    nan[7, 3] = np.nan
    with pytest.raises(DataError, match="row 7"):
        check_embeddings(nan, "array")
    with pytest.raises(DataError, match="length 2"):
        check_embeddings(documents * 2, "array")
    with pytest.raises(DataError, match="shape"):
        check_embeddings(documents[0], "array")
    with pytest.raises(DataError, match="at least 2"):
        fit_embeddings(documents[:1], documents, SHAPE, SMALL)
    with pytest.raises(DataError, match="all the same"):
        fit_embeddings(np.repeat(documents[:1], 50, 0), documents, SHAPE, SMALL)
    with pytest.raises(ConfigError, match="16 columns"):
        fit_embeddings(documents, documents, SaeConfig(n_latents=32, k=4, d_in=17), SMALL)


def test_aux_k_brings_dead_latents_back():
    rng = np.random.default_rng(1)
    topics = rng.standard_normal((200, 32))
    rows = topics[rng.integers(0, 200, 2000)] + 0.05 * rng.standard_normal((2000, 32)) + 1.0
    x = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    # Without the tied start most latents die: that is where AuxK has something to do.
    config = dataclasses.replace(
        SMALL, steps=300, loss="mse", tied_init=False, multi_topk_weight=0.0, dead_steps=10, k_aux=64
    )
    shape = SaeConfig(n_latents=256, k=2)
    without = fit_embeddings(x, x, shape, dataclasses.replace(config, aux_weight=0.0)).info.metrics["alive"]
    with_aux = fit_embeddings(x, x, shape, dataclasses.replace(config, aux_weight=0.5)).info.metrics["alive"]
    assert with_aux > 1.2 * without


def test_real_queries_have_their_share(data):
    documents, queries = data
    neighbours = nearest(queries, documents, 64)

    def real_ones(n_real, share):
        config = dataclasses.replace(SMALL, real_share=share)
        batch = BatchSampler(queries, documents, neighbours, config, n_real=n_real).draw(0, torch.device("cpu"))
        own = {row.tobytes() for row in queries[:n_real]}
        return len(batch.queries), sum(row.numpy().tobytes() in own for row in batch.queries)

    assert real_ones(30, 0.25) == (16, 4)
    assert real_ones(90, 0.25) == (16, 12)  # 90 of 120: more than the least share
    assert real_ones(2, 0.5) == (16, 2)  # there are no more
    assert real_ones(0, 0.5) == (16, 0)


def test_batch_topk_spends_k_per_text_on_average():
    codes = Codes(torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]), torch.tensor([[9.0, 8, 7, 1], [6, 2, 1, 0]]))
    kept = largest_of_batch(codes, 2)
    assert kept.values.tolist() == [[9, 8, 7, 0], [6, 0, 0, 0]]
    assert torch.equal(kept.indices, codes.indices)
    assert len(largest_of_batch(Codes(codes.indices[:0], codes.values[:0]), 2).values) == 0


@pytest.mark.parametrize("change", [{"activation": "batch_topk"}, {"precision": "bf16"}, {"precision": "fp32"}])
def test_variants_learn_too(data, change):
    figures = []
    fit_embeddings(
        *data,
        SHAPE,
        dataclasses.replace(SMALL, steps=150, learning_rate=1e-2, **change),
        progress=lambda stage, done, total, f: figures.append(f["mse"]) if stage == "train" else None,
    )
    assert np.mean(figures[-10:]) < 0.7 * np.mean(figures[:5])


def test_a_second_layer_reconstructs_better(data):
    config = dataclasses.replace(SMALL, steps=200, learning_rate=1e-2, eval_every=200)
    fvus = [
        fit_embeddings(*data, dataclasses.replace(SHAPE, encoder_depth=depth), config).info.metrics["fvu"]
        for depth in (1, 2)
    ]
    assert fvus[1] < fvus[0]


def test_precision_follows_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    for flags, expected in (({"avx512_bf16": True}, torch.bfloat16), ({}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags, raising=False)
        assert product_dtype("auto", cpu) == expected
    assert product_dtype("bf16", cpu) == torch.bfloat16
    assert product_dtype("auto", torch.device("mps")) == torch.float32
