"""Held-out retention, which weights are kept, early stops, and the metrics file."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import torch

from steersearch.errors import DataError
from steersearch.training.batches import BatchSampler, moments, nearest
from steersearch.training.config import SaeConfig, TrainConfig
from steersearch.training.dev_set import DevSet, latent_scores, split_queries
from steersearch.training.fit import fit_embeddings
from steersearch.training.metrics_log import MetricsLog
from steersearch.training.sae import SparseAutoencoder
from steersearch.training.trainer import Trainer

SMALL = TrainConfig(
    steps=40, queries_per_step=16, random_documents=8, extra_documents=16, warmup_steps=5, eval_every=10, dead_steps=5
)
SHAPE = SaeConfig(n_latents=32, k=4)


def unit(seed, n, d=16):
    rows = np.random.default_rng(seed).standard_normal((n, d)) + 0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def identity_sae(d=4, k=4):
    sae = SparseAutoencoder(SaeConfig(n_latents=2 * d, k=k, d_in=d, encoder_depth=1))
    atoms = torch.cat([torch.eye(d), -torch.eye(d)])
    with torch.no_grad():
        sae.W_enc.copy_(atoms.T)
        sae.W_dec.copy_(atoms)
    return sae


def test_a_lossless_model_keeps_everything():
    dev = DevSet.choose(unit(0, 9, 4), unit(1, 60, 4), [{i: 1} for i in range(9)])
    figures = dev.measure(identity_sae())
    assert figures["fvu"] == pytest.approx(0, abs=1e-9)
    assert figures["overlap10_reconstruction"] == 1
    assert figures["ndcg10_reconstruction"] == pytest.approx(1)
    # An axis and its opposite are two latents: codes do not know that they exclude each other.
    assert 0.7 < figures["overlap10_latent"] < 1


def test_retention_is_the_overlap_with_or_without_judgments():
    queries, documents = unit(0, 30), unit(1, 80)
    sae = SparseAutoencoder(SHAPE, mean=torch.from_numpy(documents.mean(0)))
    without = DevSet.choose(queries, documents).measure(sae)
    judged = DevSet.choose(queries, documents, [{i: 1} for i in range(30)]).measure(sae)
    assert "ndcg10_latent" not in without
    assert without["retention"] == pytest.approx(
        (without["overlap10_reconstruction"] + without["overlap10_latent"]) / 2
    )
    assert judged["retention"] == without["retention"]  # nDCG of a few queries would choose weights by chance
    assert judged["ndcg10_latent"] > 0


def test_a_large_corpus_is_cut_to_what_matters():
    queries, documents = unit(0, 5), unit(1, 2000)
    relevant = [{1999 - i: 2} for i in range(5)]
    dev = DevSet.choose(queries, documents, relevant, limit=300)
    assert 250 < len(dev.documents) <= 300
    for i, rows in enumerate(dev.relevant):
        ((row, grade),) = rows.items()
        assert grade == 2
        assert np.array_equal(dev.documents[row], documents[1999 - i])
    best = (queries @ documents.T).max(1)
    assert np.allclose((queries @ dev.documents.T).max(1), best)


def test_latent_scores_are_cosines_of_sublinear_codes():
    rng = np.random.default_rng(0)
    codes = [
        (np.array([rng.choice(20, 3, replace=False) for _ in range(n)]), rng.uniform(0, 1, (n, 3)).astype(np.float32))
        for n in (4, 7)
    ]
    dense = [np.zeros((len(ids), 20)) for ids, _ in codes]
    for rows, (ids, values) in zip(dense, codes, strict=True):
        np.put_along_axis(rows, ids, values, 1)
        rows **= 0.75
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(latent_scores(*codes, 20), dense[0] @ dense[1].T, atol=1e-6)


def test_split_holds_out_judged_queries_when_there_are_enough():
    documents, queries = unit(0, 50), unit(1, 300)
    relevant = [{i % 50: 1} for i in range(200)]
    kept, n_real, dev = split_queries(documents, queries, 200, relevant, seed=0)
    assert (len(kept), n_real, len(dev.queries)) == (270, 170, 30)
    for query, rows in zip(dev.queries, dev.relevant, strict=True):
        at = int(np.flatnonzero((queries == query).all(1))[0])
        assert rows == relevant[at]
        assert not (kept == query).all(1).any()
    kept, n_real, dev = split_queries(documents, queries, 99, relevant[:99], seed=0)
    assert (len(kept), dev.relevant) == (285, None)
    assert len(split_queries(documents, queries[:1], 0, None, seed=0)[0]) == 1


def test_a_constant_column_is_named_and_survived(caplog):
    documents = unit(0, 80)
    documents[:, 3] = 0
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    with caplog.at_level(logging.WARNING):
        sae = fit_embeddings(documents, documents, SHAPE, SMALL)
    assert "the first is 3" in caplog.text
    assert all(torch.isfinite(p).all() for p in sae.parameters())
    with pytest.raises(DataError, match="all the same"):
        moments(np.tile(documents[:1], (9, 1)))


def test_fewer_documents_than_k():
    with pytest.raises(DataError, match="3 documents and k = 4"):
        fit_embeddings(unit(0, 3), unit(1, 5), SHAPE, SMALL)


def trainer(config, dev=None, **kwargs):
    documents, queries = unit(0, 300), unit(1, 60)
    sae = SparseAutoencoder(
        dataclasses.replace(SHAPE, d_in=16),
        mean=torch.from_numpy(documents.mean(0)),
        generator=torch.Generator().manual_seed(0),
    )
    sampler = BatchSampler(queries, documents, nearest(queries, documents, 64), config)
    return Trainer(sae, sampler, config, variance=0.7, dev=dev, **kwargs)


class Falling(DevSet):
    """A dev set on which the second measurement is the best."""

    def measure(self, sae):
        self.__dict__["seen"] = [*self.__dict__.get("seen", []), sae.W_dec.detach().clone()]
        return {"retention": [0.5, 0.9, 0.8, 0.7, 0.6, 0.9][len(self.__dict__["seen"]) - 1]}


def test_the_best_weights_are_kept():
    dev = Falling(unit(2, 5), unit(0, 300))
    run = trainer(SMALL, dev)
    run.run()
    assert len(dev.__dict__["seen"]) == 5  # four measurements, and one of what is kept
    assert run.best_step == 20
    assert torch.equal(run.sae.W_dec, dev.__dict__["seen"][1])


def test_patience_stops_early():
    run = trainer(dataclasses.replace(SMALL, steps=1000, patience=2), Falling(unit(2, 5), unit(0, 300)))
    run.run()
    assert run.step == 40
    assert run.best_step == 20


def test_a_resumed_run_remembers_its_best(tmp_path):
    config = dataclasses.replace(SMALL, save_every=30)
    run = trainer(config, Falling(unit(2, 5), unit(0, 300)), resume_path=tmp_path / "resume")

    def stop(step, figures):
        if step == 35:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(stop)
    again = trainer(config, Falling(unit(2, 5), unit(0, 300)), resume_path=tmp_path / "resume")
    assert again.resume() == 35
    assert (again.best_step, again.best_retention) == (20, 0.9)
    assert torch.equal(again.best["W_dec"], run.best["W_dec"])


def test_a_run_resumed_after_its_last_step_still_has_figures(tmp_path):
    documents, queries = unit(0, 200), unit(1, 60)

    def stop(stage, done, total, figures):
        if stage == "train" and done == SMALL.steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_embeddings(documents, queries, SHAPE, SMALL, resume_path=tmp_path / "r", progress=stop)
    sae = fit_embeddings(documents, queries, SHAPE, SMALL, resume_path=tmp_path / "r", resume=True)
    assert sae.info.metrics["retention"] > 0


def test_metrics_file_goes_on_after_the_step_that_is_resumed(tmp_path):
    path = tmp_path / "log" / "m.jsonl"
    log = MetricsLog(path)
    for step in (1, 2, 3):
        log.write(step, {"loss": 1 / step})
    log.close()
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # cut short by a kill
    log = MetricsLog(path, step=2)
    log.write(3, {"loss": 9.0})
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"] == 9.0


def test_fit_writes_a_line_per_step_with_dev_figures(tmp_path):
    fit_embeddings(unit(0, 200), unit(1, 60), SHAPE, SMALL, log_path=tmp_path / "m.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 41))
    assert [line["step"] for line in lines if "dev_retention" in line] == [10, 20, 30, 40]
    assert {"loss", "mse", "kl", "latent_kl", "alive", "l0"} <= set(lines[0])
