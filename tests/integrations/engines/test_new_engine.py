"""An engine that somebody adds: one class in one file and one line in the table, here in memory."""

import copy
import datetime as dt
import pickle
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from steersearch.arrays import FloatArray
from steersearch.errors import ConfigError, MissingExtraError
from steersearch.integrations.engines import ENGINES, engine_class
from steersearch.integrations.engines.sparse import Code, SparseEngine
from steersearch.integrations.langchain import SteerableRetriever
from steersearch.runtime import Concept, Hit, SteerableIndex

from ..conftest import PHRASE, QUERY
from .test_sparse import BOOSTS, same


class ToyEngine(SparseEngine):
    """Lists in memory, searched with NumPy; `filter` is a topic."""

    provider = "toy"

    def __init__(self, bundle: Any, sample: Any = None) -> None:
        super().__init__(bundle, sample)
        self.documents: dict[str, tuple[str, dict[str, Any], FloatArray, Code]] = {}

    def _write(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[dict[str, Any]],
        vectors: FloatArray,
        codes: Sequence[Code],
    ) -> None:
        for id, *document in zip(ids, texts, metadata, vectors, codes, strict=True):
            self.documents[id] = tuple(document)  # type: ignore[assignment]

    def _dense(self, vector: FloatArray, k: int, filter: Any) -> list[Hit]:
        return self._best({id: float(row @ vector) for id, (_, _, row, _) in self.documents.items()}, k, filter)

    def _latent(self, code: Code, k: int, filter: Any) -> list[Hit]:
        scores = {
            id: sum(weight * own.get(latent, 0.0) for latent, weight in code.items())
            for id, (_, _, _, own) in self.documents.items()
        }
        return self._best(scores, k, filter)

    def _best(self, scores: dict[str, float], k: int, filter: Any) -> list[Hit]:
        allowed = [id for id in scores if not filter or self.documents[id][1]["topic"] == filter]
        order = sorted(allowed, key=lambda id: -scores[id])[:k]
        return [Hit(rank, id, scores[id], *self.documents[id][:2]) for rank, id in enumerate(order, 1)]

    def _vector_of(self, id: str) -> FloatArray | None:
        return self.documents[id][2] if id in self.documents else None


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tiny_index: SteerableIndex, topic_texts: Any) -> SparseEngine:
    monkeypatch.setitem(ENGINES, "toy", f"{__name__}:ToyEngine")
    engine: SparseEngine = engine_class("toy")(tiny_index.bundle)
    engine.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
    return engine


@pytest.mark.parametrize("boost", BOOSTS, ids=str)
def test_it_is_searched_steered(toy: SparseEngine, tiny_index: SteerableIndex, boost: Any) -> None:
    phrases = {tiny_index.resolve(key) if key == PHRASE else key: strength for key, strength in boost.items()}
    for view in ("dense", "latent"):
        how: dict[str, Any] = {"boost": phrases, "view": view, "blend": "move"}
        assert same(tiny_index.search(QUERY, 10, **how), toy.search(QUERY, 10, **how))
    how = {"boost": phrases, "blend": "move", "compare": True}
    ours = tiny_index.search(QUERY, 5, **how, filter={"topic": "modules"})
    theirs = toy.search(QUERY, 5, **how, filter="modules")
    assert [(hit.id, hit.rank_before, hit.metadata) for hit in theirs] == [
        (hit.id, hit.rank_before, hit.metadata) for hit in ours
    ]
    assert all(bool(hit.moved_by) == bool(boost) for hit in theirs)


def test_hybrid_needs_nothing_of_the_engine(toy: SparseEngine) -> None:
    how: dict[str, Any] = {"boost": {18: 2.0, "f3": -1.0}}
    scores: dict[str, float] = {}
    for view in ("dense", "latent"):
        for hit in toy.search(QUERY, 100, **how, view=view):
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (60 + hit.rank)
    found = toy.search(QUERY, 10, **how, view="hybrid")
    assert [hit.score for hit in found] == pytest.approx(sorted(scores.values(), reverse=True)[:10])
    assert [hit.rank for hit in found] == list(range(1, 11))


def test_in_a_retriever(toy: SparseEngine) -> None:
    retriever = SteerableRetriever(index=toy, view="hybrid", include_scores=True, include_explanations=True)
    boost = {Concept.from_examples(["exceptions-0", "exceptions-3"], ["numbers-1"]): 2.0}
    documents, hits = (
        retriever.invoke(QUERY, boost=boost),
        toy.search(QUERY, 4, boost=boost, view="hybrid", compare=True),
    )
    assert [(doc.id, doc.metadata["store_score"]) for doc in documents] == [(hit.id, hit.score) for hit in hits]
    assert [doc.metadata["steerable"]["rank_before"] for doc in documents] == [hit.rank_before for hit in hits]


def test_a_steered_query_and_vectors_of_any_length(toy: SparseEngine) -> None:
    steered = toy.steer(QUERY, {18: 2.0})
    assert toy.search(steered, 5) == toy.search(QUERY, 5, boost={18: 2.0})
    long = toy.search(3 * steered.original, 5, boost={18: 2.0}, text=QUERY)
    assert [hit.score for hit in long] == pytest.approx([hit.score for hit in toy.search(steered, 5)], abs=1e-5)
    with pytest.raises(ConfigError, match="steered already"):
        toy.search(steered, 5, boost={18: 2.0})
    with pytest.raises(ConfigError, match="steered already"):
        toy.steer(steered, {18: 2.0})
    assert np.array_equal(toy.steer(steered).vector, steered.vector)


def test_rows_go_by_position(tiny_index: SteerableIndex) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"id": ["a", "b", "c"], "text": ["one", "two", "three"]}).sort_values("text")
    engine = ToyEngine(tiny_index.bundle)
    extra = (MappingProxyType({"when": dt.date(2024, 5, day)}) for day in (1, 2, 3))
    assert engine.add(table["text"], table["id"], extra) == ["a", "c", "b"]
    assert {id: held[:2] for id, held in engine.documents.items()} == {
        "a": ("one", {"when": "2024-05-01"}),
        "c": ("three", {"when": "2024-05-02"}),
        "b": ("two", {"when": "2024-05-03"}),
    }
    for _ in range(2):
        assert len(engine.add(text for text in ["same", "same"])) == 2
    assert len(engine.documents) == 7


def test_a_connection_is_shared_by_copies_and_not_pickled(toy: SparseEngine) -> None:
    retriever = SteerableRetriever(index=toy, k=3)
    for copied in (copy.copy(retriever), copy.deepcopy(retriever)):
        assert copied.index is toy
        assert copied.invoke(QUERY) == retriever.invoke(QUERY)
    with pytest.raises(ConfigError, match="toy is reached by a connection of this process, which cannot be pickled"):
        pickle.dumps(retriever)


def test_the_table() -> None:
    with pytest.raises(ConfigError, match="engine is 'none': choose one of qdrant, pgvector, milvus"):
        engine_class("none")
    for name in ENGINES:
        try:
            found = engine_class(name)
        except MissingExtraError:
            continue
        assert issubclass(found, SparseEngine)
