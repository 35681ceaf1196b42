"""`sae index --vectors`: documents whose vectors are there already."""

import json

import numpy as np
import pytest

from steersearch.runtime import SteerableIndex


@pytest.fixture
def given(tmp_path, opened_bundle, topic_texts):
    rows = opened_bundle.embed_documents(topic_texts.texts)
    np.save(tmp_path / "v.npy", rows)
    lines = [{"id": id, "text": text} for id, text in zip(*topic_texts[:2], strict=True)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    both = [line | {"embedding": row} for line, row in zip(lines, rows.tolist(), strict=True)]
    both[3]["embedding"] = None
    (tmp_path / "both.jsonl").write_text("\n".join(map(json.dumps, both)))
    return tmp_path


def test_documents_go_in_with_their_vectors(given, sae_here, tiny_bundle):
    into = ("--bundle", tiny_bundle, "--out", given / "index")
    done = sae_here("index", given / "docs.jsonl", "--vectors", given / "v.npy", *into)
    assert done.code == 0, done.err
    assert "added 60, now 60 documents" in " ".join(done.err.split())
    again = sae_here("index", "--data", given / "docs.jsonl", "--vectors", given / "v.npy", *into)
    assert "(60 of them were there already)" in " ".join(again.err.split())
    with SteerableIndex.open(given / "index") as index:
        np.testing.assert_allclose(index.documents()[2], np.load(given / "v.npy"), atol=1e-6)


def test_a_file_with_texts_and_vectors_needs_nothing_else(given, sae_here, tiny_bundle):
    into = ("--bundle", tiny_bundle, "--out", given / "index")
    refused = sae_here("index", "--vectors", given / "both.jsonl", *into)
    assert (refused.code, "1 of 60 rows have no direction" in " ".join(refused.err.split())) == (1, True)
    done = sae_here("index", "--vectors", given / "both.jsonl", "--skip-bad", *into)
    assert done.code == 0, done.err
    assert "added 59" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("docs.jsonl", "--skip-bad"), 2, "--skip-bad is for --vectors FILE"),
        (("docs.jsonl", "--vectors", "v.npy", "--chunk-tokens", "20"), 2, "so none can be cut"),
        (("--vectors", "v.npy"), 2, "vectors alone"),
        (("--vectors", "gone.npy"), 1, "gone.npy does not exist"),
    ],
)
def test_what_does_not_fit_is_one_line(given, sae_here, tiny_bundle, monkeypatch, options, code, said):
    monkeypatch.chdir(given)
    result = sae_here("index", *options, "--bundle", tiny_bundle, "--out", given / "index")
    assert result.code == code, result.err
    assert said in " ".join(result.err.split())
