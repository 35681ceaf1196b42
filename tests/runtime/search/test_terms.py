"""Searches by conditions, against every document scored from the definition: in every view, with filters, of few."""

import numpy as np
import pytest

from steersearch.errors import DataError
from steersearch.runtime import Bundle, Concept, SteerableIndex
from steersearch.runtime.search import terms as terms_module
from steersearch.runtime.search.fusion import fuse

from ...adversary.conditions import Conditions, relative, wish
from ...test_golden import DATA, EXAMPLES, FILTER, PHRASE, QUERY, documents, filled

VIEWS = ("dense", "latent", "words", "reconstruction")
ASKED = {
    "label": {"boost": {"whale": 1.0}},
    "phrase": {"boost": {PHRASE: 0.3}},
    "examples": {"boost": {EXAMPLES: 2.0}},
    "several": {"boost": {PHRASE: 1.0, "whale": "auto", 3: 0.5}},
    "down": {"boost": {"storm": -1.0}},
    "up and down": {"boost": {"island": 1.0, PHRASE: "-auto"}},
    "exclude": {"exclude": ["island", PHRASE]},
    "all": {"boost": {"sailor": 1.0, 3: -0.5}, "exclude": [EXAMPLES]},
}


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(DATA / "tiny_bundle", threads=1)


@pytest.fixture(scope="module")
def index(bundle, tmp_path_factory):
    with filled(tmp_path_factory.mktemp("terms") / "index", bundle) as index:
        yield index


def by_definition(index, query, asked, view="dense", text=None, k=10**6):
    """The score of every document that the view can find: id -> score."""
    ids, texts, vectors = index.documents()
    steered = index.steer(query, text=text, **asked)
    boosted = [wish(index.bundle, concept, strength) for concept, strength in steered.boosted if strength]
    excluded = [wish(index.bundle, concept) for concept in steered.excluded]
    similar, found = None, ids
    if view != "dense":
        plain = {hit.id: hit.score for hit in index.search(query, k, view=view, text=text)}
        similar, found = relative(plain, ids), list(plain)
    conditions = Conditions(index.bundle, vectors, texts)
    scores = conditions.scores(steered.original, steered.text or "", boosted, excluded, similar)
    return {id: score for id, score in zip(ids, scores.tolist(), strict=True) if id in set(found)}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("view", VIEWS)
def test_every_document_has_the_score_of_the_definition(index, view, asked):
    expected = by_definition(index, QUERY, ASKED[asked], view)
    hits = index.search(QUERY, 1000, view=view, **ASKED[asked])
    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, abs=2e-4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    few = index.search(QUERY, 7, view=view, **ASKED[asked])
    assert [(hit.id, hit.score) for hit in few] == [(hit.id, hit.score) for hit in hits[:7]]


@pytest.mark.parametrize("asked", ASKED)
def test_a_hit_has_the_score_of_its_explanation(index, asked):
    hits = index.search(QUERY, 5, **ASKED[asked])
    for hit, why in zip(hits, index.explain_all(QUERY, [hit.id for hit in hits], **ASKED[asked]), strict=True):
        assert np.float32(why.score) == np.float32(hit.score)


@pytest.mark.parametrize("view", [*VIEWS, "hybrid"])
@pytest.mark.parametrize("asked", [ASKED["up and down"], ASKED["exclude"]])
def test_a_filter_gives_the_same_scores_to_fewer(index, view, asked):
    """Whether the filter was seen before or not: at first it is applied to an unfiltered search."""
    filter = {**FILTER, "nothing": {"$ne": f"{view} {asked}"}}  # of this test alone
    first = index.search(QUERY, 5, view=view, filter=filter, **asked)
    index._store.rowids_where(filter)  # remembered from here on
    all_of_it = index.search(QUERY, 1000, view=view, filter=filter, **asked)
    again = index.search(QUERY, 5, view=view, filter=filter, **asked)
    assert first == again == all_of_it[:5]
    assert all(hit.metadata["year"] >= 2020 and hit.metadata["kind"] in ("note", "page") for hit in all_of_it)
    if view == "dense":
        whole = {hit.id: hit.score for hit in index.search(QUERY, 1000, **asked)}
        assert {hit.id: hit.score for hit in all_of_it}.items() <= whole.items()


@pytest.mark.parametrize("fusion", ["rrf", {"dense": 0.5, "latent": 0.25, "words": 0.25}])
@pytest.mark.parametrize("strength", [1.0, 100.0])
def test_a_hybrid_joins_the_views(index, fusion, strength):
    asked = {"boost": {"whale": strength, "piano": -strength}}
    rows = {id: i for i, id in enumerate(documents()[0])}

    def search(view, k, allowed):
        hits = [
            hit for hit in index.search(QUERY, 1000, view=view, **asked) if allowed is None or rows[hit.id] in allowed
        ]
        best = hits[0].score if hits else 0.0
        scores = np.array([hit.score for hit in hits[:k]])
        return np.array([rows[hit.id] for hit in hits[:k]], np.int64), np.exp(scores - best)

    found, scores = fuse(search, fusion, 9, None, dict.fromkeys(("dense", "latent", "words"), 0.0))
    hits = index.search(QUERY, 9, view="hybrid", fusion=fusion, **asked)
    assert [hit.score for hit in hits] == pytest.approx(scores.tolist(), abs=1e-5)
    assert {rows[hit.id] for hit in hits[:5]} == set(found[:5].tolist())
    assert len({hit.score for hit in hits}) > 3  # however strong the wishes are, some documents are better


@pytest.mark.parametrize("fusion", ["rrf", {"dense": 0.5, "latent": 0.25, "words": 0.25}])
def test_wishes_that_nothing_meets_leave_an_order(bundle, tmp_path, fusion):
    """However far below 0 all scores are, the best documents are first."""
    ids, texts, _ = documents()
    some = [i for i, id in enumerate(ids) if id.startswith("sea")]
    with SteerableIndex.create(tmp_path / "index", bundle, backend="exact") as index:
        index.add([texts[i] for i in some], [ids[i] for i in some])
        hits = index.search(QUERY, 18, boost={"piano": 100.0, "tennis": 100.0}, view="hybrid", fusion=fusion)
    assert len({hit.score for hit in hits}) > 5
    assert fusion == "rrf" or 0.5 < hits[0].score <= 1


VIEWS_OF_ALL = [
    *({"view": view} for view in (*VIEWS, "hybrid")),
    {"view": "hybrid", "fusion": {"dense": 0.2, "words": 0.8}},
]


@pytest.mark.parametrize("way", VIEWS_OF_ALL)
def test_what_one_half_takes_out_comes_back_by_no_other(index, way):
    def whales(**how):
        hits = index.search("a storm near the harbor", 10, **way, **how)
        return [hit.rank for hit in hits if "whale" in hit.text.split()]

    assert len(whales()) >= 2
    assert min(whales()) <= 4
    assert len(whales(exclude=["whale"])) <= 1
    assert min(whales(exclude=["whale"]), default=99) > 5


def test_vectors_and_missing_words(index, bundle):
    vector = bundle.embed([QUERY])[0]
    for asked in ASKED.values():
        assert index.search(vector, 9, text=QUERY, **asked) == index.search(QUERY, 9, **asked)
        without = {hit.id: hit.score for hit in index.search(vector, 144, **asked)}
        assert without == pytest.approx(by_definition(index, vector, asked), abs=2e-4)
        with pytest.raises(DataError, match="searches words"):
            index.search(vector, 9, view="hybrid", **asked)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("view", [*VIEWS, "hybrid"])
def test_few_documents(bundle, tmp_path, n, view):
    ids, texts, _ = documents()
    with SteerableIndex.create(tmp_path / "index", bundle, backend="exact") as index:
        index.add(texts[:n], ids[:n])
        for asked in (ASKED["label"], ASKED["phrase"], ASKED["up and down"], ASKED["exclude"]):
            with np.errstate(all="raise"), pytest.MonkeyPatch.context() as patch:
                patch.setattr("steersearch.steering_warnings.warn", lambda message: None)
                for name in ("resolver", "evidence"):
                    patch.setattr(f"steersearch.runtime.steering.{name}.warn", lambda message: None)
                hits = index.search("the moon of a planet", 5, view=view, **asked)
                if view != "hybrid":
                    expected = by_definition(index, "the moon of a planet", asked, view)
                    assert {hit.id: hit.score for hit in hits} == pytest.approx(expected, abs=2e-4)
        assert len(hits) == n


def test_candidates_hold_the_best_of_all(bundle, tmp_path, monkeypatch):
    """The ten best of everything are among the candidates, for nearly all."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 16))
    rows = (centres[rng.integers(0, 40, 4000)] + 0.7 * rng.standard_normal((4000, 16))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with SteerableIndex.create(tmp_path / "index", bundle, backend="exact") as index:
        index.add([f"text {i}" for i in range(4000)], embeddings=rows)
        found = wanted = 0
        for seed in range(12):
            query = rows[seed * 300]
            for asked in ({"boost": {seed: 1.0}}, {"boost": {seed: 1.0, seed + 9: -1.0}}, {"exclude": [seed]}):
                ten = {hit.id for hit in index.search(query, 10, **asked)}
                with monkeypatch.context() as patch:
                    patch.setattr(terms_module, "DEPTH", 4000)
                    best = {hit.id for hit in index.search(query, 10, **asked)}
                found, wanted = found + len(ten & best), wanted + len(best)
    assert found >= 0.98 * wanted


@pytest.mark.parametrize("view", VIEWS)
def test_k_beyond_the_candidates(index, view, monkeypatch):
    monkeypatch.setattr(terms_module, "DEPTH", 4)
    few = index.search(QUERY, 2, view=view, boost={"whale": 1.0})
    assert len(few) == 2
    plain = index.search(QUERY, 1000, view=view)
    assert len(index.search(QUERY, 1000, view=view, boost={"whale": 1.0})) == len(plain)


def test_a_strength_says_how_much_a_concept_counts(index):
    """The more the more, in both directions; nothing is nothing, bit for bit."""

    def shares(strength):
        hits = index.search("a storm and a whale", 10, boost={PHRASE: strength})
        return sum(hit.id.startswith("health") for hit in hits)

    counts = [shares(strength) for strength in (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    plain = index.search(QUERY, 10)
    assert index.search(QUERY, 10, boost={PHRASE: 0.0}) == index.search(QUERY, 10, exclude=[]) == plain
    assert index.search(QUERY, 10, boost={Concept.from_latents({5: 1.0}): 0.0}, blend="both") == plain
    auto, one = ({"boost": {PHRASE: strength}} for strength in ("auto", 1))
    assert index.search(QUERY, 10, **auto) == index.search(QUERY, 10, **one)
    auto, one = ({"boost": {PHRASE: strength}} for strength in ("-auto", -1))
    assert index.search(QUERY, 10, **auto) == index.search(QUERY, 10, **one)
