"""Concepts, snapshots and judgments beside the index, and what `sae eval` makes of them."""

import json

import pytest

from steersearch.errors import DataError
from steersearch.metrics import ndcg_at
from steersearch.runtime import Concept

PHRASE = {"phrase": "an exception is raised"}
STATE = {"query": "names", "concepts": [{"key": PHRASE, "strength": 0.5}]}


def test_a_concept_is_saved_used_and_removed(client, tiny_index):
    assert client.get("/api/concepts").json() == {"concepts": []}
    first = next(iter(tiny_index.resolve(PHRASE["phrase"]).weights))
    assert client.put("/api/concepts/Fehler, groß", json={"key": PHRASE, "off": [first]}).status_code == 200
    assert client.get("/api/concepts").json() == {"concepts": ["Fehler, groß"]}
    path = tiny_index.path.with_name("index.studio") / "concepts" / "Fehler, groß.json"
    concept = Concept.load(path, tiny_index.bundle)
    assert first not in concept.weights
    state = {"query": "names", "concepts": [{"key": {"concept": "Fehler, groß"}}]}
    found = client.post("/api/search", json=state).json()
    hits = tiny_index.search("names", 10, boost={concept: 1.0})
    assert [(hit["id"], hit["score"]) for hit in found["steered"]] == [(hit.id, hit.score) for hit in hits]
    # Saved again as something else, it is something else at once.
    client.put("/api/concepts/Fehler, groß", json={"key": {"feature": 3}})
    again = client.post("/api/search", json=state).json()
    assert [feature["latent"] for feature in again["concepts"][0]["features"]] == [3]
    assert client.delete("/api/concepts/Fehler, groß").status_code == 200
    assert client.delete("/api/concepts/Fehler, groß").status_code == 404
    assert client.post("/api/search", json=state).json()["warnings"][0]["kind"] == "unusable"


def test_a_snapshot_is_a_file_that_people_read(client, tiny_index):
    assert client.put("/api/snapshots/beginners", json={"state": STATE}).status_code == 200
    path = tiny_index.path.with_name("index.studio") / "snapshots" / "beginners.json"
    body = json.loads(path.read_text())
    assert (body["format"], body["name"]) == (1, "beginners")
    assert body["state"]["concepts"][0]["key"] == PHRASE
    found = client.get("/api/snapshots").json()["snapshots"]
    assert [(one["name"], one["state"]) for one in found] == [("beginners", body["state"])]
    # A file that somebody broke does not hide the others.
    path.with_name("broken.json").write_text("{")
    assert len(client.get("/api/snapshots").json()["snapshots"]) == 1
    assert client.delete("/api/snapshots/beginners").status_code == 200
    assert client.get("/api/snapshots/beginners").status_code == 404


def test_judgments_are_set_changed_and_taken_back(client, tiny_index):
    for grade in (1, 0, 3, None, 2):
        assert client.post("/api/judgments", json={"query": "names", "id": "a", "grade": grade}).status_code == 200
    client.post("/api/judgments", json={"query": "names", "id": "b\n", "grade": 0})
    lines = (tiny_index.path.with_name("index.studio") / "judgments.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"query": "names", "id": "a", "grade": 2},
        {"query": "names", "id": "b\n", "grade": 0},
    ]
    assert len(client.get("/api/judgments").json()["judgments"]) == 2


def test_comparison(client):
    plain = client.post("/api/search", json={"query": "names"}).json()["plain"]
    client.post("/api/judgments", json={"query": "names", "id": plain[1]["id"], "grade": 1})
    client.put("/api/snapshots/none", json={"state": {"query": "other"}})
    client.put("/api/snapshots/errors", json={"state": STATE})
    rows = client.post("/api/compare", json={"snapshots": ["none", "errors"], "queries": ["names", "path"]}).json()[
        "rows"
    ]
    assert [row["snapshot"] for row in rows] == ["none", "errors"]
    assert rows[0]["overlap"] == 1
    assert rows[0]["ndcg"] == pytest.approx(1 / 1.584963, abs=1e-5)  # the second place: 1 / log2(3)
    assert rows[0]["per_query"][1]["ndcg"] is None
    assert rows[0]["per_query"][0]["ids"] == [hit["id"] for hit in plain]
    assert rows[1]["overlap"] < 1


def test_ndcg_is_that_of_trec_eval():
    ir_measures = pytest.importorskip("ir_measures")
    found, grades = [f"d{i}" for i in range(12)], {"d1": 3, "d4": 1, "d11": 2, "gone": 1, "d0": 0}
    run = {"q": {id: -float(i) for i, id in enumerate(found)}}
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], {"q": grades}, run)[ir_measures.nDCG @ 10]
    assert ndcg_at(found, grades) == pytest.approx(expected)
    with pytest.raises(DataError, match="grade above 0"):
        ndcg_at(found, {"d1": 0})


@pytest.fixture
def steering(client, tiny_index):
    """A steering, and judgments by which it is right."""
    client.put("/api/snapshots/errors", json={"state": STATE | {"query": "anything"}})
    for query in ("names", "what happens"):
        for hit in client.post("/api/search", json=STATE | {"query": query}).json()["steered"][:3]:
            client.post("/api/judgments", json={"query": query, "id": hit["id"], "grade": 1})
    folder = tiny_index.path.with_name("index.studio")
    return tiny_index.path, folder / "snapshots" / "errors.json", folder / "judgments.jsonl"


def test_a_steering_that_gets_worse_fails(steering, sae_here):
    index, path, judgments = steering
    words = ["eval", "--index", index, "--steering", path, "--judgments", judgments, "--json"]
    first = sae_here(*words, "--record")
    assert first.code == 0, first.err
    (row,) = json.loads(first.out)["steerings"]
    assert row["ndcg"] == pytest.approx(1)
    assert json.loads(path.read_text())["expected"]["ndcg"] == pytest.approx(1)
    assert sae_here(*words).code == 0
    body = json.loads(path.read_text())
    body["state"]["concepts"][0]["strength"] = -2
    path.write_text(json.dumps(body))
    worse = sae_here(*words)
    assert worse.code == 1
    assert "expected at least 1.0000" in worse.err
    assert json.loads(worse.out)["steerings"][0]["worse"]
    assert sae_here(*words, "--fail-below", "0").code == 0
    assert sae_here(*words[:-1]).code == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            ("path", text)
            for text in ("", "{", "[]", "{}", '{"format": 1}', '{"format": 2, "state": {}}', '{"format": "x"}')
        ),
        *(
            ("path", text)
            for text in ('{"format": 1, "state": {"k": 0}}', "[" * 100_000, '{"format": true, "state": {}}')
        ),
        *(("judgments", text) for text in ("{", "[]", "{}", '{"query": "x", "id": "y", "grade": -1}', "[" * 100_000)),
        *(("judgments", text) for text in ("", '{"query": "x", "id": "y", "grade": 0}', "\x00")),
    ],
)
def test_broken_files_are_one_line(steering, sae_here, name, text):
    index, path, judgments = steering
    (path if name == "path" else judgments).write_text(text)
    done = sae_here("eval", "--index", index, "--steering", path, "--judgments", judgments)
    assert done.code in (1, 2)
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        *(["--steering", "x.json"], ["--judgments", "x"], ["--record"], ["--data", "x", "--steering", "y"], []),
        *(["--steering", "none.json", "--index", "none", "--judgments", "none"],),
    ],
)
def test_what_belongs_together(sae_here, words):
    done = sae_here("eval", *words)
    assert done.code == (1 if "none" in words else 2)
    assert done.err.count("\n") == 1
