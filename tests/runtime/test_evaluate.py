import json

import pytest

from steersearch.errors import DataError
from steersearch.metrics import score_run
from steersearch.runtime.agreement import measure_agreement
from steersearch.runtime.evaluate import evaluate


@pytest.fixture
def beir(topic_texts, tmp_path):
    """Each sentence's beginning asks for the sentence."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    rows = list(zip(topic_texts.ids, topic_texts.texts, strict=True))
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in rows))
    queries = [(f"q{n}", i, t.rsplit(" ", 2)[0]) for n, (i, t) in enumerate(rows[::5])]
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": q, "text": t}) + "\n" for q, _, t in queries))
    lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{i}\t1" for q, i, _ in queries)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_report(tiny_bundle, beir, tmp_path):
    report = evaluate(tiny_bundle, beir, index_path=tmp_path / "index")
    assert (report.queries, report.documents, report.dataset) == (12, 60, "beir")
    assert report.empty_boost_identical
    assert report.views["dense"] == report.views["dense_empty_boost"]
    assert report.views["dense"]["MRR@10"] > 0.5
    ways = {"dense", "dense_empty_boost", "reconstruction", "latent", "words", "hybrid", "hybrid_weighted"}
    assert set(report.views) == ways
    assert min(report.views[way]["MRR@10"] for way in ("words", "hybrid", "hybrid_weighted")) > 0.9
    assert report.share_of_dense["dense"]["nDCG@10"] == 1
    assert 0 < report.sparsity["l0"] <= 8
    again = evaluate(tiny_bundle, beir, index_path=tmp_path / "index")  # the kept index is used again
    assert again == report


def test_a_query_does_not_find_itself(tiny_bundle, topic_texts, tmp_path):
    """As in ArguAna: queries are documents, and what answers one is another document, here one that says the same."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    pairs = list(zip(topic_texts.ids, topic_texts.texts, strict=True))[::6]
    rows = [(name, text) for id, text in pairs for name, text in ((id, text), (f"{id}-again", f"{text}"))]
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in rows))
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in pairs))
    judged = "".join(f"{id}\t{id}-again\t1\n" for id, _ in pairs)
    (folder / "qrels" / "test.tsv").write_text(f"\nquery-id\tcorpus-id\tscore\n\n{judged}\n")
    assert evaluate(tiny_bundle, folder).views["dense"]["MRR@10"] == 1
    # A document that the judgments name is an answer, whatever its id.
    (folder / "qrels" / "test.tsv").write_text("".join(f"{id}\t{id}\t1\n" for id, _ in pairs))
    assert evaluate(tiny_bundle, folder).views["dense"]["MRR@10"] == 1


def test_judgments_that_are_none(tiny_bundle, beir):
    for content in ("query-id\tcorpus-id\tscore\n", "", "\n\n"):
        (beir / "qrels" / "test.tsv").write_text(content)
        with pytest.raises(DataError, match=r"test\.tsv holds no judgment: expected a line with query-id"):
            evaluate(tiny_bundle, beir)
    for qrels in ({}, {"q": {}}):
        with pytest.raises(DataError, match="there is no judgment"):
            score_run({"q": {"d": 1.0}}, qrels)


def test_wrong_folders(tiny_bundle, beir, tmp_path):
    with pytest.raises(DataError, match="dev"):
        evaluate(tiny_bundle, beir, split="dev")
    with pytest.raises(DataError):
        evaluate(tiny_bundle, tmp_path / "nothing")
    with (beir / "qrels" / "test.tsv").open("a") as file:
        file.write("nobody\tnumbers-1\t1\n")
    with pytest.raises(DataError, match="nobody"):
        evaluate(tiny_bundle, beir)


def test_documents_without_judgments_are_measured_against_dense(opened_bundle, tmp_path):
    rows = [{"id": f"d{n}", "text": f"The number {n} is an integer. A class has a name."} for n in range(30)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = measure_agreement(opened_bundle, tmp_path / "docs.jsonl")
    assert (found.documents, found.queries, found.queries_from) == (30, 30, "first sentences")
    assert found.kept["dense"] == found.kept["dense_empty_boost"] == 1
    assert 0 <= found.kept["latent"] < 1
    assert set(found.sparsity) == {"fvu", "fvu_queries", "l0", "alive", "jaccard"}
    (tmp_path / "one.jsonl").write_text('{"id": "a", "text": "One text."}')
    with pytest.raises(DataError, match="there is no ranking"):
        measure_agreement(opened_bundle, tmp_path / "one.jsonl")
