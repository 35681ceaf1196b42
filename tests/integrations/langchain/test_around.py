"""Retrievers of LangChain around ours: what they compare, and what they put into metadata."""

import copy
import datetime as dt
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps

from steersearch.errors import DataError
from steersearch.integrations.langchain import SteerableEmbeddings, SteerableRetriever, SteerableVectorStore
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.index import SteerableIndex

from ..conftest import PHRASE, QUERY, found, ids


def unique(documents: list[Document]) -> list[Document]:
    """As `MultiQueryRetriever` does it."""
    return [doc for i, doc in enumerate(documents) if doc not in documents[:i]]


class TestScoresAndExplanations:
    @pytest.mark.parametrize("view", ["dense", "words", "hybrid"])
    def test_a_document_that_two_queries_find_is_equal(self, tiny_index: SteerableIndex, view: Any) -> None:
        retriever = SteerableRetriever(
            index=tiny_index, k=60, view=view, include_scores=True, include_explanations=True, boost={PHRASE: 1.0}
        )
        one, two = retriever.invoke(QUERY), retriever.invoke("a float number and an exception")
        both = unique(one + two)
        assert len(both) == len(set(ids(one)) | set(ids(two)))
        assert both[0].metadata["relevance_score"] == one[0].metadata["relevance_score"]
        assert all({"relevance_score", "steerable"} <= set(document.metadata) for document in both)

    def test_what_is_compared(self, tiny_index: SteerableIndex) -> None:
        (scored,) = SteerableRetriever(index=tiny_index, k=1, include_scores=True).invoke(QUERY)
        (again,) = SteerableRetriever(index=tiny_index, k=1, include_scores=True).invoke(QUERY + " twice")
        again.metadata["relevance_score"] = 0.0
        assert (scored == again, scored != again) == (scored.id == again.id, scored.id != again.id)
        # A plain mapping is compared with all that is there.
        plain = dict(scored.metadata)
        assert (scored.metadata == plain, plain == scored.metadata) == (True, True)
        assert (scored.metadata == plain | {"relevance_score": 0.0}, scored.metadata != plain) == (False, False)
        other = copy.deepcopy(scored)
        other.metadata["topic"] = "another"
        assert scored != other
        for same in (copy.deepcopy(scored), pickle.loads(pickle.dumps(scored)), scored.model_copy(deep=True)):
            same.metadata["relevance_score"] = 0.0
            assert same == scored
        assert json.loads(dumps(scored))["kwargs"]["metadata"] == plain

    def test_a_key_of_the_document_counts(self, tiny_index: SteerableIndex) -> None:
        for score in (1, 2):
            tiny_index.add(["a rare hippopotamus"], [f"h-{score}"], [{"relevance_score": score}])
        found = SteerableRetriever(index=tiny_index, k=2, include_scores=True).invoke("a rare hippopotamus")
        assert [document.metadata["relevance_score"] for document in found] == [1, 2]
        assert found[0].metadata != found[1].metadata


class TestRowsThatAreNotLists:
    """Texts, mappings and ids go together by position, and a generator is read once."""

    def test_columns_of_a_sorted_table(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame({"id": ["a", "b", "c"], "text": ["one", "two", "three"], "n": [1, 2, 3]})
        table = table.sort_values("text")
        with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
            extra = table["n"].map(lambda n: {"n": n})
            assert store.add_texts(table["text"], extra, ids=table["id"]) == ["a", "c", "b"]
            stored = {document.id: document for document in store.get_by_ids(["a", "b", "c"])}
        assert {id: (doc.page_content, doc.metadata) for id, doc in stored.items()} == {
            "a": ("one", {"n": 1}),
            "b": ("two", {"n": 2}),
            "c": ("three", {"n": 3}),
        }

    async def test_generators(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        def given(*names: str) -> Any:
            return (Document(page_content=f"text {name}", metadata={"name": name}) for name in names)

        embedding = SteerableEmbeddings(opened_bundle)
        with SteerableVectorStore.from_documents(given("a", "b"), embedding, path=tmp_path / "one") as store:
            assert len(store.index) == 2
            assert len(store.add_documents(given("c"))) == 1
            assert len(await store.aadd_documents(given("d"))) == 1
            assert len(store.add_texts((text for text in ("e", "f")), ids=(id for id in ("x", "y")))) == 2
            assert store.delete(["x"])
            assert len(store.index) == 5
        other = await SteerableVectorStore.afrom_documents(given("a"), embedding, path=tmp_path / "two")
        with other:
            assert len(other.index) == 1


def test_documents_without_ids_never_replace_each_other(opened_bundle: Bundle, tmp_path: Path) -> None:
    """Equal texts, equal sources, several calls: each has its own id."""
    documents = [
        Document(page_content="the same", metadata=m) for m in ({}, {}, {"source": "a.md"}, {"source": "a.md"})
    ]
    with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
        names = [name for _ in range(3) for name in store.add_documents(documents)]
        names += store.add_documents([Document(id="mine", page_content="the same"), documents[0]])
        assert len(set(names)) == len(store.index) == 14
        assert "mine" in names
        with pytest.raises(DataError, match="texts has 2 items and ids has 0"):
            store.add_texts(["a", "b"], ids=[])


class TestDates:
    def test_are_iso_text(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
        with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
            store.add_texts(["a", "b"], [{"when": when}, {"when": when + dt.timedelta(hours=1)}], ids=["a", "b"])
            store.index.update_metadata(["a"], [{"day": when.date()}])
            (first,) = store.get_by_ids(["a"])
            assert first.metadata == {"when": "2024-05-01T10:00:00+00:00", "day": "2024-05-01"}
            assert dt.datetime.fromisoformat(first.metadata["when"]) == when
            later: Any = {"when": {"$gt": when}}
            assert ids(store.similarity_search("a", filter=later)) == ["b"]
            store.add_texts(["a"], [{"when": when}], ids=["a"])  # the same text again, with a date
            with pytest.raises(DataError, match="the metadata of 'c', key 'when', holds"):
                store.add_texts(["c"], [{"when": {1, 2}}], ids=["c"])

    async def test_time_weighted(self, opened_bundle: Bundle, tmp_path: Path) -> None:
        retrievers = pytest.importorskip("langchain_classic.retrievers")
        now = dt.datetime(2024, 5, 1)
        with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
            retriever = retrievers.TimeWeightedVectorStoreRetriever(vectorstore=store, decay_rate=0.5, k=1)
            old = Document(page_content="a float number", metadata={"last_accessed_at": now - dt.timedelta(days=9)})
            new = Document(page_content="a float number")
            retriever.add_documents([old])
            await retriever.aadd_documents([new], current_time=now)
            assert len(store.index) == 2
            (first,) = retriever.invoke("a float number")
            assert first.metadata["buffer_idx"] == 1
            assert isinstance(first.metadata["last_accessed_at"], dt.datetime)


def test_multi_query(tiny_index: SteerableIndex) -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers")
    ours = SteerableRetriever(index=tiny_index, include_scores=True, include_explanations=True)
    from langchain_core.runnables import RunnableLambda

    multi = retrievers.MultiQueryRetriever(
        retriever=ours, llm_chain=RunnableLambda(lambda _: [QUERY, QUERY + " twice", "an exception"])
    )
    expected = dict.fromkeys(
        id for query in (QUERY, QUERY + " twice", "an exception") for id in found(tiny_index, query)
    )
    assert ids(multi.invoke(QUERY)) == list(expected)
