"""Adapters pickled and copied: whoever reads one opens the index by its path."""

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from steersearch.integrations.agents import AgentTools
from steersearch.integrations.langchain import SteerableRetriever, SteerableVectorStore, concept_tools
from steersearch.runtime.index import SteerableIndex

from .conftest import PHRASE, QUERY, found, ids

BOOST: dict[Any, Any] = {PHRASE: 2.0, 18: -1.0}


@pytest.fixture
def index(tiny_index: SteerableIndex, monkeypatch: pytest.MonkeyPatch) -> SteerableIndex:
    if SteerableIndex.__reduce__ is object.__reduce__:
        monkeypatch.setattr(SteerableIndex, "__reduce__", lambda index: (SteerableIndex.open, (index.path,)))
    tiny_index.save()
    return tiny_index


def test_langchain_retriever(index: SteerableIndex) -> None:
    retriever = SteerableRetriever(index=index, k=3, boost=BOOST, filter={"number": {"$lt": 9}}, include_scores=True)
    for again in (pickle.loads(pickle.dumps(retriever)), copy.deepcopy(retriever)):
        assert again.invoke(QUERY) == retriever.invoke(QUERY)
        assert (again.boost, again.index.path) == (BOOST, index.path)
        if again.index is not index:
            again.index.close()


def test_langchain_store(index: SteerableIndex) -> None:
    store = SteerableVectorStore(index.path)
    retriever = store.as_retriever(search_kwargs={"k": 3, "boost": BOOST})
    expected = found(index, k=3, boost=BOOST)
    again = pickle.loads(pickle.dumps(store))
    assert ids(again.similarity_search(QUERY, k=3, boost=BOOST)) == expected
    other = pickle.loads(pickle.dumps(retriever))
    assert ids(other.invoke(QUERY)) == expected
    for each in (store, again, other.vectorstore):
        each.close()


def test_tools(index: SteerableIndex) -> None:
    expected = AgentTools(index).search_documents(QUERY, [PHRASE], k=3)
    for tool in concept_tools(index):
        again = pickle.loads(pickle.dumps(tool))
        assert (again.name, again.description, again.args) == (tool.name, tool.description, tool.args)
        if tool.name == "search_documents":
            message = again.invoke(
                {
                    "type": "tool_call",
                    "id": "1",
                    "name": tool.name,
                    "args": {"query": QUERY, "more_of": [PHRASE], "k": 3},
                }
            )
            assert message.artifact == expected
        again.method.__self__.index.close()


def test_llama_index(index: SteerableIndex) -> None:
    pytest.importorskip("llama_index.core")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from steersearch.integrations.llama_index import SteerableRetriever as Retriever

        retriever = Retriever(index, k=3, boost=BOOST)
        again = pickle.loads(pickle.dumps(retriever))
        assert [node.node.node_id for node in again.retrieve(QUERY)] == found(index, k=3, boost=BOOST)
    again.index.close()


def test_haystack(index: SteerableIndex) -> None:
    pytest.importorskip("haystack")
    from steersearch.integrations.haystack import SteerableRetriever as Component

    opened, by_path = Component(index, top_k=3, boost=BOOST), Component(index.path, top_k=3, boost=BOOST)
    made = [pickle.loads(pickle.dumps(opened)), pickle.loads(pickle.dumps(by_path)), copy.deepcopy(by_path)]
    for again in [*made, Component.from_dict(opened.to_dict())]:
        assert [document.id for document in again.run(QUERY)["documents"]] == found(index, k=3, boost=BOOST)
        again.index.close()


def test_an_index_on_a_folder_that_is_only_read(index: SteerableIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """No adapter writes where it only searches."""
    index.close()
    with SteerableIndex.open(index.path, readonly=True) as opened:
        before = _digest(index.path)
        assert SteerableRetriever(index=opened, boost=BOOST).invoke(QUERY)
        assert AgentTools(opened).search_documents(QUERY, [PHRASE])["results"]
        assert AgentTools(opened).find_concepts(PHRASE)["concepts"]
    assert _digest(index.path) == before


def _digest(folder: Path) -> dict[str, tuple[int, int]]:
    # SQLite notes in its shared memory that somebody reads.
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
