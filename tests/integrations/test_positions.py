"""Stores and engines take rows by position, from whatever is read in order, and refuse the rest."""

from typing import Any

import numpy as np
import pytest

from steersearch.errors import DataError
from steersearch.integrations.engines.sparse import SparseEngine

from ..test_sequences import KINDS

IDS, TEXTS = ["x", "y", "z"], ["a whole number", "a class and its base", "an exception is raised"]


class Memory(SparseEngine):
    provider = "memory"
    held: dict[str, tuple[str, dict[str, Any]]]

    def _write(self, ids, texts, metadata, vectors, codes):
        self.held = dict(zip(ids, zip(texts, metadata, strict=True), strict=True))

    def _dense(self, vector, k, filter):
        return []

    def _latent(self, code, k, filter):
        return []

    def _vector_of(self, id):
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine(opened_bundle, kind):
    engine = Memory(opened_bundle, sample=kind(TEXTS))
    assert engine.add(kind(TEXTS), kind(IDS), ({"n": n} for n in range(3))) == IDS
    assert engine.held == {id: (text, {"n": n}) for n, (id, text) in enumerate(zip(IDS, TEXTS, strict=True))}


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_of_langchain(opened_bundle, tmp_path, kind):
    pytest.importorskip("langchain_core")
    from steersearch.integrations.langchain import SteerableVectorStore

    with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
        assert store.add_texts(kind(TEXTS), iter([{"n": 0}, {"n": 1}, {"n": 2}]), ids=kind(IDS)) == IDS
        found = store.get_by_ids(kind(IDS))
        assert [(d.id, d.page_content, d.metadata["n"]) for d in found] == [
            (id, text, n) for n, (id, text) in enumerate(zip(IDS, TEXTS, strict=True))
        ]
        assert store.delete(kind(IDS))
        assert store.get_by_ids(IDS) == []


def test_chunks_without_ids_in_several_calls(opened_bundle, tmp_path):
    """Equal ones too: nobody gave ids, so none is said to occur twice."""
    core = pytest.importorskip("langchain_core.documents")
    from steersearch.integrations.langchain import SteerableVectorStore

    made = [core.Document(page_content=f"The number {n // 2}.", metadata={"source": "m.pdf"}) for n in range(10)]
    with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
        for part in (made[:4], made[4:8], made[8:]):
            store.add_documents(part)
        assert len(store.index) == 10
        with pytest.raises(DataError, match="metadata has 0 items"):
            store.add_texts(["a"], [])
        with pytest.raises(DataError, match="ids has 0"):
            store.add_texts(["a"], ids=[])


def test_keys_of_a_record_manager(tmp_path):
    pytest.importorskip("langchain_core")
    from steersearch.integrations.langchain.record_manager import SqliteRecordManager

    manager = SqliteRecordManager("n", tmp_path / "records.sqlite")
    manager.update(np.array(["a", "b"]), group_ids=(name for name in ("g", "h")))
    assert manager.exists(key for key in ("b", "c", "a")) == [True, False, True]
    assert manager.list_keys(group_ids={"g": 1}.keys()) == ["a"]
    for wrong in ("ab", {"a"}, {"a": 1}, 3):
        with pytest.raises(DataError, match="keys is a"):
            manager.exists(wrong)
    manager.delete_keys(iter(["a"]))
    assert manager.list_keys() == ["b"]
    manager.close()
