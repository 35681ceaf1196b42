"""The LlamaIndex retriever: the same hits as a search, steered per call, also inside a query engine."""

import asyncio
import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError, SteeringWarning, UnknownFeatureError
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.request import SAID_NOT

from .conftest import PHRASE, QUERY

pytest.importorskip("llama_index.core")
with warnings.catch_warnings():  # of what its own dependencies deprecate
    warnings.simplefilter("ignore")
    from llama_index.core.indices.query.query_transform import HyDEQueryTransform
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
    from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import MetadataMode, QueryBundle

    from steersearch.integrations.llama_index import SteerableQuery, SteerableRetriever

HOWS: list[dict[str, Any]] = [
    {},
    {"boost": {PHRASE: 2.0, "f3": -1.0}},
    {"boost": {PHRASE: "auto"}, "blend": "move", "keep": 0.7},
    {"boost": {PHRASE: 1.0}, "exclude": ["import a module"]},
    {"boost": {PHRASE: 2.0}, "protect": True, "k": 7},
    {"clamp": {PHRASE: 1.0}, "filter": {"topic": {"$in": ["classes", "modules"]}}},
]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Echo(CustomLLM):
    """Answers with its prompt."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, *args: Any, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=prompt)

    def stream_complete(self, prompt: str, *args: Any, **kwargs: Any) -> Any:
        return iter([CompletionResponse(text=prompt, delta=prompt)])


def hits(index: SteerableIndex, k: int = 4, **how: Any) -> list[tuple[str, str, float]]:
    return [(hit.id, hit.text, hit.score) for hit in index.search(QUERY, k, **how)]


def nodes(found: Any) -> list[tuple[str, str, float]]:
    return [(node.node.node_id, node.node.text, node.score) for node in found]


@pytest.mark.parametrize("how", HOWS, ids=str)
async def test_the_same_as_a_search(tiny_index: SteerableIndex, how: dict[str, Any]) -> None:
    expected = hits(tiny_index, **how)
    built, plain = SteerableRetriever(tiny_index, **how), SteerableRetriever(tiny_index)
    assert nodes(built.retrieve(QUERY)) == nodes(await built.aretrieve(QUERY)) == expected
    assert nodes(plain.retrieve(SteerableQuery(QUERY, **how))) == expected
    assert nodes(await plain.aretrieve(SteerableQuery(QUERY, **how))) == expected
    assert nodes(built.retrieve(SteerableQuery(QUERY, boost={}, clamp={}, exclude=[], filter={}, k=4))) == hits(
        tiny_index
    )


async def test_in_a_query_engine(tiny_index: SteerableIndex) -> None:
    boost: dict[Any, Any] = {PHRASE: 2.0}
    engine = RetrieverQueryEngine.from_args(SteerableRetriever(tiny_index, k=3), llm=Echo())
    plain = engine.query(QUERY)
    steered = engine.query(SteerableQuery(QUERY, boost=boost))
    later = await asyncio.gather(engine.aquery(SteerableQuery(QUERY, boost=boost)), engine.aquery(QUERY))
    assert nodes(plain.source_nodes) == nodes(later[1].source_nodes) == hits(tiny_index, 3)
    assert nodes(steered.source_nodes) == nodes(later[0].source_nodes) == hits(tiny_index, 3, boost=boost)
    assert hits(tiny_index, 3) != hits(tiny_index, 3, boost=boost)
    assert all(text in str(steered) for _, text, _ in hits(tiny_index, 3, boost=boost))
    assert QUERY in str(steered)


def test_metadata_and_explanations(tiny_index: SteerableIndex) -> None:
    how: dict[str, Any] = {"boost": {PHRASE: 2.0}}
    found = SteerableRetriever(tiny_index, include_explanations=True, **how).retrieve(QUERY)
    for node, hit in zip(found, tiny_index.search(QUERY, 4, **how, compare=True), strict=True):
        why = node.node.metadata.pop("steerable")
        assert node.node.metadata == hit.metadata
        assert (why["rank"], why["rank_before"], why["concepts"][0]["concept"]) == (hit.rank, hit.rank_before, PHRASE)
        node.node.metadata["steerable"] = why
        assert "rank_before" not in node.node.get_content(MetadataMode.LLM)
        assert hit.metadata["topic"] in node.node.get_content(MetadataMode.LLM)
    assert nodes(SteerableRetriever(tiny_index, view="latent").retrieve(QUERY)) == hits(tiny_index, view="latent")


def test_embeddings_that_a_transformation_made(tiny_index: SteerableIndex) -> None:
    retriever = SteerableRetriever(tiny_index)
    texts = ["An exception is raised.", "An error occurs."]
    rows = tiny_index.bundle.embed(texts)
    mean = rows.mean(0) / np.linalg.norm(rows.mean(0))
    expected = [hit.id for hit in tiny_index.search(mean, 4)]
    assert [n[0] for n in nodes(retriever.retrieve(QueryBundle(QUERY, custom_embedding_strs=texts)))] == expected
    long = QueryBundle(QUERY, embedding=(3 * mean).tolist())
    assert [n[0] for n in nodes(retriever.retrieve(long))] == expected
    assert expected != [n[0] for n in nodes(retriever.retrieve(QUERY))]


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        (SteerableQuery(QUERY, boost={"f99999": 1.0}), UnknownFeatureError, "f99999"),
        (SteerableQuery(QUERY, k=0), ConfigError, "k is 0"),
        (SteerableQuery(QUERY, boost={PHRASE: "auto"}, keep=7), ConfigError, "keep is 7"),
        (QueryBundle(QUERY, embedding=[1.0, 0.0]), DataError, "rows of length 32"),
        (QueryBundle(QUERY, embedding=[0.0] * 32), DataError, "no direction"),
    ],
    ids=str,
)
async def test_errors(tiny_index: SteerableIndex, query: Any, error: type[Exception], said: str) -> None:
    retriever = SteerableRetriever(tiny_index)
    with pytest.raises(error, match=said):
        retriever.retrieve(query)
    with pytest.raises(error, match=said):
        await retriever.aretrieve(query)


def test_wishes_in_words(tiny_index: SteerableIndex) -> None:
    said, expected = f"{QUERY}, not exceptions", hits(tiny_index, boost={"exceptions": SAID_NOT})
    assert nodes(SteerableRetriever(tiny_index, understand=True).retrieve(said)) == expected
    assert nodes(SteerableRetriever(tiny_index).retrieve(SteerableQuery(said, understand=True))) == expected


def test_doubts(tiny_index: SteerableIndex) -> None:
    retriever = SteerableRetriever(tiny_index, include_explanations=True, boost={3: 1.0}, clamp={3: 0.0})
    with pytest.warns(SteeringWarning, match="the clamp wins") as given:
        (first, *_) = retriever.retrieve(QUERY)
    assert first.node.metadata["steerable"]["warnings"] == [str(given[0].message)]
    assert len(given) == 1


async def test_steering_survives_a_transformation_that_keeps_the_words(tiny_index: SteerableIndex) -> None:
    """HyDE makes a new query: the answer that a model made up is embedded, and the boost was lost."""
    how: dict[str, Any] = {"boost": {PHRASE: 2.0}, "k": 3}
    query = SteerableQuery(QUERY, **how)
    for include in (True, False):
        transform = HyDEQueryTransform(llm=Echo(), include_original=include)
        embedded = transform.run(QUERY).custom_embedding_strs
        rows = tiny_index.bundle.embed(list(embedded or []))
        mean = rows.mean(0) / np.linalg.norm(rows.mean(0))
        expected = [hit.id for hit in tiny_index.search(mean, **how)]
        assert expected != [hit.id for hit in tiny_index.search(mean, 3)]
        engine = TransformQueryEngine(
            RetrieverQueryEngine.from_args(SteerableRetriever(tiny_index), llm=Echo()), query_transform=transform
        )
        answers = [engine.query(query), await engine.aquery(query)]
        assert [[node[0] for node in nodes(answer.source_nodes)] for answer in answers] == [expected] * 2
        plain = [node[0] for node in nodes(engine.query(QUERY).source_nodes)]
        assert plain == [hit.id for hit in tiny_index.search(mean, 4)]  # nothing is left behind
    assert (query.query_str, str(query), query == SteerableQuery(QUERY, **how)) == (QUERY, QUERY, True)
    again = copy.deepcopy(pickle.loads(pickle.dumps(query)))
    assert nodes(SteerableRetriever(tiny_index).retrieve(again)) == hits(tiny_index, **how)


def test_a_document_that_two_queries_find_is_one_node(tiny_index: SteerableIndex) -> None:
    retrievers = [SteerableRetriever(tiny_index, k=60, include_explanations=True, boost=b) for b in ({}, {PHRASE: 2.0})]
    fusion = QueryFusionRetriever(
        retrievers, llm=Echo(), num_queries=1, mode="reciprocal_rerank", similarity_top_k=120, use_async=False
    )
    found = [node[0] for node in nodes(fusion.retrieve(QUERY))]
    assert sorted(found) == sorted(hit.id for hit in tiny_index.search(QUERY, 60))
    plain, explained = (
        SteerableRetriever(tiny_index, include_explanations=explained).retrieve(QUERY)[0].node
        for explained in (False, True)
    )
    assert plain.hash == explained.hash
    assert type(explained).from_dict(explained.to_dict()) == explained
