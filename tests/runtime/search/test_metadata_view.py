"""Filters over a table of metadata: the same documents as in the store, after every change, and from the cache."""

import logging
import shutil

import numpy as np
import pytest

from steersearch.runtime import SteerableIndex
from steersearch.runtime.search import views as views_module
from steersearch.runtime.search.dense import DenseView
from steersearch.runtime.search.metadata_rows import FILE, ROWS, SIDECAR, MetadataRows
from steersearch.runtime.store.documents import DocumentStore

N = 60
FILTERS = [
    {"year": 3},
    {"year": {"$gte": 5}, "tag": "b"},
    {"tag": {"$ne": "a"}},
    {"tags": {"$in": ["x"]}},
    {"$not": {"year": {"$lt": 4}}},
    {"none": None},
]


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """Use the table for any number of documents, and count how often the store is read for a filter instead."""
    read = []
    monkeypatch.setattr(views_module, "FILTERED_HERE", range(10**9))
    monkeypatch.setattr(DenseView, "allows_post_filter", False)
    filter = DocumentStore._filter
    monkeypatch.setattr(DocumentStore, "_filter", lambda self, *how: read.append(how) or filter(self, *how))
    return read


def rows(n, seed=0):
    found = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def metadata(i):
    return {"year": i % 9, "tag": "abc"[i % 3], "tags": ["x", "y"][: i % 3], "none": None} if i % 7 else {}


def build(folder, bundle, n=N):
    index = SteerableIndex.create(folder, bundle)
    ids, texts = [f"d{i}" for i in range(n)], [f"text {i}" for i in range(n)]
    index.add(texts, ids, map(metadata, range(n)), embeddings=rows(n))
    return index


def check(index, used):
    """Compare with the store's own filter."""
    for filter in FILTERS:
        found = {hit.id for hit in index.search(rows(1)[0], len(index) + 1, filter=filter)}
        assert not used, "the store was read"
        expected = {record.id for record in index._store.by_rowid(index._store._filter(*compiled(filter)))}
        used.clear()
        assert found == expected, filter


def compiled(filter):
    from steersearch.runtime.store.filters import compile_filter

    return compile_filter(filter)


def test_the_same_documents_after_every_change(opened_bundle, tmp_path, used):
    with build(tmp_path / "index", opened_bundle) as index:
        check(index, used)
        index.update_metadata(["d1", "d2"], [{"year": 3}, {"tag": "b", "year": 8}])
        check(index, used)
        index.delete(["d3", "d12"])
        check(index, used)
        index.add(
            ["new", "text 5 again"], ["n", "d5"], [{"year": 3}, {"year": 3, "tags": ["x"]}], embeddings=rows(2, 1)
        )
        check(index, used)
        with SteerableIndex.open(index.path, readonly=True) as other:
            check(other, used)
            index.update_metadata(["n"], [{"year": 4}])
            index.delete(["d20"])
            check(other, used)


def test_the_cache_is_read_and_nothing_else(opened_bundle, tmp_path, used, monkeypatch):
    build(tmp_path / "index", opened_bundle).close()
    with SteerableIndex.open(tmp_path / "index") as index:
        index.save()
    reads = []
    of_store = DocumentStore.iter_metadata
    monkeypatch.setattr(
        DocumentStore, "iter_metadata", lambda *how, **more: reads.append(how) or of_store(*how, **more)
    )
    with SteerableIndex.open(tmp_path / "index", readonly=True) as index:
        check(index, used)
        assert not reads
    with SteerableIndex.open(tmp_path / "index") as index:
        index.update_metadata(["d1"], [{"year": 3}])
    with SteerableIndex.open(tmp_path / "index", readonly=True) as index:
        check(index, used)
        assert reads, "the cache is of other metadata"


def test_a_copy_with_as_many_changes_has_other_metadata(opened_bundle, tmp_path, used):
    build(tmp_path / "index", opened_bundle).close()
    shutil.copytree(tmp_path / "index", tmp_path / "copy")
    for name, year in (("index", 3), ("copy", 8)):
        with SteerableIndex.open(tmp_path / name, bundle=opened_bundle) as index:
            index.update_metadata(["d1"], [{"year": year}])
            index.save()
    shutil.copy(tmp_path / "copy" / "documents.sqlite", tmp_path / "index")  # beside the caches of the other
    with SteerableIndex.open(tmp_path / "index", bundle=opened_bundle, readonly=True) as index:
        assert index.get(["d1"])[0].metadata["year"] == 8
        check(index, used)


def test_commits_of_an_older_version_have_no_cache(opened_bundle, tmp_path, used):
    """It may change metadata, and gives its commits no names."""
    build(tmp_path / "index", opened_bundle).close()
    with SteerableIndex.open(tmp_path / "index", bundle=opened_bundle) as index:
        index.save()
        before = (tmp_path / "index" / "cache" / SIDECAR).read_bytes()
        index._store._database.rows("DELETE FROM meta WHERE key = 'revision'")
        check(index, used)
        index.save()
        assert (tmp_path / "index" / "cache" / SIDECAR).read_bytes() == before
        index.update_metadata(["d1"], [{"year": 3}])
        check(index, used)
        index.save()
    assert (tmp_path / "index" / "cache" / SIDECAR).read_bytes() != before
    with SteerableIndex.open(tmp_path / "index", bundle=opened_bundle, readonly=True) as index:
        check(index, used)


@pytest.mark.parametrize("name", [FILE, ROWS, SIDECAR])
def test_a_damaged_cache_is_made_again(opened_bundle, tmp_path, used, name, caplog):
    with build(tmp_path / "index", opened_bundle) as index:
        index.save()
        path = index.path / "cache" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING), SteerableIndex.open(tmp_path / "index") as index:
        check(index, used)
    assert "made again" in caplog.text


def test_a_cache_with_another_table_is_not_read(tmp_path):
    made = MetadataRows(0)
    made.add([(np.array([1, 4]), ['{"a":1}', "{}"])])
    made.save(tmp_path, 7)
    assert MetadataRows.load(tmp_path, 0).rowids.tolist() == [1, 4]
    assert MetadataRows.load(tmp_path, 1) is None
    made._table.execute("CREATE VIEW evil AS SELECT 1")
    made.save(tmp_path, 7)
    assert MetadataRows.load(tmp_path, 0) is None


def test_by_hand():
    made = MetadataRows(0)
    made.add([(np.array([1, 4]), ['{"a":1}', "{}"]), (np.array([9]), ['{"a":2}'])])
    made.remove(np.array([4, 5]))
    assert made.rowids.tolist() == [1, 9]
    assert made.where(*compiled({"a": {"$gte": 1}})).tolist() == [1, 9]
    assert made.where(*compiled({"a": 2})).tolist() == [9]
    assert made.has(np.array([1, 9]), ['{"a":1}', '{"a":2}'])
    assert not made.has(np.array([1, 4]), ['{"a":1}', "{}"])
