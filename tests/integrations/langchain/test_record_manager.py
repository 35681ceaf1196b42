"""`langchain_core.indexing.index` with a record manager that survives restarts."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore

from steersearch.errors import DataError, IndexFolderError, StorageError
from steersearch.integrations.langchain import SqliteRecordManager, SteerableEmbeddings, SteerableVectorStore
from steersearch.integrations.langchain import record_manager as module
from steersearch.runtime.bundle.bundle import Bundle


def docs(**texts: str) -> list[Document]:
    return [Document(page_content=text, metadata={"source": source}) for source, text in texts.items()]


def counts(result: Any) -> tuple[int, int, int]:
    return result["num_added"], result["num_skipped"], result["num_deleted"]


def test_incremental_through_a_restart(opened_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    how: dict[str, Any] = {"cleanup": "incremental", "source_id_key": "source", "key_encoder": "blake2b"}
    for given, expected, texts in (
        (docs(a="one", b="two"), (2, 0, 0), {"one", "two"}),
        (docs(a="one", b="two"), (0, 2, 0), {"one", "two"}),
        (docs(b="two, new"), (1, 0, 1), {"one", "two, new"}),
    ):
        with SteerableVectorStore(folder, bundle=opened_bundle) as store:  # everything opened again each time
            records = SqliteRecordManager("store", folder / "records.sqlite")
            assert counts(index(given, records, store, **how)) == expected
            assert {doc.page_content for doc in store.similarity_search("one", k=10)} == texts
            records.close()
    with SteerableVectorStore(folder) as store:
        records = SqliteRecordManager("store", folder / "records.sqlite")
        done = index(docs(a="one"), records, store, cleanup="full", key_encoder="blake2b", source_id_key="source")
        assert counts(done) == (0, 1, 1)
        assert len(store.index) == 1
        records.close()


async def test_asynchronously(opened_bundle: Bundle, tmp_path: Path) -> None:
    records = SqliteRecordManager("store", tmp_path / "records.sqlite")
    await records.acreate_schema()
    with SteerableVectorStore(tmp_path / "store", bundle=opened_bundle) as store:
        how: dict[str, Any] = {"cleanup": "full", "key_encoder": "blake2b"}
        assert counts(await aindex(docs(a="one", b="two"), records, store, **how)) == (2, 0, 0)
        assert counts(await aindex(docs(b="two"), records, store, **how)) == (0, 1, 1)
        assert len(store.index) == 1
    await asyncio.gather(*(records.aupdate([f"key-{i}"]) for i in range(20)))  # threads share it
    assert await records.aexists(["key-7", "key-20"]) == [True, False]
    assert len(await records.alist_keys()) == 21
    records.close()


def test_an_index_of_another_store(opened_bundle: Bundle, tmp_path: Path) -> None:
    records = SqliteRecordManager("memory", tmp_path / "records.sqlite")
    store = InMemoryVectorStore(SteerableEmbeddings(opened_bundle))
    assert counts(index(docs(a="one"), records, store, key_encoder="blake2b")) == (1, 0, 0)
    assert counts(index(docs(a="one"), records, store, key_encoder="blake2b")) == (0, 1, 0)
    records.close()


def test_like_langchains_own(tmp_path: Path) -> None:
    own, theirs = SqliteRecordManager("n", tmp_path / "records.sqlite"), InMemoryRecordManager("n")
    other = SqliteRecordManager("m", own.path)
    for manager in (own, theirs):
        manager.update(["a", "b", "c"], group_ids=["x", "y", None])
        between = manager.get_time()
        manager.update(["b", "d"], group_ids=["x", "x"], time_at_least=between)
        assert manager.exists(["d", "z", "a"]) == [True, False, True]
        assert sorted(manager.list_keys()) == ["a", "b", "c", "d"]
        assert sorted(manager.list_keys(group_ids=["x"])) == ["a", "b", "d"]
        assert sorted(manager.list_keys(group_ids=["x"], before=between)) == ["a"]
        assert len(manager.list_keys(limit=2)) == 2
        manager.delete_keys(["a", "nobody"])
        assert sorted(manager.list_keys()) == ["b", "c", "d"]
    assert other.list_keys() == []
    other.update(["a"])
    assert len(own.list_keys()) == 3
    own.close()
    other.close()


def test_time_goes_forward_when_the_clock_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = SqliteRecordManager("n", tmp_path / "records.sqlite")
    records.update(["old"])
    monkeypatch.setattr(module.time, "time", lambda: 1000.0)
    start = records.get_time()
    records.update(["new"], time_at_least=start)
    assert records.list_keys(before=start) == ["old"]  # what a full clean-up would delete
    records.close()


def test_refusals(tmp_path: Path) -> None:
    records = SqliteRecordManager("n", tmp_path / "records.sqlite")
    with pytest.raises(DataError, match="2 keys but 1 group_ids"):
        records.update(["a", "b"], group_ids=["x"])
    with pytest.raises(DataError, match="time_at_least is inf"):
        records.update(["a"], time_at_least=math.inf)
    assert records.list_keys() == []
    records.close()
    (tmp_path / "letter.txt").write_text("not a database, but long enough to have a header " * 9)
    with pytest.raises(IndexFolderError, match=r"letter\.txt is damaged"):
        SqliteRecordManager("n", tmp_path / "letter.txt")
    with pytest.raises(StorageError, match="cannot make the folder"):
        SqliteRecordManager("n", tmp_path / "letter.txt" / "records.sqlite")


def test_keys_are_read_once(tmp_path: Path) -> None:
    records = SqliteRecordManager("store", tmp_path / "records.sqlite")
    records.update((key for key in "ab"), group_ids=(group for group in "xy"))
    assert records.exists(key for key in "abc") == [True, True, False]
    assert records.list_keys(group_ids=["y"]) == ["b"]
    with pytest.raises(DataError, match="1 keys but 0 group_ids"):
        records.update(["c"], group_ids=[])
    records.close()
