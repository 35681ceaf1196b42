"""Export of a model that was trained on vectors: a bundle without an embedder."""

import numpy as np
import pytest

from steersearch.errors import BundleError, ConfigError, DataError, ExportMismatchError
from steersearch.export import export_bundle
from steersearch.export.given_vectors import PROBES, probes_among
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.probes import read_probes
from steersearch.training import Embedder, SaeConfig, TrainConfig, train


@pytest.fixture(scope="module")
def embedder(tiny_embedder_folder):
    return Embedder(tiny_embedder_folder, device="cpu")


@pytest.fixture(scope="module")
def trained(embedder, topic_texts, tmp_path_factory):
    rows = 7 * embedder.embed_documents(topic_texts.texts)
    how = {"config": SaeConfig(n_latents=64, k=8), "training": TrainConfig(steps=40, device="cpu")}
    return train(topic_texts.texts, vectors=rows, embedder_name="paid-3", cache_dir=tmp_path_factory.mktemp("c"), **how)


@pytest.fixture(scope="module")
def bundle_folder(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("bare") / "bundle"
    export_bundle(trained, out)
    return out


def test_the_bundle_has_probes_and_no_embedder(trained, bundle_folder, embedder):
    names = {path.name for path in bundle_folder.iterdir()}
    assert names == {
        "manifest.json",
        "encoder.onnx",
        "decoder.onnx",
        "features.json",
        "LICENSES",
        "embedder.probes.npz",
    }
    bundle = Bundle.load(bundle_folder)
    assert (bundle.manifest.embedder_kind, bundle.manifest.embedder["id"], bundle.embeds) == ("none", "paid-3", False)
    assert bundle.manifest.parity["vectors"] == 60
    assert bundle.manifest.parity["encoder_agreement"] > 0.999
    assert "embedder_max_abs" not in bundle.manifest.parity
    probes = read_probes(bundle_folder, 32)
    assert len(probes.texts) == PROBES
    np.testing.assert_allclose(probes.vectors, embedder.embed_documents(list(probes.texts)), atol=1e-5)
    assert "made by paid-3" in (bundle_folder / "LICENSES").read_text()
    assert any(feature.keywords for feature in bundle.features)


def test_its_index_is_steered(bundle_folder, embedder, topic_texts, tmp_path):
    rows = embedder.embed_documents(topic_texts.texts)
    with SteerableIndex.create(tmp_path / "index", bundle_folder) as index:
        index.add(topic_texts.texts, topic_texts.ids, embeddings=rows)
        plain = [hit.id for hit in index.search(rows[0], 10)]
        assert plain[0] == topic_texts.ids[0]
        latent = int(index.bundle.encode(rows[30:31])[0][0, 0])
        assert [hit.id for hit in index.search(rows[0], 10, boost={latent: 2.0})] != plain
        with pytest.raises(ConfigError, match=r"has no embedder.*paid-3"):
            index.search("a text")


def test_the_embedder_that_made_them_may_be_put_in(trained, tiny_embedder_folder, tmp_path):
    manifest = export_bundle(trained, tmp_path / "whole", embedder=tiny_embedder_folder)
    assert manifest.embedder_kind == "onnx"
    assert Bundle.load(tmp_path / "whole").embeds


def test_labels_stay_and_nothing_is_replaced_unasked(trained, bundle_folder):
    with pytest.raises(BundleError, match="--overwrite"):
        export_bundle(trained, bundle_folder)


def test_without_texts_there_are_no_probes(embedder, topic_texts, tmp_path):
    how = {
        "config": SaeConfig(n_latents=64, k=8),
        "training": TrainConfig(steps=2, device="cpu"),
        "cache_dir": tmp_path,
    }
    sae = train(embedder.embed_documents(topic_texts.texts), **how)
    with pytest.raises(DataError, match=r"vectors without texts.*--data"):
        export_bundle(sae, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_graphs_that_differ_are_refused(trained, tmp_path, monkeypatch):
    import copy

    from steersearch.export import given_vectors

    other = copy.deepcopy(trained)
    other.W_dec.data.mul_(1.01)
    monkeypatch.setattr(given_vectors, "decoder_graph", lambda sae, make=given_vectors.decoder_graph: make(other))
    with pytest.raises(ExportMismatchError, match="on 60 texts, no bundle was written: decoder_max_abs"):
        export_bundle(trained, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_probes_are_short_and_spread():
    texts = ["long " * 1000, *(f"text {i}" for i in range(100)), "", "long " * 1000]
    chosen = probes_among(texts)
    assert (len(chosen), chosen[0], chosen[-1]) == (16, 1, 100)
    assert probes_among(["x" * 5000, "x" * 4000, " "]) == [0, 1]
