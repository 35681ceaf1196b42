"""What a phrase means over another engine, and what a doubtful boost says there."""

from typing import Any

import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from steersearch.errors import DataError, SteeringWarning
from steersearch.integrations.langchain import SteerableEmbeddings, SteerableRetriever, SteeredStore
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering import concept_directions as directions

from ..conftest import PHRASE, QUERY, found
from .test_engines import engines, names


@pytest.fixture
def index(tiny_index: SteerableIndex) -> SteerableIndex:
    return tiny_index


@pytest.fixture
def memory(index: SteerableIndex, topic_texts: Any) -> VectorStore:
    made = InMemoryVectorStore(SteerableEmbeddings(index.bundle))
    engines.fill(made, topic_texts.ids, topic_texts.texts)
    return made


def test_what_an_index_resolved_means_the_same_everywhere(memory: VectorStore, index: SteerableIndex) -> None:
    concept, over = index.resolve(PHRASE), SteerableRetriever.over(memory, index.bundle)
    moved: dict[str, Any] = {"blend": "move"}
    assert names(over.invoke(QUERY, boost={concept: 2.0}, **moved)) == found(index, boost={PHRASE: 2.0}, **moved)
    assert isinstance(over.index, SteeredStore)
    assert over.index.resolve(PHRASE).evidence is None


def test_a_sample_says_what_a_phrase_means(
    memory: VectorStore, index: SteerableIndex, topic_texts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directions, "ENOUGH", 10)
    with SteerableIndex.open(index.path, bundle=index.bundle, backend="exact", readonly=True) as asked:
        how: dict[str, Any] = {"boost": {PHRASE: 2.0}, "k": 10, "blend": "move"}
        expected, meant = found(asked, **how), asked.resolve(PHRASE).weights
    for sample in (index.documents()[2], topic_texts.texts):
        over = SteerableRetriever.over(memory, index.bundle, sample=sample)
        assert names(over.invoke(QUERY, **how)) == expected
        assert dict(over.index.resolve(PHRASE).weights) == pytest.approx(dict(meant), abs=1e-3)
    assert set(SteeredStore(memory, index.bundle).resolve(PHRASE).weights) != set(meant)
    with pytest.raises(DataError, match="sample has shape"):
        SteerableRetriever.over(memory, index.bundle, sample=np.ones((3, 7), np.float32))


def test_doubts_reach_the_metadata(memory: VectorStore, index: SteerableIndex) -> None:
    retriever = SteerableRetriever.over(memory, index.bundle, include_explanations=True)
    with pytest.warns(SteeringWarning, match="the clamp wins"):
        (document, *_) = retriever.invoke(QUERY, boost={PHRASE: 1.0}, clamp={PHRASE: 0.0})
    assert "the clamp wins" in document.metadata["steerable"]["warnings"][0]


@pytest.mark.parametrize("how", [{}, {"boost": {PHRASE: 1.0}}, {"boost": {PHRASE: 1.0}, "blend": "move"}])
def test_the_best_sentence_of_another_engine(memory: VectorStore, index: SteerableIndex, how: dict[str, Any]) -> None:
    over = SteerableRetriever.over(memory, index.bundle, sample=index.documents()[2], highlight=True)
    for document in over.invoke(QUERY, **how):
        place = document.metadata["highlight"]
        assert document.page_content[place["start"] : place["end"]] == place["text"]
    explained = {one.id: one for one in index.explain_all(QUERY, names(over.invoke(QUERY, **how)), words=True, **how)}
    for hit in over.index.search(QUERY, 4, highlight=True, **how):
        words, own = hit.words, explained[hit.metadata["name"]].words
        assert words is not None
        assert words.exact
        if how.get("blend") == "move" or not how:
            assert words.values.sum() + words.rest == pytest.approx(hit.score, abs=1e-5)
            assert own is not None
            np.testing.assert_allclose(words.values, own.values, atol=1e-5)
