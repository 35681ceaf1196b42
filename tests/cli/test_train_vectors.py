"""`sae train --vectors`, then `sae export`."""

import json

import numpy as np
import pytest

from steersearch.runtime import Bundle
from steersearch.runtime.bundle.external import calls

from ..embedding_server import hashed, running

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


def test_vectors_alone_have_no_queries_to_fit_a_table_to(given, sae_here):
    refused = sae_here("train", "--vectors", given / "v.npy", "--data", given / "docs.jsonl", "--fast-queries")
    assert refused.code == 2
    assert "with vectors alone there is none" in " ".join(refused.err.split())


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


def test_queries_of_a_service_are_announced_limited_and_kept(given, sae_here, opened_bundle, monkeypatch):
    monkeypatch.setattr(calls, "SMALL", 8)
    monkeypatch.setenv("STEERSEARCH_CACHE", str(given / "kept"))
    how = ("--vectors", given / "v.npy", "--data", given / "docs.jsonl", "--embedder-name", "paid-3")
    how = (*how, "--out", given / "m.pt", "--cache", given / "cache", *SMALL)
    with running(lambda texts: opened_bundle.embed_documents(list(texts))) as server:
        url = ("--embedder-url", server.address)
        ended = sae_here("train", *how, *url, "--max-texts", "9")
        assert ended.code == 1
        assert "max_texts is 9" in ended.err
        assert not (given / "m.pt").exists()
        assert len(server.texts) == 8  # documents that are compared
        ended = sae_here("train", *how, *url)
        assert ended.code == 0, ended.err
        sent = len(server.texts) - 2 * 8
        said, sent_by = " ".join(ended.err.split()), -(-sent // 128)
        assert f"queries: {sent:,} texts in {sent_by} calls of {server.address} (paid-3)" in said
        assert f"{sent_by + 1} calls with {sent + 8:,} texts; 0 vectors were there" in said
        assert len(server.seen) == sent_by + 2
        del server.seen[:]
        ended = sae_here("train", *how, *url, "--max-texts", "0")
        assert ended.code == 0, ended.err
        assert len(server.texts) == 8
        assert f"1 calls with 8 texts; {sent:,} vectors were there" in " ".join(ended.err.split())
        # Another model under the same name is noticed, though queries are kept.
        server.embed = lambda texts: hashed(texts, 32)
        ended = sae_here("train", *how, *url)
        assert ended.code == 2
        assert "have a median cosine of" in " ".join(ended.err.split())
