"""Every path steers a query once, embeds its text once, and takes a `Steering` in place of keywords."""

import asyncio
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.vectorstores import InMemoryVectorStore

from steersearch.errors import ConfigError
from steersearch.integrations.agents import AgentTools
from steersearch.integrations.engines.base import SteeredEngine
from steersearch.integrations.langchain import (
    SteerableEmbeddings,
    SteerableRetriever,
    SteerableVectorStore,
    SteeredStore,
    search_documents_tool,
)
from steersearch.runtime import Bundle, SteerableIndex, SteeredQuery, Steering
from steersearch.runtime.bundle.onnx_embedder import OnnxEmbedder
from steersearch.runtime.steering.resolver import Resolver

from .conftest import PHRASE, Steps
from .engines.test_new_engine import ToyEngine

QUERY = "a question that nobody asked before"
BOOST: Any = {PHRASE: "auto", "f3": 0.5}
CLAMP: Any = {7: 0.0}

Path_ = Callable[[Any], Any]


class Counted:
    """How often a query was steered, and the texts that were embedded."""

    def __init__(self) -> None:
        self.steered: list[Any] = []
        self.texts: list[str] = []


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counts, steer, embed = Counted(), Resolver.steer, OnnxEmbedder.embed

    def counting_steer(self: Resolver, query: Any, steering: Any, **given: Any) -> SteeredQuery:
        if not isinstance(query, SteeredQuery) and not steering.empty:
            counts.steered.append(query)
        return steer(self, query, steering, **given)

    def counting_embed(self: OnnxEmbedder, texts: Any, *rest: Any, **given: Any) -> Any:
        counts.texts.extend(texts)
        return embed(self, texts, *rest, **given)

    monkeypatch.setattr(Resolver, "steer", counting_steer)
    monkeypatch.setattr(OnnxEmbedder, "embed", counting_embed)
    return counts


@pytest.fixture
def store(tiny_index: SteerableIndex, topic_texts: Any, tmp_path: Path) -> Iterator[SteerableVectorStore]:
    with SteerableVectorStore(tmp_path / "store", bundle=tiny_index.bundle) as opened:
        opened.add_texts(topic_texts.texts, topic_texts.metadata, ids=topic_texts.ids)
        yield opened


@pytest.fixture
def over(tiny_index: SteerableIndex, topic_texts: Any) -> SteeredStore:
    memory = InMemoryVectorStore(SteerableEmbeddings(tiny_index.bundle))
    memory.add_texts(topic_texts.texts, ids=topic_texts.ids)
    return SteeredStore(memory, tiny_index.bundle)


@pytest.fixture
def toy(tiny_index: SteerableIndex, topic_texts: Any) -> SteeredEngine:
    engine = ToyEngine(tiny_index.bundle)
    engine.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
    return engine


def check(counted: Counted, bundle: Bundle, run: Callable[[], Any]) -> None:
    bundle.clear_cache()
    counted.steered.clear()
    counted.texts.clear()
    result = run()
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    assert len(counted.steered) == 1
    assert counted.texts.count(QUERY) == 1


RETRIEVALS: dict[str, Any] = {
    "plain": ({}, {}),
    "explained": ({"include_explanations": True, "include_scores": True}, {}),
    "watched": ({}, {"callbacks": True}),
    "both": ({"include_explanations": True}, {"callbacks": True}),
}


@pytest.mark.parametrize("run", ["invoke", "ainvoke"])
@pytest.mark.parametrize("kind", RETRIEVALS)
@pytest.mark.parametrize("what", ["tiny_index", "over", "toy"])
def test_langchain_retriever(counted: Counted, request: pytest.FixtureRequest, what: str, kind: str, run: str) -> None:
    fields, config = RETRIEVALS[kind]
    index = request.getfixturevalue(what)
    retriever = SteerableRetriever(index=index, boost=BOOST, **fields)
    given: Any = {"callbacks": [Steps()]} if config else {}
    check(counted, index.bundle, lambda: getattr(retriever, run)(QUERY, given, clamp=CLAMP))


@pytest.mark.parametrize("watched", [False, True], ids=["alone", "watched"])
@pytest.mark.parametrize("run", ["invoke", "ainvoke"])
@pytest.mark.parametrize("kind", ["similarity", "mmr", "similarity_score_threshold"])
def test_retriever_of_the_store(
    counted: Counted, store: SteerableVectorStore, kind: str, run: str, watched: bool
) -> None:
    how: dict[str, Any] = {"boost": BOOST, "exclude": ["f5"], "protect": True}
    how |= {"score_threshold": 0.0} if kind.endswith("threshold") else {}
    retriever = store.as_retriever(search_type=kind, search_kwargs=how)
    config: Any = {"callbacks": [Steps()]} if watched else {}
    check(counted, store.index.bundle, lambda: getattr(retriever, run)(QUERY, config, clamp=CLAMP))


STORE_SEARCHES: dict[str, Path_] = {
    "similarity": lambda store: store.similarity_search(QUERY, boost=BOOST, clamp=CLAMP),
    "scores": lambda store: store.similarity_search_with_score(QUERY, boost=BOOST, clamp=CLAMP),
    "relevance": lambda store: store.similarity_search_with_relevance_scores(QUERY, boost=BOOST),
    "mmr": lambda store: store.max_marginal_relevance_search(QUERY, boost=BOOST, clamp=CLAMP),
    "by vector": lambda store: store.similarity_search_by_vector(store.query_vector(QUERY), boost=BOOST),
    "mmr by vector": lambda store: store.max_marginal_relevance_search_by_vector(
        store.query_vector(QUERY), boost=BOOST
    ),
    "asynchronous": lambda store: store.asimilarity_search(QUERY, boost=BOOST, clamp=CLAMP),
    "steered before": lambda store: store.similarity_search(store.steer(QUERY, boost=BOOST)),
}


@pytest.mark.parametrize("search", STORE_SEARCHES)
def test_searches_of_the_store(counted: Counted, store: SteerableVectorStore, search: str) -> None:
    check(counted, store.index.bundle, lambda: STORE_SEARCHES[search](store))


@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize(("what", "view"), [("over", "dense"), *(("toy", v) for v in ("dense", "latent", "hybrid"))])
def test_engines(counted: Counted, request: pytest.FixtureRequest, what: str, view: str, compare: bool) -> None:
    engine = request.getfixturevalue(what)
    how: dict[str, Any] = {"boost": BOOST, "clamp": CLAMP, "view": view, "compare": compare}
    check(counted, engine.bundle, lambda: engine.search(QUERY, 5, **how))


def test_agents_tools(counted: Counted, tiny_index: SteerableIndex) -> None:
    tools, tool = AgentTools(tiny_index), search_documents_tool(tiny_index)
    for strength in ("medium", "auto"):
        given: dict[str, Any] = {"more_of": [PHRASE], "less_of": ["f3"], "like": ["exceptions-1"], "strength": strength}
        check(counted, tiny_index.bundle, lambda given=given: tools.search_documents(QUERY, **given))
        check(counted, tiny_index.bundle, lambda given=given: tool.invoke({"query": QUERY, **given}))


def test_mcp(counted: Counted, tiny_index: SteerableIndex) -> None:
    pytest.importorskip("mcp")
    from steersearch.integrations.mcp_server import make_server

    server = make_server(tiny_index)
    given = {"query": QUERY, "more_of": [PHRASE], "strength": "strong"}
    check(counted, tiny_index.bundle, lambda: server.call_tool("search_documents", given))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize("run", ["retrieve", "aretrieve"])
def test_llama_index(counted: Counted, tiny_index: SteerableIndex, run: str, explained: bool) -> None:
    pytest.importorskip("llama_index.core")
    with warnings.catch_warnings():  # of what its own dependencies deprecate
        warnings.simplefilter("ignore")
        from steersearch.integrations.llama_index import SteerableQuery
        from steersearch.integrations.llama_index import SteerableRetriever as Retriever
    retriever = Retriever(tiny_index, clamp=CLAMP, include_explanations=explained)
    check(counted, tiny_index.bundle, lambda: getattr(retriever, run)(SteerableQuery(QUERY, boost=BOOST)))


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize("run", ["run", "run_async"])
def test_haystack(counted: Counted, tiny_index: SteerableIndex, run: str, explained: bool) -> None:
    pytest.importorskip("haystack")
    with warnings.catch_warnings():  # of what its own dependencies deprecate
        warnings.simplefilter("ignore")
        from steersearch.integrations.haystack import SteerableRetriever as Retriever
    retriever = Retriever(tiny_index, clamp=CLAMP, include_explanations=explained)
    check(counted, tiny_index.bundle, lambda: getattr(retriever, run)(QUERY, boost=BOOST))


REQUEST = Steering({PHRASE: 2.0}, {7: 0.0}, protect=True)
OTHER: Any = {"f3": 1.0}


@pytest.mark.parametrize("what", ["tiny_index", "over", "toy"])
def test_a_request_is_one_object_for_retrievers_and_engines(request: pytest.FixtureRequest, what: str) -> None:
    index = request.getfixturevalue(what)
    expected = [hit.text for hit in index.search(QUERY, 4, steering=REQUEST)]
    assert expected != [hit.text for hit in index.search(QUERY, 4, boost=OTHER)]
    retriever = SteerableRetriever(index=index, boost=OTHER, exclude=["f5"])  # which the request replaces
    assert [found.page_content for found in retriever.invoke(QUERY, steering=REQUEST)] == expected
    assert [found.page_content for found in asyncio.run(retriever.ainvoke(QUERY, steering=REQUEST))] == expected
    with pytest.raises(ConfigError, match="give steering=, or boost="):
        retriever.invoke(QUERY, steering=REQUEST, boost=OTHER)


def test_a_request_is_one_object_for_the_store(counted: Counted, store: SteerableVectorStore) -> None:
    expected = [hit.id for hit in store.index.search(QUERY, 4, steering=REQUEST)]
    assert [found.id for found in store.similarity_search(QUERY, steering=REQUEST)] == expected
    retriever = store.as_retriever(search_kwargs={"steering": REQUEST})
    for config in ({}, {"callbacks": [Steps()]}):
        assert [found.id for found in retriever.invoke(QUERY, config)] == expected
    steps = Steps()
    check(counted, store.index.bundle, lambda: retriever.invoke(QUERY, {"callbacks": [steps]}))


def test_a_request_is_one_object_for_llama_index_and_haystack(tiny_index: SteerableIndex) -> None:
    pytest.importorskip("llama_index.core")
    pytest.importorskip("haystack")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from steersearch.integrations import haystack, llama_index
    expected = [hit.id for hit in tiny_index.search(QUERY, 4, steering=REQUEST)]
    nodes = llama_index.SteerableRetriever(tiny_index, boost=OTHER).retrieve(
        llama_index.SteerableQuery(QUERY, steering=REQUEST)
    )
    assert [node.node.node_id for node in nodes] == expected
    found = haystack.SteerableRetriever(tiny_index, top_k=4, boost=OTHER).run(QUERY, steering=REQUEST)
    assert [document.id for document in found["documents"]] == expected
