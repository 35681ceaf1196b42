"""Long documents in LangChain: deleted and got whole, one result for each."""

import pytest

pytest.importorskip("langchain_core")

from steersearch.errors import ConfigError
from steersearch.integrations.langchain import SteerableRetriever, SteerableVectorStore

LONG = "The number is an integer of the class. " * 60


def test_long_documents(opened_bundle, tmp_path):
    with SteerableVectorStore(path=tmp_path / "index", bundle=opened_bundle) as store:
        documents = [("long", LONG, {"source": "a"}), ("short", "A class has a number.", {"source": "b"})]
        store.index.add_from(documents, chunk_tokens=32)
        retriever = SteerableRetriever(index=store.index, k=2, group="document")
        found = retriever.invoke("the number of the class")
        assert sorted(document.id.partition("#")[0] for document in found) == ["long", "short"]
        by_field = SteerableRetriever(index=store.index, k=5, group="source", include_explanations=True)
        assert sorted(document.metadata["source"] for document in by_field.invoke("number")) == ["a", "b"]
        with pytest.raises(ConfigError, match="group is"):
            SteerableRetriever(index=store.index, group="").invoke("number")
        (whole,) = store.get_by_ids(["long"])
        assert whole.page_content.split() == LONG.split()
        store.delete(["long"])
        assert store.index.documents()[0] == ["short"]
