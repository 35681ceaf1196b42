"""The command line on a bundle without an embedder, with a service on the loopback."""

import json

import pytest

from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.interpret import read_graph

from ..bare_bundle import WHOLE, make_bare_bundle
from ..embedding_server import hashed, running

TOPICS = ["moon planet star", "piano guitar violin", "bread cheese apple", "ship harbor whale", "python module class"]


@pytest.fixture
def server():
    whole = Bundle.load(WHOLE, threads=1)
    with running(lambda texts: whole.embed_documents(list(texts))) as found:
        yield found


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STEERSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    make_bare_bundle(tmp_path / "bundle")
    lines = []
    for i in range(60):
        words = TOPICS[i % 5].split()
        text = f"The {words[i % 3]} and the {words[(i + 1) % 3]} with {TOPICS[(i + 2) % 5].split()[i % 3]} {i}."
        lines.append(json.dumps({"id": f"d{i}", "text": text}))
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_index_search_explain_and_verify(sae_here, server, folder):
    url = ("--embedder-url", server.address)
    made = sae_here("index", "docs.jsonl", "--out", "index", *url)
    assert made.code == 0, made.err
    assert "about 60 texts, so up to 1 call of " + server.address in made.err
    assert "2 calls with 68 texts; 0 vectors were there" in made.err
    found = sae_here("search", "the moon", "--boost", "sea whale", "-k", "3", "--json", *url)
    assert found.code == 0, found.err
    hits = json.loads(found.out)["hits"]
    assert len(hits) == 3
    assert "moon" in hits[0]["text"] or "whale" in hits[0]["text"]
    assert sae_here("explain", "the moon", hits[0]["id"], "--boost", "sea whale", *url).code == 0
    verified = sae_here("index", "verify", *url)
    assert verified.code == 0, verified.err
    assert "60 documents read, 60 of them embedded again" in verified.out
    assert server.texts.count("the moon") == 1
    again = sae_here("index", "docs.jsonl", "--out", "index", *url)
    assert "60 of them were there already" in again.err


def test_without_an_address_the_error_says_how(sae_here, server, folder):
    assert sae_here("index", "docs.jsonl", "--embedder-url", server.address).code == 0
    for words in (
        ("search", "the moon"),
        ("index", "docs.jsonl", "--out", "new"),
        ("features", "label", "--data", "docs.jsonl"),
    ):
        ended = sae_here(*words)
        assert ended.code == 2
        assert "--embedder-url" in ended.err
        assert "tiny-embedding-1" in ended.err
    assert sae_here("index", "verify").code == 0
    ended = sae_here("search", "the moon", "--embedder-model", "m")
    assert ended.code == 2
    assert "--embedder-model is for an embedder from outside" in ended.err
    ended = sae_here("search", "the moon", "--bundle", WHOLE, "--embedder-url", server.address)
    assert ended.code == 2
    assert "has an embedder of its own" in ended.err


def test_limits_and_refusals_end_a_command_in_one_line(sae_here, server, folder):
    url = ("--embedder-url", server.address)
    (folder / "more.jsonl").write_text("\n".join(json.dumps({"text": f"moon {i}"}) for i in range(100)))
    ended = sae_here("index", "more.jsonl", *url, "--max-texts", "50")
    assert ended.code == 1
    assert "100 more texts would go to" in ended.err
    assert "max_texts is 50" in ended.err
    server.faults[:] = [lambda handler, texts: handler.reply(b"", 401)]
    ended = sae_here("search", "y", *url)
    assert ended.code == 1
    assert "it wants a key: set STEERSEARCH_EMBEDDER_KEY" in ended.err


def test_another_model_ends_a_command_before_anything_is_written(sae_here, server, folder):
    server.embed = hashed
    ended = sae_here("index", "docs.jsonl", "--out", "index", "--embedder-url", server.address)
    assert ended.code == 1
    assert "embeds other than" in ended.err
    assert len([line for line in ended.err.splitlines() if line.startswith("error")]) <= 1


def test_features_are_labelled_by_a_service(sae_here, server, folder):
    url = ("--embedder-url", server.address)
    ended = sae_here("features", "label", "--data", "docs.jsonl", "--json", *url)
    assert ended.code == 0, ended.err
    assert "texts, so up to" in ended.err
    assert json.loads(ended.out)["documents"] == 60
    longest = max(len(request["input"]) for _, _, request in server.seen)
    # In batches: thousands of common nouns, phrases and sentences in some dozen calls.
    assert len(server.seen) < 75
    assert longest > 40
    graph = read_graph(Bundle.load("bundle"))
    shares = graph.shares(0, "the moon")
    assert [word for word, _ in shares] == ["", "the", "moon"]
    assert graph.predict(["moon", "piano"]).shape == (2, 48)
    calls = len(server.seen)
    assert sae_here("features", "label", "--data", "docs.jsonl", *url).code == 0
    assert len(server.seen) == calls


def test_a_bundle_is_evaluated_by_a_service(sae_here, server, folder):
    pytest.importorskip("ir_measures")
    data = folder / "beir"
    (data / "qrels").mkdir(parents=True)
    lines = [json.loads(line) for line in (folder / "docs.jsonl").read_text().splitlines()]
    (data / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": d["id"], "title": "", "text": d["text"]}) for d in lines)
    )
    (data / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "the moon"}))
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\n")
    ended = sae_here("eval", "--data", "beir", "--json", "--embedder-url", server.address)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["queries"] == 1
    assert len(server.seen) <= 4
