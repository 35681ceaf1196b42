"""`SteerableVectorStore` beyond the standard suites: steering, filters, MMR, durability, and what it refuses."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.runnables import ConfigurableField
from pydantic import ValidationError

from steersearch.errors import (
    ConfigError,
    DataError,
    FilterError,
    IndexFolderError,
    SteeringWarning,
    UnknownFeatureError,
)
from steersearch.integrations.langchain import SteerableEmbeddings, SteerableVectorStore
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.ingest import adoption
from steersearch.runtime.steering.request import SAID_NOT

from ..conftest import PHRASE, QUERY, Steps, found, ids

BOOST = {PHRASE: 2.0, 18: -1.0}
WHERE = {"number": {"$lt": 6}}


@pytest.fixture
def store(opened_bundle: Bundle, topic_texts: Any, tmp_path: Path) -> Iterator[SteerableVectorStore]:
    with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as opened:
        opened.add_texts(topic_texts.texts, topic_texts.metadata, ids=topic_texts.ids)
        yield opened


class Turned(Embeddings):
    """Of the bundle's width, and of another model."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(row) for row in np.roll(self.bundle.embed(texts), 7, axis=1)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Long(Turned):
    """The bundle's own vectors, three times as long."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(3 * row) for row in self.bundle.embed(texts)]


class TestSteering:
    @pytest.mark.parametrize(
        "steering",
        [
            {"boost": BOOST, "clamp": {3: 0.0}},
            {"boost": {PHRASE: "auto", 18: "-auto"}, "blend": "move", "keep": 0.7, "protect": True},
            {"boost": {PHRASE: 1.0}, "exclude": ["import a module"]},
        ],
        ids=["numbers", "auto", "exclude"],
    )
    async def test_every_search_takes_a_boost(self, store: SteerableVectorStore, steering: dict[str, Any]) -> None:
        how: dict[str, Any] = {"k": 5, **steering, "filter": WHERE}
        expected = found(store.index, **how)
        assert expected != found(store.index, k=5, filter=WHERE)
        vector = store.query_vector(QUERY).tolist()
        assert ids(store.similarity_search(QUERY, **how)) == expected
        assert ids(await store.asimilarity_search(QUERY, **how)) == expected
        # A vector has no words, which count as evidence where a text is asked.
        wordless = [hit.id for hit in store.index.search(np.array(vector, np.float32), **how)]
        assert ids(store.similarity_search_by_vector(vector, **how)) == wordless
        assert ids(await store.asimilarity_search_by_vector([2 * x for x in vector], **how)) == wordless
        assert ids(store.search(QUERY, "similarity", **how)) == expected
        assert ids(store.max_marginal_relevance_search(QUERY, fetch_k=5, lambda_mult=1.0, **how)) == expected
        pairs = store.similarity_search_with_score(QUERY, **how)
        assert [(doc.id, score) for doc, score in pairs] == [
            (hit.id, hit.score) for hit in store.index.search(QUERY, **how)
        ]
        assert await store.asimilarity_search_with_score(QUERY, **how) == pairs

    async def test_as_retriever(self, store: SteerableVectorStore) -> None:
        how: dict[str, Any] = {"k": 3, "boost": {PHRASE: "auto", 18: -1.0}, "exclude": [3], "filter": WHERE}
        retriever = store.as_retriever(search_kwargs=how)
        assert ids(retriever.invoke(QUERY)) == found(store.index, **how)
        assert ids(await retriever.ainvoke(QUERY, boost={}, exclude=[])) == found(store.index, k=3, filter=WHERE)
        assert [ids(d) for d in retriever.batch([QUERY] * 2, k=7)] == [found(store.index, **{**how, "k": 7})] * 2
        deep = retriever.configurable_fields(search_kwargs=ConfigurableField(id="search")) | (lambda docs: ids(docs))
        config: Any = {"configurable": {"search": {**how, "boost": {4: 3.0}}}}
        assert deep.invoke(QUERY, config) == found(store.index, **config["configurable"]["search"])
        assert await deep.ainvoke(QUERY) == found(store.index, **how)
        mmr = store.as_retriever(search_type="mmr", search_kwargs={**how, "lambda_mult": 1.0})
        assert ids(mmr.invoke(QUERY)) == found(store.index, **how)
        assert ids(await mmr.ainvoke(QUERY)) == found(store.index, **how)

    async def test_callbacks_are_told(self, store: SteerableVectorStore) -> None:
        plain = found(store.index, k=60)
        for run in ("invoke", "ainvoke"):
            steps = Steps()
            retriever = store.as_retriever(search_kwargs={"k": 3, "boost": {PHRASE: 2.0}})
            call = getattr(retriever, run)(QUERY, {"callbacks": [steps]})
            documents = await call if asyncio.iscoroutine(call) else call
            (told,) = [outputs for name, outputs in steps.ended if name == "steering"]
            assert [entry["concept"] for entry in told["concepts"]] == [PHRASE]
            assert [(move["id"], move["rank"], move["rank_before"]) for move in told["moves"]] == [
                (document.id, rank, plain.index(str(document.id)) + 1) for rank, document in enumerate(documents, 1)
            ]
            assert all(move["moved_by"] for move in told["moves"])
            assert (told["kept"], told["understood"]) == (1.0, None)

    def test_doubts_are_given_once_and_told(self, store: SteerableVectorStore) -> None:
        for kind in ("similarity", "mmr"):
            steps = Steps()
            retriever = store.as_retriever(search_type=kind, search_kwargs={"boost": {3: 1.0}, "clamp": {3: 0.0}})
            with pytest.warns(SteeringWarning, match="the clamp wins") as given:
                retriever.invoke(QUERY, {"callbacks": [steps]})
            assert [text["warnings"] for _, text in steps.texts] == [[str(given[0].message)]]
            assert len(given) == 1

    def test_relevance_says_how_far_all_conditions_are_met(self, store: SteerableVectorStore) -> None:
        how: dict[str, Any] = {"k": 5, "boost": {PHRASE: 1.0}, "exclude": ["f3"]}
        pairs = store.similarity_search_with_relevance_scores(QUERY, **how)
        hits = store.index.search(QUERY, **how)
        assert [(document.id, score) for document, score in pairs] == [(hit.id, math.exp(hit.score)) for hit in hits]
        assert all(0 < score <= 1 for _, score in pairs)
        best = store.similarity_search_with_relevance_scores(QUERY, **how, score_threshold=pairs[1][1])
        assert best == pairs[: len(best)]
        assert len(best) >= 2

    def test_wishes_in_words(self, store: SteerableVectorStore) -> None:
        said = f"{QUERY}, not exceptions"
        expected = found(store.index, boost={"exceptions": SAID_NOT})
        assert ids(store.similarity_search(said, understand=True)) == expected
        assert ids(store.as_retriever(search_kwargs={"understand": True}).invoke(said)) == expected
        steps = Steps()
        watched = store.as_retriever(search_kwargs={"understand": True})
        assert ids(watched.invoke(said, {"callbacks": [steps]})) == expected
        assert steps.texts[0][1]["understood"]["exclude"] == ["exceptions"]

    def test_relevance_is_the_cosine_from_0_to_1(self, store: SteerableVectorStore) -> None:
        pairs = store.similarity_search_with_relevance_scores(QUERY, k=60)
        scores = [hit.score for hit in store.index.search(QUERY, 60)]
        assert store._select_relevance_score_fn()(-0.2) == 0.0
        assert [score for _, score in pairs] == [min(1.0, max(0.0, score)) for score in scores]
        retriever = store.as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5, "k": 60}
        )
        assert len(retriever.invoke(QUERY)) == sum(score >= 0.5 for score in scores)

    def test_mmr_chooses_different_ones(self, store: SteerableVectorStore) -> None:
        store.add_texts([QUERY, QUERY + "!", QUERY + "."], ids=["one", "two", "three"])
        near = ids(store.similarity_search(QUERY, k=3))
        assert set(near) == {"one", "two", "three"}
        varied = ids(store.max_marginal_relevance_search(QUERY, k=3, fetch_k=30, lambda_mult=0.3))
        assert len({"one", "two", "three"} & set(varied)) == 1
        assert len(store.max_marginal_relevance_search(QUERY, k=100, fetch_k=2)) == 63


class TestDurability:
    def test_again(self, store: SteerableVectorStore, topic_texts: Any) -> None:
        expected = store.similarity_search(QUERY, boost=BOOST)
        store.close()
        store.close()
        with SteerableVectorStore(store.index.path) as again:
            assert again.similarity_search(QUERY, boost=BOOST) == expected
            assert again.get_by_ids(["numbers-3", "nobody", "classes-0"]) == [
                Document(id=i, page_content=t, metadata=m)
                for wanted in ("numbers-3", "classes-0")
                for i, t, m in zip(*topic_texts, strict=True)
                if i == wanted
            ]

    def test_upsert_and_delete(self, store: SteerableVectorStore) -> None:
        given = [Document(id="numbers-0", page_content="new text"), Document(page_content="nameless")]
        done = store.upsert(given)
        assert (done["succeeded"][0], done["failed"], len(store.index)) == ("numbers-0", [], 61)
        assert [doc.page_content for doc in store.get_by_ids(done["succeeded"])] == ["new text", "nameless"]
        assert store.delete([*done["succeeded"], "nobody"]) is True
        assert len(store.index) == 59

    def test_any_embedding_then_a_bundle(self, opened_bundle: Bundle, topic_texts: Any, tmp_path: Path) -> None:
        folder = tmp_path / "store"
        with SteerableVectorStore(folder, embedding=Long(opened_bundle)) as plain:
            plain.add_texts(topic_texts.texts, topic_texts.metadata, ids=topic_texts.ids, batch_size=7)
            expected = plain.similarity_search_with_score(QUERY, k=60, filter=WHERE)
            with pytest.raises(ConfigError, match="has no bundle, so it cannot be steered"):
                plain.similarity_search(QUERY, boost=BOOST)
        with pytest.raises(ConfigError, match="no bundle yet"):
            SteerableVectorStore(folder)
        with SteerableVectorStore(folder, embedding=Long(opened_bundle)) as plain:  # from its cache
            assert plain.similarity_search_with_score(QUERY, k=60, filter=WHERE) == expected
        with SteerableVectorStore(folder, bundle=opened_bundle, embedding=Long(opened_bundle)) as steered:
            assert steered.index.has_bundle
            now = steered.similarity_search_with_score(QUERY, k=60, filter=WHERE)
            assert [doc for doc, _ in now] == [doc for doc, _ in expected]
            assert [score for _, score in now] == pytest.approx([score for _, score in expected], abs=1e-6)
        with SteerableIndex.open(folder) as index, SteerableIndex.create(tmp_path / "own", opened_bundle) as own:
            own.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
            for view in ("dense", "reconstruction", "latent"):  # the codes are those of an index made with the bundle
                assert found(index, boost=BOOST, view=view) == found(own, boost=BOOST, view=view)

    def test_a_kill_while_the_bundle_is_given(
        self, opened_bundle: Bundle, topic_texts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, embedding = tmp_path / "store", SteerableEmbeddings(opened_bundle)
        with SteerableVectorStore(folder, embedding=Long(opened_bundle)) as plain:
            plain.add_texts(topic_texts.texts, topic_texts.metadata, ids=topic_texts.ids)
            expected = plain.similarity_search(QUERY, k=60)
        monkeypatch.setattr(adoption, "BATCH", 7)
        encode, calls = Bundle.encode, []

        def killed(self: Bundle, rows: Any) -> Any:
            calls.append(len(rows))
            if len(calls) == 4:
                raise KeyboardInterrupt
            return encode(self, rows)

        with monkeypatch.context() as patch:
            patch.setattr(Bundle, "encode", killed)
            with pytest.raises(KeyboardInterrupt):
                SteerableVectorStore(folder, bundle=opened_bundle)
        with SteerableVectorStore(folder, embedding=Long(opened_bundle)) as plain:  # still a plain store, and whole
            assert plain.similarity_search(QUERY, k=60) == expected
        with SteerableVectorStore(folder, embedding=embedding) as steered:
            assert steered.similarity_search(QUERY, k=60) == expected
            assert sorted(ids(steered.similarity_search(QUERY, k=60, boost=BOOST))) == sorted(topic_texts.ids)
            views = [found(steered.index, k=60, view=view) for view in ("reconstruction", "latent")]
            assert [sorted(view) for view in views] == [sorted(topic_texts.ids)] * 2

    def test_from_texts(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        texts, embedding = ["an exception", "a number"], SteerableEmbeddings(opened_bundle)
        with SteerableVectorStore.from_texts(texts, embedding, [{"n": 1}, {"n": 2}], path=tmp_path / "a") as store:
            assert store.similarity_search("a number", k=1)[0].metadata == {"n": 2}
            assert isinstance(store.embeddings, SteerableEmbeddings)
        documents = [Document(id="x", page_content="a number")]
        with SteerableVectorStore.from_documents(documents, embedding, path=tmp_path / "b") as store:
            assert store.similarity_search("anything") == documents


class TestRefusals:
    @pytest.mark.parametrize(
        ("how", "error", "said"),
        [
            ({"boost": {"f99999": 1.0}}, UnknownFeatureError, "f99999"),
            ({"bost": BOOST}, TypeError, "unexpected argument 'bost'"),
            ({"k": 0}, ConfigError, "k is 0"),
            ({"filter": {"year": {"$near": 1}}}, FilterError, r"\$near"),
            ({"clamp": {PHRASE: "x"}}, ConfigError, "'x'"),
        ],
        ids=str,
    )
    async def test_of_a_search(
        self, store: SteerableVectorStore, how: dict[str, Any], error: type[Exception], said: str
    ) -> None:
        with pytest.raises(error, match=said):
            store.similarity_search(QUERY, **how)
        with pytest.raises(error, match=said):
            await store.asimilarity_search_with_score(QUERY, **how)
        with pytest.raises(error, match=said):
            await store.as_retriever(search_kwargs=how).ainvoke(QUERY)

    def test_of_what_is_added(self, store: SteerableVectorStore) -> None:
        for arguments, said in (
            ((["a", "b"], [{}]), "metadata has 1 items"),
            ((["a"], [{"when": object()}]), "when"),
            (("abc",), "single string"),
        ):
            with pytest.raises(DataError, match=said):
                store.add_texts(*arguments)
        with pytest.raises(DataError, match="twice"):
            store.add_texts(["a", "b"], ids=["x", "x"])
        with pytest.raises(ConfigError, match="batch_size is 0"):
            store.add_texts(["a"], batch_size=0)
        with pytest.raises(ConfigError, match="delete needs ids"):
            store.delete()
        with pytest.raises(ConfigError, match="k is 0"):
            store.max_marginal_relevance_search(QUERY, k=0)
        with pytest.raises(ConfigError, match="lambda_mult is 2"):
            store.max_marginal_relevance_search(QUERY, lambda_mult=2)
        with pytest.raises(DataError, match="takes rows of length 32"):
            store.similarity_search_by_vector([1.0, 0.0])
        with pytest.raises(DataError, match="no direction"):
            store.similarity_search_by_vector([0.0] * 32)
        with pytest.raises(ValidationError, match="boost"):
            store.as_retriever(boost=BOOST)  # LangChain's own would ignore it
        assert len(store.index) == 60

    def test_of_the_folder(self, opened_bundle: Bundle, store: SteerableVectorStore, tmp_path: Path) -> None:
        new, path = tmp_path / "new", store.index.path
        with pytest.raises(ConfigError, match="new store: give bundle="):
            SteerableVectorStore(new)
        with pytest.raises(ConfigError, match="path='my-index'"):
            SteerableVectorStore.from_texts(["a"], SteerableEmbeddings(opened_bundle))
        with pytest.raises(ConfigError, match=r"dimension 6 and the bundle .* has 32"):
            SteerableVectorStore(new, bundle=opened_bundle, embedding=DeterministicFakeEmbedding(size=6))
        for path_, bundle in ((new, opened_bundle), (path, None)):
            with pytest.raises(ConfigError, match="different embedders"):
                SteerableVectorStore(path_, bundle=bundle, embedding=Turned(opened_bundle))
        assert not new.exists()
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "letter.txt").write_text("mine")
        for given in ({"bundle": opened_bundle}, {"embedding": DeterministicFakeEmbedding(size=6)}):
            with pytest.raises(IndexFolderError, match="exists and is not"):
                SteerableVectorStore(tmp_path / "full", **given)

    def test_of_a_bundle_for_a_plain_store(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        for name, embedding, said in (
            ("six", DeterministicFakeEmbedding(size=6), "vectors of 6 numbers and the bundle"),
            ("turned", Turned(opened_bundle), "use the bundle of the embedder that made it"),
        ):
            with SteerableVectorStore(tmp_path / name, embedding=embedding) as plain:
                plain.add_texts(["an exception is raised", "two"], ids=["a", "b"])
            with pytest.raises(ConfigError, match=said):
                SteerableVectorStore(tmp_path / name, bundle=opened_bundle)
            with SteerableVectorStore(tmp_path / name, embedding=embedding) as plain:  # as it was
                assert ids(plain.similarity_search("two", k=1)) == ["b"]
            with pytest.raises(DataError, match=r"shape \(1, 5\): this index takes rows of length"):
                SteerableVectorStore(tmp_path / name, embedding=DeterministicFakeEmbedding(size=5)).add_texts(["c"])
