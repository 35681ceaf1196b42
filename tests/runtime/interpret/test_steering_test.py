"""Whether a feature steers, on documents where that can be seen by eye, and against the search of an index."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.arrays import unit_rows
from steersearch.runtime import SteerableIndex
from steersearch.runtime.bundle.interpretation import SteeringScore
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments
from steersearch.runtime.interpret.held_out_search import HeldOutSearch, best_places
from steersearch.runtime.interpret.scoring import select_splits
from steersearch.runtime.interpret.steering_test import (
    LEAST_OTHERS,
    LEAST_QUERIES,
    NeutralQueries,
    SteeringTest,
    steer_all,
)

TEXTS = ["red apple", "apples and pears", "an apple a day", "snow", "rain", "wind", "hail", "fog"]
EYE = np.eye(8, dtype=np.float32)
QUERIES, OTHER = 6, LEAST_OTHERS
BY_HAND = SteeringTest(
    texts=TEXTS,
    vectors=EYE,
    # The words of the first three documents point to the first latent, and no document's to another.
    predicted=np.array([EYE[0]] * 3 + [EYE[1]] * 5),
    atoms=EYE[[0] + [5] * OTHER],
    thresholds=np.full(1 + OTHER, 0.5, np.float32),
    queries=np.tile(EYE[4], (QUERIES, 1)),
    neutral=np.ones((1 + OTHER, QUERIES), bool),
    plain=np.tile([4, 5], (QUERIES, 1)),
    # A boost of the first latent brings apples, and of all others snow and rain, whatever the query.
    boosted=np.repeat(np.array([[0, 1]] + [[3, 4]] * OTHER)[:, None], QUERIES, 1),
    expressed=np.array([[[1, 2]] * 4] + [[[-1, -1]] * 4] * OTHER),
    clamped=np.array([[[1, 5]] * 4] + [[[-1, -1]] * 4] * OTHER),
    clamped_other=np.array([[[1, 2]] * 4] + [[[-1, -1]] * 4] * OTHER),
    seed=0,
)


def scores(name, latent=0, test=BY_HAND, vector=EYE[0]):
    names = [None] * len(test.atoms)
    names[latent] = name
    found = test.scores(names, np.tile(vector, (len(names), 1)))
    assert [score for i, score in enumerate(found) if i != latent] == [None] * (len(names) - 1)
    return found[latent]


def test_a_boost_that_brings_what_the_name_says():
    assert scores("apples") == SteeringScore(
        score=1.0,
        words=1.0,
        predicted=1.0,
        plain=0.0,
        boosted=1.0,
        random=0.0,
        text=0.5,  # the name's vector is the first document's, and the query's the fifth's
        before=1.0,
        after=0.5,
        after_other=1.0,
        queries=QUERIES,
    )


def test_a_name_that_is_not_what_a_boost_brings():
    snow = scores("snow")
    assert (snow.words, snow.predicted, snow.score) == (0.0, 1.0, 0.5)  # the others bring snow
    fog = scores("fog")
    assert (fog.words, fog.score) == (0.5, 0.75)  # none brings fog


def test_evidence_that_is_not_there_is_left_out():
    assert scores("bananas").words is None
    assert scores("bananas").score == 1.0
    rain = scores("rain", latent=1)
    # As the first latent does not, and the others do.
    assert (rain.words, rain.predicted, rain.score) == (pytest.approx(0.5 + 0.5 / OTHER, abs=1e-4), None, rain.words)
    assert (rain.before, rain.after) == (None, None)  # nothing expresses it
    assert scores("bananas", latent=1) is None


def test_what_cannot_be_measured_has_no_score():
    for changed in (
        {"thresholds": np.full(1 + OTHER, np.inf, np.float32)},
        {"neutral": np.arange(QUERIES) < np.full((1 + OTHER, 1), LEAST_QUERIES - 1)},
        {"boosted": np.full_like(BY_HAND.boosted, -1)},
        {"boosted": np.where(np.arange(1 + OTHER)[:, None, None] < OTHER, BY_HAND.boosted, -1)},  # too few others
        {"boosted": BY_HAND.boosted[:, :0], "neutral": BY_HAND.neutral[:, :0], "queries": BY_HAND.queries[:0]},
    ):
        assert scores("apples", test=replace(BY_HAND, **changed)) is None
    alike = replace(BY_HAND, texts=["apple"] * 8, predicted=np.tile(EYE[0], (8, 1)))
    assert scores("apple", test=alike) is None


def test_only_neutral_queries_count():
    boosted = BY_HAND.boosted.copy()
    boosted[0, :2] = [6, 7]  # on these it brings no apples
    half = replace(BY_HAND, boosted=boosted)
    assert scores("apples", test=half).boosted == pytest.approx(4 / 6, abs=1e-4)
    neutral = BY_HAND.neutral.copy()
    neutral[0, :2] = False
    assert scores("apples", test=replace(half, neutral=neutral)).boosted == 1.0


@given(st.integers(0, 2**32 - 1))
def test_by_chance_it_is_a_half_and_more_of_it_is_never_worse(seed):
    rng = np.random.default_rng(seed)
    boosted = np.array([[rng.permutation(8)[:2] for _ in range(QUERIES)] for _ in range(30)])
    many = replace(
        BY_HAND,
        boosted=boosted,
        atoms=np.tile(EYE[0], (30, 1)),
        thresholds=np.full(30, 0.5, np.float32),
        neutral=np.ones((30, QUERIES), bool),
        **dict.fromkeys(("expressed", "clamped", "clamped_other"), np.full((30, 4, 2), -1)),
    )
    found = many.scores(["apples"] * 30, np.tile(EYE[0], (30, 1)))
    # Of every two latents one brings more, or both count half.
    assert np.mean([score.score for score in found]) == pytest.approx(0.5, abs=1e-3)
    assert {score.before for score in found} == {None}
    apple = boosted.copy()
    apple[0, 0, 0] = next(place for place in range(3) if place not in boosted[0, 0])
    better = replace(many, boosted=apple).scores(["apples"] + [None] * 29, np.tile(EYE[0], (30, 1)))[0]
    assert (better.score, better.boosted) >= (found[0].score, found[0].boosted)
    assert better.words >= found[0].words


def test_places_are_those_of_a_sort():
    values = np.random.default_rng(0).integers(0, 5, (20, 30)).astype(np.float32) + np.arange(30)[::-1] / 100
    for count in (1, 7, 30):
        assert (best_places(values.astype(np.float32), count) == np.argsort(-values, 1, kind="stable")[:, :count]).all()
    assert best_places(np.zeros((2, 3)), 3).tolist() == [[0, 1, 2]] * 2


@pytest.fixture(scope="module")
def texts(topic_texts):
    return [f"{text} {more}" for more in ("", "Indeed.", "Once more.") for text in topic_texts.texts]


def test_it_is_the_search_of_an_index(opened_bundle, texts, tmp_path):
    words = ["how is an exception raised?", "a quiet evening with soup", "the orbit of the moon"]
    vectors, queries = opened_bundle.embed(texts), opened_bundle.embed_queries(words)
    latents = np.flatnonzero(opened_bundle.features.typical > 0)[:12]
    search = HeldOutSearch(opened_bundle, texts, vectors, queries, words, 10)
    boosted, plain = search.boosted(latents), search.plain()
    own = np.array([3, 70])
    codes = opened_bundle.encode(vectors[own])
    strongest = np.array([indices[row.argmax()] for indices, row in zip(*codes, strict=True)])
    without = unit_rows(vectors[own] - codes[1].max(1)[:, None] * opened_bundle.atoms[strongest])
    as_they_are, clamped = (search.search(rows, np.array([-1, -1])) for rows in (vectors[own], without))
    with SteerableIndex.create(tmp_path / "index", opened_bundle.path) as index:
        index.add(texts, [str(i) for i in range(len(texts))])

        def places(query, **steering):
            return [(int(hit.id), hit.score) for hit in index.search(query, k=10, **steering)]

        def check(found, hits):
            # Equal texts have equal scores up to the rounding of float32, so that any of them may be the tenth.
            other = set(found.tolist()) ^ {place for place, _ in hits}
            assert all(any(texts[a].split()[:3] == texts[b].split()[:3] for b, _ in hits) for a in other), found

        for q, query in enumerate(words):
            check(plain[q], places(query))
            for i, latent in enumerate(latents):
                check(boosted[i, q], places(query, boost={int(latent): 1.0}))
        for i, row in enumerate(own):
            check(as_they_are[i], places(vectors[row]))
            check(clamped[i], places(vectors[row], clamp={int(strongest[i]): 0.0}))


def documents_of(bundle, texts, vectors=None):
    vectors = bundle.embed(texts) if vectors is None else vectors
    return EncodedDocuments.encode(bundle, [str(i) for i in range(len(texts))], texts, vectors)


def test_queries_are_beginnings_of_held_out_documents_that_are_not_searched(opened_bundle, texts):
    documents = documents_of(opened_bundle, texts)
    queries = NeutralQueries.choose(opened_bundle, documents, [], opened_bundle.embed_queries)
    assert len(queries.texts) == len(set(queries.texts)) == len(queries.rows) == 16
    assert documents.held_out[queries.rows].all()
    assert all(texts[row].startswith(text) for row, text in zip(queries.rows, queries.texts, strict=True))
    test = steer_all(opened_bundle, documents, select_splits(documents), documents.centred, queries)
    assert len(test.texts) == documents.held_out.sum() - 16
    few = NeutralQueries.choose(opened_bundle, documents, ["a", " ", "b", "a"], opened_bundle.embed_queries)
    assert (few.texts[:2], len(few.texts), len(few.rows)) == (["a", "b"], 16, 14)
    enough = NeutralQueries.choose(opened_bundle, documents, [f"{i}" for i in range(48)], opened_bundle.embed_queries)
    assert (enough.texts, len(enough.rows)) == ([f"{i}" for i in range(0, 48, 3)], 0)


@pytest.mark.parametrize("kind", ["alike", "empty", "same vectors", "numbers"])
def test_no_figure_is_made_of_nothing(opened_bundle, kind):
    texts = {"alike": ["the same"] * 20, "empty": [""] * 19 + ["a"], "numbers": [str(i) for i in range(20)]}.get(
        kind, [f"text {i}" for i in range(20)]
    )
    vectors = np.tile(opened_bundle.embed(["x"]), (20, 1)) if kind == "same vectors" else None
    documents = documents_of(opened_bundle, texts, vectors)
    queries = NeutralQueries.choose(opened_bundle, documents, [], opened_bundle.embed_queries)
    test = steer_all(opened_bundle, documents, select_splits(documents), documents.centred, queries)
    names = ["the same text"] * opened_bundle.n_latents
    for score in test.scores(names, np.tile(opened_bundle.embed(["x"]), (len(names), 1))):
        if score is not None:
            assert all(
                0 <= value <= 1 for name, value in vars(score).items() if name != "queries" and value is not None
            )
    assert kind not in ("alike",) or not any(test.scores(names, np.zeros((len(names), opened_bundle.d_in))))
