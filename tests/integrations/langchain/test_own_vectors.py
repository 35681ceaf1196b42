"""From a store that somebody filled through a service to a steered search, with nothing embedded again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from steersearch.errors import ConfigError, DataError, EngineError, SteersearchError
from steersearch.integrations.langchain import (
    SteerableEmbeddings,
    SteerableRetriever,
    SteerableVectorStore,
    vectors_from_store,
)
from steersearch.runtime import Bundle, SteerableIndex

from ...embedding_server import EmbeddingServer, running
from ..conftest import PHRASE, QUERY
from .test_engines import Plain, engines, names

pytestmark = pytest.mark.filterwarnings("ignore")  # what the engines' own packages deprecate is not ours


@pytest.fixture(scope="module")
def server(opened_bundle: Bundle) -> Iterator[EmbeddingServer]:
    with running(opened_bundle.embed_documents) as started:
        yield started


@pytest.fixture(scope="module")
def embeddings(server: EmbeddingServer) -> Embeddings:
    openai = pytest.importorskip("langchain_openai")
    how: dict[str, Any] = {"api_key": "none", "model": "paid-3", "check_embedding_ctx_length": False}
    made: Embeddings = openai.OpenAIEmbeddings(base_url=server.address, **how)
    return made


@pytest.fixture(scope="module")
def bare(opened_bundle: Bundle, topic_texts: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without an embedder, trained on vectors of the tiny embedder."""
    from steersearch.export import export_bundle
    from steersearch.training import SaeConfig, TrainConfig, train

    folder = tmp_path_factory.mktemp("bare")
    store = InMemoryVectorStore(SteerableEmbeddings(opened_bundle))
    store.add_texts(topic_texts.texts, ids=topic_texts.ids)
    how: dict[str, Any] = {"config": SaeConfig(n_latents=64, k=8), "training": TrainConfig(steps=60, device="cpu")}
    held = vectors_from_store(store, folder=folder)
    sae = train(vectors=held, embedder_name="paid-3", cache_dir=folder / "cache", **how)
    export_bundle(sae, folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module", params=engines.MEASURED, ids=lambda engine: engine.name)
def store(
    request: pytest.FixtureRequest, embeddings: Embeddings, topic_texts: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VectorStore]:
    if not request.param.installed:
        pytest.skip(f"{request.param.name} is not installed")
    with request.param.open(embeddings, tmp_path_factory.mktemp("engine")) as made:
        engines.fill(made, topic_texts.ids, topic_texts.texts)
        yield made


def test_a_store_gives_its_vectors(
    store: VectorStore, opened_bundle: Bundle, topic_texts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steersearch.integrations.langchain import stores

    if stores.reader_of(store) is None:
        with pytest.raises(ConfigError, match="cannot list its vectors"):
            vectors_from_store(store)
        return
    monkeypatch.setattr(stores, "PAGE", 7)
    held = vectors_from_store(store, folder=tmp_path)
    assert held.documents is not None
    found = list(held.documents)
    assert sorted(document.metadata["name"] for document in found) == sorted(topic_texts.ids)
    expected = opened_bundle.embed_documents([document.text for document in found])
    np.testing.assert_allclose(held.rows, expected, atol=1e-5)


async def test_a_store_is_steered_by_what_filled_it(
    store: VectorStore, bare: Path, opened_bundle: Bundle, topic_texts: Any, server: EmbeddingServer, tmp_path: Path
) -> None:
    retriever = SteerableRetriever.over(store, bare, k=10)
    with SteerableIndex.create(tmp_path / "index", bare) as index:
        index.add(topic_texts.texts, topic_texts.ids, embeddings=opened_bundle.embed_documents(topic_texts.texts))
        expected = [hit.id for hit in index.search(opened_bundle.embed_query(QUERY), 10)]
    plain = names(retriever.invoke(QUERY))
    assert plain == expected
    assert names(await retriever.ainvoke(QUERY)) == plain
    before = len(server.texts)
    steered = names(retriever.invoke(QUERY, boost={PHRASE: 1.0}))
    label = next(feature.label for feature in retriever.index.bundle.features if feature.label)
    assert sum(name.startswith("exceptions") for name in steered) > sum(name.startswith("exceptions") for name in plain)
    assert names(await retriever.ainvoke(QUERY, boost={PHRASE: 1.0})) == steered
    assert len(retriever.invoke(QUERY, boost={label: 1.0}, exclude=["exceptions"])) <= 10
    assert names(retriever.invoke(f"{QUERY}, but not exceptions", understand=True))
    again = set(server.texts[before:]) & set(topic_texts.texts)
    from steersearch.integrations.langchain import stores

    assert not again or stores.reader_of(store) is None, "documents whose vectors the store shows are embedded again"


class Others(Embeddings):
    """Embeddings that are not the bundle's own for LangChain."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.bundle.embed_documents(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class TestWhoEmbeds:
    def test_a_store_that_names_nobody(self, bare: Path, opened_bundle: Bundle, topic_texts: Any) -> None:
        inner = InMemoryVectorStore(SteerableEmbeddings(opened_bundle))
        engines.fill(inner, topic_texts.ids, topic_texts.texts)
        with pytest.raises(ConfigError, match=r"no embedder and the store Plain names none: .* \(paid-3\)"):
            SteerableRetriever.over(Plain(inner), bare)
        given = SteerableRetriever.over(Plain(inner), bare, embeddings=SteerableEmbeddings(opened_bundle))
        assert names(given.invoke(QUERY, boost={PHRASE: 1.0}))

    def test_another_model_is_noticed(self, bare: Path) -> None:
        other = InMemoryVectorStore(DeterministicFakeEmbedding(size=32))
        other.add_texts(["one text", "another text"])
        with pytest.raises(SteersearchError, match="paid-3"):
            SteerableRetriever.over(other, bare).invoke(QUERY)

    def test_an_index_and_a_store_of_ours(
        self, bare: Path, opened_bundle: Bundle, topic_texts: Any, tmp_path: Path
    ) -> None:
        ours = Others(opened_bundle)
        with SteerableVectorStore(tmp_path / "store", bundle=bare, embedding=ours) as made:
            made.add_texts(topic_texts.texts, ids=topic_texts.ids)
            first = [doc.id for doc in made.similarity_search(QUERY, 5, boost={PHRASE: 1.0})]
            np.testing.assert_allclose(
                vectors_from_store(made, folder=tmp_path).rows,
                opened_bundle.embed_documents(topic_texts.texts),
                atol=1e-5,
            )
        with SteerableVectorStore(tmp_path / "store", embedding=ours) as opened:
            assert [doc.id for doc in opened.similarity_search(QUERY, 5, boost={PHRASE: 1.0})] == first
        retriever = SteerableRetriever.open(tmp_path / "store", embeddings=ours, k=5)
        assert [doc.id for doc in retriever.invoke(QUERY, boost={PHRASE: 1.0})] == first
        retriever.index.close()


class TestRefusals:
    def test_an_empty_store(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="InMemoryVectorStore is empty"):
            vectors_from_store(InMemoryVectorStore(SteerableEmbeddings(opened_bundle)), folder=tmp_path)

    def test_vectors_of_two_widths_and_none(self, opened_bundle: Bundle, topic_texts: Any, tmp_path: Path) -> None:
        store = InMemoryVectorStore(SteerableEmbeddings(opened_bundle))
        store.add_texts(topic_texts.texts, ids=topic_texts.ids)
        store.store["numbers-2"]["vector"] = [0.0] * 32
        with pytest.raises(DataError, match=r"1 of 60 rows have no direction \(zero\): row 2"):
            vectors_from_store(store, folder=tmp_path)
        assert vectors_from_store(store, folder=tmp_path, skip_bad=True).rows.shape == (59, 32)
        store.store["numbers-2"]["vector"] = [1.0] * 31
        with pytest.raises(DataError, match="the vector of 'numbers-2' has 31 numbers, others have 32"):
            vectors_from_store(store, folder=tmp_path)

    def test_an_engine_that_is_gone(self, tmp_path: Path) -> None:
        class Chroma(InMemoryVectorStore):
            def get(self, **which: Any) -> Any:
                raise ConnectionError("connection refused")

        with pytest.raises(EngineError, match=r"Chroma did not list its vectors \(ConnectionError: connection refused"):
            vectors_from_store(Chroma(DeterministicFakeEmbedding(size=4)), folder=tmp_path)
