"""Features and their edits, facets, the map, the files for a place without a server, and many tabs at once."""

import json
import threading

import numpy as np
import pytest

from steersearch.errors import ConfigError
from steersearch.integrations.studio.answers.layout import plane
from steersearch.integrations.studio.app import make_app
from steersearch.integrations.studio.export import export, read_queries_file
from steersearch.integrations.studio.serve import address_of, bind, hosts_of
from steersearch.integrations.studio.studio import Studio
from steersearch.runtime import Bundle, SteerableIndex


@pytest.fixture
def own(tiny_bundle, tiny_index, tmp_path):
    """A studio over a bundle of its own, whose features may be edited."""
    import shutil

    from starlette.testclient import TestClient

    bundle = Bundle.load(shutil.copytree(tiny_bundle, tmp_path / "own" / "bundle"), threads=1)
    with SteerableIndex.open(tiny_index.path, bundle=bundle) as index:
        studio = Studio(index, allow_write=True)
        yield TestClient(make_app(studio), base_url="http://localhost", raise_server_exceptions=False)


def test_info_has_facets(client, topic_texts):
    found = client.get("/api/info").json()
    assert (found["documents"], found["latents"], found["write"]) == (60, 64, True)
    fields = {field["name"]: field for field in found["fields"]}
    assert {value["value"]: value["count"] for value in fields["topic"]["values"]} == {
        "numbers": 15,
        "classes": 15,
        "exceptions": 15,
        "modules": 15,
    }
    assert fields["number"]["range"] == [0, 14]
    assert "source" not in fields
    for value in fields["topic"]["values"]:
        state = {"query": "names", "k": 100, "filter": {"topic": value["value"]}}
        assert len(client.post("/api/search", json=state).json()["plain"]) == value["count"]


def test_facets_follow_the_documents(client, tiny_index):
    client.get("/api/info")
    tiny_index.update_metadata(["classes-1"], [{"topic": "other"}])
    values = {field["name"]: field for field in client.get("/api/info").json()["fields"]}["topic"]["values"]
    assert {"value": "other", "count": 1} in values


def test_a_document(client, tiny_index):
    record = tiny_index.get(["classes-1"])[0]
    assert client.get("/api/documents/classes-1").json()["text"] == record.text


def test_features_are_listed_in_every_order(client, tiny_index):
    for sort in ("usefulness", "documents", "score", "label", "family", "latent"):
        found = client.get(f"/api/features?sort={sort}&limit=1000").json()
        assert found["total"] == len(found["features"]) == 64
        paged = [client.get(f"/api/features?sort={sort}&limit=40&offset={at}").json()["features"] for at in (0, 40)]
        assert paged[0] + paged[1] == found["features"]
    counts = [feature["documents"] for feature in client.get("/api/features?limit=1000").json()["features"]]
    assert counts == sorted(counts, reverse=True)
    assert [one["latent"] for one in client.get("/api/features?q=f12").json()["features"]] == [12]


def test_a_feature_fires_where_the_index_says(client, tiny_index, studio):
    common = client.get("/api/features?limit=1").json()["features"][0]
    found = client.get(f"/api/features/{common['latent']}").json()
    ids = tiny_index.store.rowids()
    latents, values = tiny_index.store.codes_of(ids)
    assert found["documents"] == int(((latents == common["latent"]) & (values > 0)).any(1).sum())
    assert sum(found["histogram"]["counts"]) == found["documents"]
    strengths = [one["value"] for one in found["examples"]]
    assert strengths == sorted(strengths, reverse=True)
    assert found["examples"][0]["words"]
    there = {one["id"] for one in found["examples"]} & {one["id"] for one in found["near_misses"]}
    assert not there


def test_edits_show_at_once_and_can_be_taken_back(own):
    def ask(body, latent=3):
        return own.post(f"/api/features/{latent}/edit", json=body)

    before = own.get("/api/features/3").json()
    assert ask({"action": "rename", "label": "stem cells"}).json()["label"] == "stem cells"
    state = {"query": "names", "concepts": [{"key": {"phrase": "stem cells"}}]}
    named = own.post("/api/search", json=state).json()
    assert [feature["latent"] for feature in named["concepts"][0]["features"]] == [3]
    ask({"action": "note", "note": "of a text"})
    assert ask({"action": "merge", "into": 5}).json()["family"]["members"][0]["latent"] == 5
    assert ask({"action": "hide"}).json()["hidden"]
    assert own.get("/api/features?limit=100").json()["features"][-1]["latent"] == 3
    for hidden, family, note in [(False, True, "of a text"), (False, False, "of a text"), (False, False, "")]:
        found = ask({"action": "undo"}).json()
        assert (found["hidden"], found["note"]) == (hidden, note)
        assert (found["family"] is not None and found["family"]["members"] != []) == family
    assert ask({"action": "undo"}).json()["label"] == before["label"]
    assert ask({"action": "undo"}).status_code == 400
    # What was remembered under the label is no longer what it means.
    again = own.post("/api/search", json=state).json()
    assert again["concepts"] != named["concepts"]


def test_the_map_is_the_same_every_time_and_shows_groups():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 32))
    group = np.repeat(np.arange(4), 60)
    rows = centres[group] + 0.6 * rng.normal(size=(240, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    places = plane(rows)
    assert np.array_equal(places, plane(rows))
    assert places.min() >= 0
    assert places.max() <= 1
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (group[nearest] == group[:, None]).mean() > 0.95


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_few_points_have_places(n):
    rows = np.eye(8, dtype=np.float32)[:n]
    assert plane(rows).shape == (n, 2)


def test_colours_of_the_map(client):
    found = client.post("/api/map", json={"kind": "documents", "color": {"phrase": "an exception is raised"}}).json()
    assert len(found["points"]) == len(found["ids"]) == len(found["values"]) == 60
    by_topic = {"exceptions": [], "numbers": [], "classes": [], "modules": []}
    for id, value in zip(found["ids"], found["values"], strict=True):
        by_topic[id.split("-")[0]].append(value)
    assert np.mean(by_topic["exceptions"]) > np.mean(by_topic["numbers"])
    topics = client.post("/api/map", json={"color": {"field": "topic"}, "limit": 30}).json()
    assert [id.split("-")[0] for id in topics["ids"]] == topics["values"]
    assert len(topics["ids"]) == 30
    assert client.post("/api/map", json={"color": {"field": "number"}}).json()["legend"]["kind"] == "number"
    features = client.post("/api/map", json={"kind": "features"}).json()
    assert len(features["points"]) == len(features["titles"]) == len(features["ids"])


def test_export_has_what_the_server_says(client, studio, tmp_path):
    (tmp_path / "queries.txt").write_text("names\n\nadding numbers\nnames\n")
    queries = read_queries_file(tmp_path / "queries.txt")
    assert queries == ["names", "adding numbers"]
    site = tmp_path / "site"
    written = export(studio, site, queries)
    assert written == sum(path.is_file() for path in site.rglob("*"))
    read = {path.stem: json.loads(path.read_text()) for path in (site / "still").glob("*.json")}
    assert (read["info"]["documents"], read["info"]["write"], read["info"]["queries"]) == (60, False, queries)
    assert len(read["features"]["features"]) == 64
    one = json.loads((site / "still" / "features" / "3.json").read_text())
    there = client.get("/api/features/3").json()
    assert {name: one[name] for name in ("latent", "documents", "histogram")} == {
        name: there[name] for name in ("latent", "documents", "histogram")
    }
    for query in queries:
        asked = client.post("/api/search", json={"query": query}).json()
        assert read["searches"][query]["plain"] == asked["plain"]
        assert set(read["words"][query]) == {hit["id"] for hit in asked["plain"]}
    assert read["map-documents"]["points"] == client.post("/api/map", json={}).json()["points"]
    assert "<html data-still " in (site / "index.html").read_text()
    with pytest.raises(ConfigError, match="not empty"):
        export(studio, site, [])


def test_fifty_tabs_at_once(client, tiny_index):
    states = [
        {"query": f"names {i % 7}", "concepts": [{"key": {"feature": i % 5}, "strength": 0.1 * i}]} for i in range(50)
    ]
    expected = [client.post("/api/search", json=state).json()["steered"] for state in states]
    answers, start = [None] * 50, threading.Barrier(50)

    def tab(number):
        start.wait()
        for path, body in (("search", states[number]), ("curve", {"state": states[number], "index": 0})):
            answer = client.post(f"/api/{path}", json=body)
            assert answer.status_code in (200, 400), answer.text
            if path == "search":
                answers[number] = answer.json()["steered"]

    threads = [threading.Thread(target=tab, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == expected


def test_where_it_listens():
    with bind("127.0.0.1", 0) as bound:
        assert address_of(bound, None) == f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert address_of(bound, "secret").endswith("/?token=secret")
        with bind("127.0.0.1", None) as other:
            assert other.getsockname()[1]
        bound.listen()
        with pytest.raises(ConfigError, match="cannot be used"):
            bind("127.0.0.1", bound.getsockname()[1])
    assert hosts_of("0.0.0.0") is None
    assert "localhost" in hosts_of("127.0.0.1")
