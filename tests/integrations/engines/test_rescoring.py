"""What an engine finds is ranked by the conditions of a boost or an exclusion, as in an index of ours."""

import math
from typing import Any

import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore

from steersearch.errors import ConfigError, SteeringWarning
from steersearch.integrations.engines.rescoring import RankedHit, TextVectors, joined
from steersearch.integrations.langchain import SteerableEmbeddings, SteerableRetriever, SteeredStore
from steersearch.integrations.langchain import over as over_module
from steersearch.runtime import Bundle, Hit, SteerableIndex, understand
from steersearch.runtime.steering.request import SAID_NOT

from ..conftest import PHRASE, QUERY
from .test_new_engine import ToyEngine

WISHES: list[dict[str, Any]] = [
    {"boost": {18: 1.0}},
    {"boost": {18: 2.0, "f4": 0.5}},
    {"boost": {18: "-auto"}},
    {"exclude": ["f3"]},
    {"boost": {18: 1.0}, "exclude": ["f3"], "clamp": {7: 0.0}},
]


@pytest.fixture
def store(tiny_index: SteerableIndex, topic_texts: Any) -> InMemoryVectorStore:
    memory = InMemoryVectorStore(SteerableEmbeddings(tiny_index.bundle))
    memory.add_texts(topic_texts.texts, ids=topic_texts.ids)
    return memory


@pytest.fixture
def toy(tiny_index: SteerableIndex, topic_texts: Any) -> ToyEngine:
    engine = ToyEngine(tiny_index.bundle, tiny_index.documents()[2])
    engine.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
    return engine


def same(ours: list[Hit], theirs: list[Hit]) -> bool:
    """Whether the scores are the same, rank by rank; equal ones may change places."""
    return [hit.score for hit in theirs] == pytest.approx([hit.score for hit in ours], abs=1e-4)


@pytest.mark.parametrize("wishes", WISHES, ids=str)
@pytest.mark.parametrize("view", ["dense", "latent"])
def test_the_same_scores_as_an_index(toy: ToyEngine, tiny_index: SteerableIndex, view: Any, wishes: Any) -> None:
    # A vector has no words, which an index weighs by how rare they are.
    query = tiny_index.bundle.embed_query(QUERY)
    ours, theirs = (index.search(query, 10, view=view, **wishes) for index in (tiny_index, toy))
    assert same(ours, theirs)
    assert all(isinstance(hit, RankedHit) for hit in theirs)
    assert [hit.score for hit in theirs] != [hit.score for hit in toy.search(query, 10, view=view)]


def test_the_same_documents_over_a_store(store: InMemoryVectorStore, tiny_index: SteerableIndex) -> None:
    over = SteeredStore(store, tiny_index.bundle, tiny_index.documents()[2])
    for wishes in ({"boost": {PHRASE: 1.0}}, {"exclude": [PHRASE]}, {"boost": {"import a module": 1.0}}):
        ours = {hit.id for hit in tiny_index.search(QUERY, 10, **wishes)}
        theirs = {hit.id for hit in over.search(QUERY, 10, **wishes)}
        assert len(ours & theirs) >= 9


def test_the_engines_own_number_stays(store: InMemoryVectorStore, tiny_index: SteerableIndex) -> None:
    retriever = SteerableRetriever.over(store, tiny_index.bundle, include_scores=True, include_explanations=True)
    for document in retriever.invoke(QUERY, boost={18: 1.0}, exclude=["f3"]):
        why = document.metadata["steerable"]
        assert document.metadata["relevance_score"] == pytest.approx(why["score"], abs=1e-6)
        assert sum(term["contribution"] for term in why["terms"]) == pytest.approx(why["score"], abs=1e-3)
        assert why["terms"][0]["condition"] == "query"
        assert 0 < document.metadata["store_score"] <= 1
        assert why["kept"] == 1
        assert [concept.get("exclude") for concept in why["concepts"]] == [None, True]
    (plain, *_) = retriever.invoke(QUERY)
    assert "relevance_score" not in plain.metadata


def test_wishes_in_words(store: InMemoryVectorStore, tiny_index: SteerableIndex) -> None:
    over, said = SteeredStore(store, tiny_index.bundle), f"{QUERY}, not exceptions"
    assert over.search(said, 5, understand=True) == over.search(QUERY, 5, boost={"exceptions": SAID_NOT})
    assert over.steer(said, understand=True).request == understand(said)


def test_an_order_that_is_left_to_the_engine(store: InMemoryVectorStore, tiny_index: SteerableIndex) -> None:
    over = SteeredStore(store, tiny_index.bundle, rescored=0)
    steered = over.steer(QUERY, {18: 1.0})
    cosines = [score for _, score in store.similarity_search_with_score_by_vector(steered.vector.tolist(), 5)]
    assert [hit.score for hit in over.search(steered, 5)] == cosines
    with pytest.warns(SteeringWarning, match="is not taken away: rescored is 0"):
        over.search(QUERY, 5, exclude=["f3"])


def test_texts_are_embedded_once(
    store: InMemoryVectorStore, tiny_index: SteerableIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a store that does not show its vectors.
    monkeypatch.setattr(over_module, "reader_of", lambda store: None)
    over, embedded = SteeredStore(store, tiny_index.bundle), []
    embed = Bundle.embed_documents
    monkeypatch.setattr(Bundle, "embed_documents", lambda self, texts: embedded.extend(texts) or embed(self, texts))
    over.search(QUERY, 5, boost={18: 1.0}, compare=True)
    assert 0 < len(embedded) == len(set(embedded)) <= 60
    before = len(embedded)
    over.search(QUERY, 5, boost={18: 1.0}, compare=True)
    assert len(embedded) == before


def test_a_sample_is_looked_for_when_there_are_documents(tiny_index: SteerableIndex, topic_texts: Any) -> None:
    store = InMemoryVectorStore(SteerableEmbeddings(tiny_index.bundle))
    over = SteeredStore(store, tiny_index.bundle)
    assert over.search(QUERY, 5, boost={18: 1.0}) == []
    assert over.sample(10) == (None, None)
    store.add_texts(topic_texts.texts, ids=topic_texts.ids)
    assert len(over.search(QUERY, 5, boost={18: 1.0})) == 5
    rows, codes = over.sample(1000)
    assert rows is not None
    assert codes is None
    assert 20 < len(rows) <= 60
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("rescored", [-1, 2.5, True, "40"])
def test_how_many_is_a_whole_number(store: InMemoryVectorStore, tiny_index: SteerableIndex, rescored: Any) -> None:
    with pytest.raises(ConfigError, match="it must be a whole number of at least 0"):
        SteerableRetriever.over(store, tiny_index.bundle, rescored=rescored)


def test_lists_are_joined_by_id_or_text() -> None:
    near = [Hit(1, "a", 0.9, "A"), Hit(2, "", math.nan, "B")]
    own = [Hit(1, "", math.nan, "B"), Hit(2, "a", 0.5, "A"), Hit(3, "c", 0.1, "C")]
    assert sorted((hit.id, hit.text, hit.score) for hit in joined(near, own) if hit.id) == [
        ("a", "A", 0.9),
        ("c", "C", 0.1),
    ]
    assert len(joined(near, own)) == 3


def test_vectors_of_texts_are_those_of_the_bundle(opened_bundle: Bundle) -> None:
    vectors, texts = TextVectors(opened_bundle), ["one", "two", "one", ""]
    for _ in range(2):
        assert np.allclose(vectors.of(texts), opened_bundle.embed_documents(texts), atol=1e-6)
    assert vectors.of([]).shape == (0, opened_bundle.d_in)


def test_vectors_that_a_store_shows_are_not_made_again(
    store: InMemoryVectorStore, tiny_index: SteerableIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = SteeredStore(store, tiny_index.bundle)
    monkeypatch.setattr(over_module, "reader_of", lambda store: None)
    hidden = SteeredStore(store, tiny_index.bundle)
    expected = hidden.search(QUERY, 5, boost={18: 1.0}, exclude=["f3"])
    embedded: list[str] = []
    embed = Bundle.embed_documents
    monkeypatch.setattr(Bundle, "embed_documents", lambda self, texts: embedded.extend(texts) or embed(self, texts))
    found = shown.search(QUERY, 5, boost={18: 1.0}, exclude=["f3"])
    assert embedded == []
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
