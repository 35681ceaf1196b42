"""The page and the Python API say the same: 200 random states, asked both ways."""

import random
import warnings

import pytest

from steersearch.errors import SteersearchError
from steersearch.runtime import Concept
from steersearch.runtime.steering.request import Steering

PHRASES = ["an exception is raised", "import a module", "integer", "class attribute", "the error message", "path"]
QUERIES = ["adding an integer and a float", "how a module is found", "what a class is", "errors, not warnings", "names"]
FILTERS = [None, None, {"topic": "numbers"}, {"number": {"$lt": 8}}, {"topic": {"$in": ["classes", "modules"]}}]
VIEWS = ["dense", "dense", "dense", "latent", "words", "hybrid", "reconstruction"]


def random_key(rng):
    kind = rng.randrange(5)
    if kind <= 1:
        return {"phrase": rng.choice(PHRASES)}
    if kind == 2:
        return {"feature": rng.randrange(64)}
    if kind == 3:
        more = [f"exceptions-{i}" for i in rng.sample(range(15), rng.randint(0, 3))]
        less = [f"numbers-{i}" for i in rng.sample(range(15), rng.randint(0, 2))]
        return {"more": more or ["classes-1"], "less": less}
    return {"weights": {str(rng.randrange(64)): rng.choice([1.0, 0.5, -0.25]) for _ in range(rng.randint(1, 4))}}


def random_state(rng):
    concepts = []
    for _ in range(rng.randint(0, 3)):
        strength = rng.choice([0.25, 0.5, 1, 1.5, -1, 0, "auto", rng.uniform(-2, 2)])
        concept = {"key": random_key(rng), "strength": strength, "on": rng.random() > 0.15}
        if concept["key"] not in [other["key"] for other in concepts]:
            concepts.append(concept | {"off": [], "exclude": rng.random() < 0.15})
    return {
        **{"query": rng.choice(QUERIES), "k": rng.randint(1, 20), "view": rng.choice(VIEWS)},
        **{"filter": rng.choice(FILTERS), "concepts": concepts, "understand": rng.random() < 0.2},
    }


def python_key(key):
    if "phrase" in key:
        return key["phrase"]
    if "feature" in key:
        return key["feature"]
    if "weights" in key:
        return Concept.from_latents({int(latent): weight for latent, weight in key["weights"].items()})
    return Concept.from_examples(key["more"], key["less"])


def asked_in_python(index, state, usable):
    """What a program would write for a state; concepts that cannot be used are left out, as the page does."""
    on = [one for one in state["concepts"] if one["on"] and usable(one["key"])]
    boost = {python_key(one["key"]): one["strength"] for one in on if not one["exclude"]}
    exclude = [python_key(one["key"]) for one in on if one["exclude"]]
    steered = index.steer(
        state["query"], steering=Steering(boost, exclude=tuple(exclude)), understand=state["understand"]
    )
    how = {"filter": state["filter"], "view": state["view"]}
    return index.search(steered, state["k"], compare=True, **how), index.search(steered.unsteered, state["k"], **how)


@pytest.mark.parametrize("seed", range(20))
def test_ids_scores_and_ranks_are_those_of_the_python_api(seed, client, tiny_index):
    def usable(key):
        try:
            tiny_index.resolve(python_key(key))
        except SteersearchError:
            return False
        return True

    rng, answered = random.Random(seed), 0
    for _ in range(10):
        state = random_state(rng)
        answer = client.post("/api/search", json=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                hits, plain = asked_in_python(tiny_index, state, usable)
            except SteersearchError as error:
                hits, plain, told = None, None, str(error)
        if hits is None:
            assert answer.status_code == 400
            assert told[:40] in answer.json()["error"]
            continue
        found, answered = answer.json(), answered + 1
        assert answer.status_code == 200, found
        assert [(hit["id"], hit["score"], hit["was"]) for hit in found["steered"]] == [
            (hit.id, hit.score, hit.rank_before) for hit in hits
        ]
        assert [(hit["id"], hit["score"]) for hit in found["plain"]] == [(hit.id, hit.score) for hit in plain]
        for hit in found["steered"] + found["plain"]:
            assert sum(bar["value"] for bar in hit["bars"]) == pytest.approx(hit["score"], abs=1e-4)
            for bar in hit["bars"]:
                if bar["parts"]:
                    assert sum(part["value"] for part in bar["parts"]) == pytest.approx(bar["value"], abs=1e-4)
    assert answered >= 6


def test_bars_name_their_concepts(client):
    phrase, gone = {"phrase": "an exception is raised"}, {"phrase": "import a module"}
    concepts = [{"key": phrase, "strength": 0.7}, {"key": gone, "exclude": True}]
    answer = client.post("/api/search", json={"query": "names of things", "concepts": concepts}).json()
    kinds = [(bar["kind"], bar["key"]) for bar in answer["steered"][0]["bars"]]
    assert kinds == [("query", None), ("concept", phrase), ("exclude", gone)]
    assert [(one["strength"], one["exclude"]) for one in answer["concepts"]] == [(0.7, False), (1.0, True)]
    assert 0 <= answer["kept"] <= 1


def test_latents_that_are_off_count_for_nothing(client, tiny_index):
    key = {"phrase": "an exception is raised"}
    concept = tiny_index.resolve(key["phrase"])
    off = [next(iter(concept.weights))]
    state = {"query": "names", "concepts": [{"key": key, "off": off}]}
    answer = client.post("/api/search", json=state).json()
    assert [one["latent"] for one in answer["concepts"][0]["features"] if not one["on"]] == off
    left = {latent: weight for latent, weight in concept.weights.items() if latent not in off}
    from dataclasses import replace

    hits = tiny_index.search("names", 10, boost={replace(concept, weights=left): 1.0})
    assert [(hit["id"], hit["score"]) for hit in answer["steered"]] == [(hit.id, hit.score) for hit in hits]


def test_examples_of_what_is_not_wanted_alone_go_down(client, tiny_index):
    state = {"query": "names", "concepts": [{"key": {"more": [], "less": ["exceptions-1"]}, "strength": 1}]}
    answer = client.post("/api/search", json=state).json()
    hits = tiny_index.search("names", 10, boost={Concept.from_examples(["exceptions-1"]): -1.0})
    assert [hit["id"] for hit in answer["steered"]] == [hit.id for hit in hits]
    assert answer["concepts"][0]["strength"] == 1


def test_a_sentence_is_read_into_chips_that_mean_the_same(client):
    sentence = {"query": "errors, but not warnings", "understand": True}
    read = client.post("/api/search", json=sentence).json()
    assert read["understood"]["chips"]
    concepts = [{"key": chip["key"], "strength": chip["strength"]} for chip in read["understood"]["chips"]]
    mended = client.post("/api/search", json={"query": read["understood"]["query"], "concepts": concepts}).json()
    assert [hit["score"] for hit in mended["steered"]] == [hit["score"] for hit in read["steered"]]


def test_warnings_have_a_kind_and_a_place(client):
    one, other = {"feature": 1}, {"weights": {"1": 1.0}}
    concepts = [{"key": one, "strength": 1}, {"key": other, "strength": -1}]
    found = client.post("/api/search", json={"query": "names", "concepts": concepts}).json()
    if found["concepts"][0]["features"]:
        assert {"conflict", "same"} & {warning["kind"] for warning in found["warnings"]}
    missing = [{"key": {"concept": "nobody saved it"}}]
    found = client.post("/api/search", json={"query": "names", "concepts": missing}).json()
    assert [(warning["kind"], warning["key"]) for warning in found["warnings"]] == [
        ("unusable", {"concept": "nobody saved it"})
    ]
    assert [hit["id"] for hit in found["steered"]] == [hit["id"] for hit in found["plain"]]


def test_words_add_up_and_name_concepts(client, studio):
    state = {"query": "an error is raised", "concepts": [{"key": {"phrase": "import a module"}}]}
    hits = client.post("/api/search", json=state).json()["steered"]
    found = client.post("/api/words", json={"state": state, "ids": [hit["id"] for hit in hits] + ["none"]}).json()
    assert set(found) == {hit["id"] for hit in hits}
    for hit in hits:
        words = found[hit["id"]]
        assert words["exact"] == studio.exact_words
        assert words["words"], hit
        for word in words["words"]:
            assert word["by"]["query"] + word["by"]["c0"] == pytest.approx(word["value"], abs=1e-4)
        total = sum(sentence["value"] for sentence in words["sentences"])
        assert total == pytest.approx(sum(word["value"] for word in words["words"]), abs=1e-3)
        assert hit["text"][words["words"][0]["start"] : words["words"][0]["end"]].isalnum()


def test_the_curve_says_what_the_lists_say(client):
    state = {"query": "names", "concepts": [{"key": {"phrase": "an exception is raised"}, "strength": 0.5}]}
    found = client.post("/api/curve", json={"state": state, "index": 0}).json()
    assert found["now"]["strength"] == 0.5
    at = {point["strength"]: point for point in found["points"]}
    assert at[0.0]["overlap"] == at[0.0]["topic"] == 1
    for strength in (-1.0, 0.5, 2.0):
        state["concepts"][0]["strength"] = strength
        answer = client.post("/api/search", json=state).json()
        plain = {hit["id"] for hit in answer["plain"]}
        assert at[strength]["overlap"] == len(plain & {hit["id"] for hit in answer["steered"]}) / 10
        assert at[strength]["topic"] == pytest.approx(answer["kept"], abs=1e-4)
    assert at[2.0]["concept"] >= at[0.0]["concept"] >= at[-2.0]["concept"]
