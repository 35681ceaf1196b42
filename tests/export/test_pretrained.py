import copy
import json
from dataclasses import replace

import pytest
import torch

from steersearch.catalogue import find_pretrained, pretrained_models
from steersearch.errors import CheckpointError, ConfigError
from steersearch.export import export_bundle
from steersearch.export.pretrained import (
    LEAST_AUC,
    LEAST_POSITIVES,
    holds,
    load_labels,
    load_pretrained,
    pretrained_names,
    write_labels,
    write_pretrained,
)
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.interpretation import Entry, Interpretation, Passage, Score
from steersearch.runtime.interpret import read_graph
from steersearch.runtime.interpret.storage import features_bytes


def test_there_and_back(tiny_sae, tmp_path):
    path = write_pretrained(tiny_sae, tmp_path / "tiny.safetensors")
    back = load_pretrained(path)
    assert back.config == tiny_sae.config
    assert torch.allclose(back.W_dec, tiny_sae.W_dec, atol=1e-3)
    assert torch.allclose(back.W_dec.norm(dim=1), torch.ones(len(back.W_dec)), atol=1e-6)
    assert torch.allclose(back.W_enc, tiny_sae.W_enc, rtol=1e-3, atol=1e-4)
    assert [entry["label"] for entry in back.info.features] == [entry["label"] for entry in tiny_sae.info.features]


def test_no_text_of_the_corpus_is_in_the_file(tiny_sae, tmp_path):
    sae = copy.deepcopy(tiny_sae)
    sae.info.features = [{"id": 0, "label": "sea, ship", "examples": ["a secret passage"]}]
    sae.info.sample_texts = ["another secret"]
    path = write_pretrained(sae, tmp_path / "tiny.safetensors")
    back = load_pretrained(path)
    assert back.info.sample_texts == []
    assert back.info.features == [{"id": 0, "label": "sea, ship", "examples": []}]
    assert sae.info.features[0]["examples"] == ["a secret passage"]
    assert b"secret" not in path.read_bytes()


def test_unknown_names_and_damaged_files(tiny_sae, tmp_path):
    with pytest.raises(ConfigError, match="no pretrained model 'bge'"):
        load_pretrained("bge")
    path = write_pretrained(tiny_sae, tmp_path / "tiny.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        load_pretrained(path)
    path.write_bytes(whole.replace(b'\\"k\\":', b'\\"q\\":', 1))
    with pytest.raises(CheckpointError):
        load_pretrained(path)


@pytest.mark.parametrize("name", pretrained_names())
def test_what_is_shipped_can_be_read(name):
    sae = load_pretrained(name)
    assert len(sae.info.features) == sae.config.n_latents
    assert sae.info.embedder["sha256"]
    assert json.dumps(sae.info.features)


def entry(latent, auc=0.9, positives=20, **more):
    measured = Score(auc, auc, auc, 0.001, 0.9, 0.9, positives)
    return Entry(latent, ("sea",), f"sea {latent}", score=measured, fires=40, active=60, **more)


def interpretation(n_latents, *entries):
    known = {each.latent: each for each in entries}
    rest = tuple(known.get(latent, Entry(latent)) for latent in range(n_latents))
    return Interpretation("open texts", 100, (0.9, 0.5, 0.1), ((0, 1),), (), rest)


def test_a_label_must_hold_to_come_with_a_model():
    assert holds(entry(0, LEAST_AUC, LEAST_POSITIVES))
    assert not holds(entry(0, LEAST_AUC - 0.01))
    assert not holds(entry(0, positives=LEAST_POSITIVES - 1))
    assert not holds(Entry(0))


@pytest.mark.parametrize("precision", ["fp32", "w8", "small", "int8"])
def test_labels_go_into_the_bundle_and_say_of_which_corpus_they_are(
    tiny_sae, tiny_embedder_folder, tmp_path, monkeypatch, precision
):
    monkeypatch.setattr("steersearch.export.bundle.check_parity", lambda *args: {})
    weights = write_pretrained(tiny_sae, tmp_path / "tiny.safetensors")
    secret = Passage("d1", "a secret passage", 1.0)
    found = interpretation(96, entry(0, top=(secret,), queries=(("secret query", 1.0),)), entry(1), entry(2, 0.7))
    kept = write_labels(found, weights, tmp_path / "tiny.labels.jsonl.gz")
    manifest = export_bundle(
        load_pretrained(weights),
        tmp_path / "bundle",
        embedder=tiny_embedder_folder,
        precision=precision,
        labels=kept,
        card="# Card of the sea",
    )
    bundle = Bundle.load(tmp_path / "bundle")
    assert manifest.precision == precision
    assert [bundle.features[f].label for f in range(3)] == ["sea 0", "sea 1", None]
    assert bundle.features[0].score == 0.9
    assert bundle.features.get("sea 1").id == 1
    assert bundle.interpretation.corpus == "open texts"
    assert bundle.interpretation.families == ((0, 1),)
    assert "secret" not in str(bundle.interpretation)
    assert "Card of the sea" in (tmp_path / "bundle" / "LICENSES").read_text()
    with pytest.raises(ConfigError, match="came with its model"):
        read_graph(bundle)


def test_labels_of_other_weights_are_refused(tiny_sae, tmp_path, monkeypatch):
    monkeypatch.setattr("steersearch.catalogue.weights_folder", lambda: tmp_path)
    weights = write_pretrained(tiny_sae, tmp_path / "tiny.safetensors")
    write_labels(interpretation(96, entry(5)), weights, tmp_path / "tiny.labels.jsonl.gz")
    assert find_pretrained("tiny").labels == 1
    assert load_labels(find_pretrained("tiny")).entries[5].label == "sea 5"
    tiny_sae.W_dec.data[0] += 0.1
    write_pretrained(tiny_sae, weights)
    with pytest.raises(CheckpointError, match="belongs to other weights"):
        load_labels(find_pretrained("tiny"))


def test_words_of_training_stay_where_no_label_holds(tmp_path):
    words = {"label": "power, lincon", "guess": None, "unclear": False, "score": None}
    latents = [dict(words), dict(words) | {"label": "Sea 1"}, dict(words) | {"label": "sea 1"}]
    (tmp_path / "features.json").write_text(json.dumps({"latents": latents}))
    found = replace(entry(1), latent=1)
    unclear = [replace(found, latent=i, label=None, phrases=(), score=None) for i in (0, 2)]
    entries = [unclear[0], found, unclear[1]]
    kept = json.loads(features_bytes(tmp_path / "features.json", entries, 10, keep_words=True))["latents"]
    assert [each["label"] for each in kept] == ["power, lincon", "sea 1", None], "labels are unique"
    assert [each["score"] is None for each in kept] == [True, False, True]
    gone = json.loads(features_bytes(tmp_path / "features.json", entries, 10))["latents"]
    assert [(each["label"], each["unclear"]) for each in gone] == [(None, True), ("sea 1", False), (None, True)]


def test_eight_bits_keep_the_codes(tiny_sae, tmp_path):
    back = load_pretrained(write_pretrained(tiny_sae, tmp_path / "tiny.safetensors", int8=True))
    assert torch.allclose(back.W_dec, tiny_sae.W_dec, atol=1 / 127)
    assert torch.allclose(back.W_dec.norm(dim=1), torch.ones(96), atol=1e-6)
    assert torch.allclose(back.W_enc, tiny_sae.W_enc, atol=float(tiny_sae.W_enc.detach().abs().max()) / 127)


def test_the_catalogue_says_what_is_shipped():
    models = {model.name: model for model in pretrained_models()}
    minilm = models["minilm"]
    assert (minilm.d_in, minilm.n_latents, minilm.k) == (384, 4096, 64)
    assert minilm.labels > 500
    assert minilm.labels_file.stat().st_size < 2e6
    labels = load_labels(minilm)
    assert sum(not each.unclear for each in labels.entries) == minilm.labels
    assert all(not each.top and not each.near_misses and not each.queries for each in labels.entries)
    for model in models.values():
        assert model.card.read_text(encoding="utf-8").startswith("# ")


def test_an_exact_model_there_and_back(tiny_sae, tmp_path):
    folder = tiny_sae.save_pretrained(tmp_path / "shared")
    back = type(tiny_sae).from_pretrained(folder)
    assert torch.equal(back.W_dec, tiny_sae.W_dec)
    assert torch.equal(back.W_enc, tiny_sae.W_enc)
    assert back.info.origin == {}
    assert "library_name: steersearch" in (folder / "README.md").read_text()
    with pytest.raises(ConfigError, match="choose fp32"):
        tiny_sae.save_pretrained(tmp_path / "x", stored="fp8")
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        type(tiny_sae).from_pretrained(tmp_path)
