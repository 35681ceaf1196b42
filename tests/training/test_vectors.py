"""Training on vectors that are there already, and where its queries come from."""

import dataclasses

import numpy as np
import pytest
import torch

from steersearch.errors import CheckpointError, ConfigError, DataError
from steersearch.training import Embedder, SaeConfig, TrainConfig, train
from steersearch.training.sae import SparseAutoencoder
from steersearch.training.vectors import queries_for
from steersearch.vectors import open_vectors

SHAPE = SaeConfig(n_latents=64, k=8)
SHORT = TrainConfig(steps=10, device="cpu")


@pytest.fixture(scope="module")
def embedder(tiny_embedder_folder):
    return Embedder(tiny_embedder_folder, device="cpu")


@pytest.fixture(scope="module")
def rows(embedder, topic_texts):
    return embedder.embed_documents(topic_texts.texts)


@pytest.fixture
def held(rows, topic_texts, tmp_path):
    return open_vectors(rows, topic_texts.texts, folder=tmp_path)


def asked(held, embedder, given=None, pairs=None, *, tmp_path, training=SHORT):
    return queries_for(held, embedder, given, pairs, training, cache=tmp_path, progress=None)


class LangChain:
    """Embeds as LangChain's embeddings do, and counts its calls."""

    def __init__(self, embedder, prompt=""):
        self.embedder, self.prompt, self.calls = embedder, prompt, 0

    def embed_documents(self, texts):
        self.calls += 1
        return (3 * self.embedder.embed(texts)).tolist()

    def embed_query(self, text):
        self.calls += 1
        return self.embedder.embed([self.prompt + text])[0].tolist()


def test_features_get_words_and_the_file_keeps_vectors(held, rows, topic_texts, tmp_path):
    sae = train(vectors=held, config=SHAPE, training=SHORT, embedder_name="paid-3-small", cache_dir=tmp_path)
    loaded = SparseAutoencoder.load(sae.save(tmp_path / "model.pt"))
    assert (loaded.info.embedder, loaded.info.embedder_name) == (None, "paid-3-small")
    assert loaded.info.sample_texts == topic_texts.texts
    np.testing.assert_array_equal(loaded.info.sample_vectors.numpy(), rows)
    active = [feature for feature in loaded.info.features if feature["density"] > 0]
    assert all(feature["keywords"] and feature["examples"] for feature in active)
    assert loaded.info.metrics["retention"] > 0


def test_documents_beside_an_array_and_an_array_alone(rows, topic_texts, tmp_path):
    how = {"config": SHAPE, "training": SHORT, "cache_dir": tmp_path}
    both = train(topic_texts.texts, vectors=2 * rows, **how)
    alone = train(rows, **how)
    assert torch.allclose(both.W_dec, alone.W_dec, atol=1e-5), "the same vectors give the same weights"
    assert both.info.sample_texts == topic_texts.texts
    assert alone.info.sample_texts == []


def test_queries_are_embedded_where_the_embedder_is_there(held, embedder, topic_texts, tmp_path):
    alone = asked(held, None, tmp_path=tmp_path)
    assert alone.rows is held.rows
    ours = asked(held, embedder, tmp_path=tmp_path).rows
    assert len(ours) > 60
    same = LangChain(embedder)
    np.testing.assert_allclose(asked(held, same, tmp_path=tmp_path).rows, ours, atol=1e-5)
    assert same.calls < 8, "queries go in blocks where both sides are the same"
    pairs = [("adding numbers", "0"), ("what a class is", "15"), ("adding  numbers", "1")]
    judged = asked(held, embedder, pairs=pairs, tmp_path=tmp_path)
    assert (judged.n_real, judged.relevant) == (2, [{0: 1, 1: 1}, {15: 1}])
    np.testing.assert_allclose(judged.rows[:2], embedder.embed(["adding numbers", "what a class is"]), atol=1e-5)


def test_a_prompt_of_queries_is_theirs(held, embedder, tmp_path):
    prompted = LangChain(embedder, prompt="import module package loader ")
    few = dataclasses.replace(SHORT, max_queries=8)
    asked(held, prompted, tmp_path=tmp_path, training=few)
    assert prompted.calls >= 8, "one call for each"


def test_given_queries(held, embedder, rows, tmp_path):
    pairs = [("adding numbers", "0"), ("what a class is", "15"), ("adding  numbers", "1")]
    given = 5 * embedder.embed([query for query, _ in pairs])
    found = asked(held, None, given, pairs, tmp_path=tmp_path)
    assert (found.n_real, found.relevant) == (2, [{0: 1, 1: 1}, {15: 1}])
    np.testing.assert_allclose(found.rows[:2], given[:2] / 5, atol=1e-5)
    assert len(found.rows) == 62, "documents stand beside them"
    assert asked(held, None, given, tmp_path=tmp_path).n_real == 3
    with pytest.raises(DataError, match="3 pairs and 2 vectors of queries"):
        asked(held, None, given[:2], pairs, tmp_path=tmp_path)
    with pytest.raises(DataError, match="the queries have 31 columns, vectors has 32"):
        asked(held, None, given[:, :31], tmp_path=tmp_path)


def test_what_does_not_go_together(held, embedder, rows, topic_texts, tmp_path):
    alone = open_vectors(rows, folder=tmp_path)
    pairs = [("adding numbers", "0")]
    for call, said in (
        (lambda: asked(held, None, pairs=pairs, tmp_path=tmp_path), "nothing embeds them: .*--query-vectors"),
        (lambda: asked(alone, embedder, tmp_path=tmp_path), "an embedder needs texts"),
        (lambda: asked(alone, None, pairs=pairs, tmp_path=tmp_path), "pairs need texts"),
        (lambda: asked(held, embedder, rows, tmp_path=tmp_path), "not both"),
        (lambda: train(topic_texts.texts, vectors=held), "have been matched"),
        (lambda: train(), "give documents, or vectors="),
        (lambda: train(topic_texts.texts, queries=rows), "need vectors="),
    ):
        with pytest.raises(ConfigError, match=said):
            call()


def test_another_embedder_is_noticed(held, embedder, rows, topic_texts, tmp_path):
    turned = open_vectors(rows[:, ::-1].copy(), topic_texts.texts, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"a median cosine of -?0\.\d\d on 8 documents, expected at least 0\.8"):
        asked(turned, embedder, tmp_path=tmp_path)
    narrow = open_vectors(rows[:, :16], topic_texts.texts, folder=tmp_path)
    with pytest.raises(ConfigError, match="gives 32 numbers per text, vectors has 16"):
        asked(narrow, embedder, tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:, :5], "sample_vectors has shape"),
        (lambda rows: 2 * rows, "not of unit length"),
        (lambda rows: rows * float("nan"), "not of unit length"),
        (lambda rows: rows[:7], "60 sample_texts have 7 sample_vectors"),
        (lambda rows: rows.double(), "no dense tensor of float32"),
        (lambda rows: "rows", "sample_vectors is 'rows'"),
    ],
)
def test_a_checkpoint_with_other_vectors(held, tmp_path, change, said):
    sae = train(vectors=held, config=SHAPE, training=dataclasses.replace(SHORT, steps=1), cache_dir=tmp_path)
    path = sae.save(tmp_path / "model.pt")
    payload = torch.load(path, weights_only=True)
    payload["info"]["sample_vectors"] = change(payload["info"]["sample_vectors"])
    torch.save(payload, path)
    with pytest.raises(CheckpointError, match=said):
        SparseAutoencoder.load(path)
