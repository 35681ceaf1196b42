"""`sae train --vectors`, then `sae export`."""

import json

import numpy as np
import pytest

from steersearch.runtime import Bundle

SMALL = ("--latents", "64", "--k", "8", "--steps", "5", "--device", "cpu")


@pytest.fixture
def given(tmp_path, opened_bundle, topic_texts):
    np.save(tmp_path / "v.npy", 2 * opened_bundle.embed_documents(topic_texts.texts))
    lines = (json.dumps({"id": id, "text": text}) + "\n" for id, text in zip(*topic_texts[:2], strict=True))
    (tmp_path / "docs.jsonl").write_text("".join(lines))
    return tmp_path


def test_vectors_become_a_bundle_without_an_embedder(given, sae_here):
    how = ("--vectors", given / "v.npy", "--data", given / "docs.jsonl", "--embedder-name", "paid-3")
    trained = sae_here("train", *how, "--out", given / "m.pt", "--cache", given / "cache", *SMALL)
    assert trained.code == 0, trained.err
    assert "and are divided by them" in " ".join(trained.err.split())
    exported = sae_here("export", "--ckpt", given / "m.pt", "--out", given / "bundle")
    assert exported.code == 0, exported.err
    assert "without an embedder" in exported.err
    assert "paid-3" in exported.err
    assert Bundle.load(given / "bundle").manifest.embedder["id"] == "paid-3"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 2, "--vectors FILE"),
        (("--vectors", "gone.npy"), 1, "gone.npy does not exist"),
        (("--vectors", "v.npy", "--data", "few.jsonl"), 1, "v.npy has 60 rows, and few has 2 documents"),
        (("--data", "docs.jsonl", "--embedder-url", "http://127.0.0.1:1/v1"), 2, "for --vectors"),
        (("--data", "docs.jsonl", "--query-vectors", "v.npy"), 2, "need vectors="),
    ],
)
def test_what_does_not_fit_is_one_line(given, sae_here, monkeypatch, options, code, said):
    monkeypatch.chdir(given)
    (given / "few.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    result = sae_here("train", *options, "--out", given / "m.pt", "--cache", given / "cache", *SMALL)
    assert result.code == code
    assert said in " ".join(result.err.split())
    assert not (given / "m.pt").exists()
