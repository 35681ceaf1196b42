"""Which index is chosen, and that caches never show anything but the store's newest state."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from steersearch.errors import ConfigError, IndexFolderError, MissingExtraError
from steersearch.runtime.search import backends as ann
from steersearch.runtime.search.backends import open_index, sync
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.hnsw import HnswIndex
from steersearch.runtime.search.usearch import UsearchI8Index, UsearchIndex
from steersearch.runtime.store.documents import DocumentStore

D_IN = 8
BACKENDS = [
    "exact",
    pytest.param("hnsw", marks=pytest.mark.skipif(not ann.installed("hnswlib"), reason="needs hnswlib")),
    *(
        pytest.param(name, marks=pytest.mark.skipif(not ann.installed("usearch"), reason="needs usearch"))
        for name in ("usearch", "usearch-f32", "usearch-i8")
    ),
]


@pytest.fixture
def store(tmp_path):
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=D_IN, meta={}) as opened:
        yield opened


def unit(n, seed):
    rows = np.random.default_rng(seed).standard_normal((n, D_IN)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def put(store, names, seed=0):
    names = list(names)
    none = np.empty((len(names), 0), np.int64)
    return store.put(names, names, [{}] * len(names), unit(len(names), seed), none, none)


def assert_equal(index, store):
    rowids = store.rowids()
    assert index.rowids.tolist() == rowids.tolist()
    assert index.vectors_of(rowids).tobytes() == store.vectors_of(rowids).tobytes()
    if len(rowids):
        query = unit(1, 99)[0]
        oracle = ExactIndex(D_IN)
        oracle.add(rowids, store.vectors_of(rowids))
        assert [p.tolist() for p in index.search(query, 5)] == [p.tolist() for p in oracle.search(query, 5)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_built_saved_opened_and_kept_in_step(store, tmp_path, backend):
    folder = tmp_path / "cache"
    index = open_index(store, folder, backend)
    assert len(index) == 0
    assert not folder.exists()  # opening writes nothing
    put(store, map(str, range(300)))
    assert sync(index, store) == 1
    assert_equal(index, store)
    index.save(folder, 1, store.origin)
    with DocumentStore.open(store.path) as other:  # as another process would
        put(other, map(str, range(100, 200)), seed=1)
        other.delete(["5", "299"])
        put(other, ["new"], seed=2)
        put(other, ["newer"], seed=2)
        other.delete(["newer"])
    assert sync(index, store) == store.generation == 6
    assert_equal(index, store)
    stale = open_index(store, folder, backend)  # the cache is of generation 1
    assert_equal(stale, store)
    store.delete([str(i) for i in range(300)])
    store.delete(["new"])
    sync(index, store)
    assert len(index) == 0
    assert_equal(open_index(store, folder, backend), store)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_right_cache_is_used(store, tmp_path, backend, monkeypatch):
    put(store, map(str, range(300)))
    open_index(store, tmp_path, backend).save(tmp_path, store.generation, store.origin)
    monkeypatch.setattr(store, "iter_vectors", lambda after_rowid: iter([]) if after_rowid == 300 else 1 / 0)
    assert_equal(open_index(store, tmp_path, backend), store)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "name", ["vectors.npy", "rowids.npy", "cache.json", "hnsw.bin", "hnsw.json", "usearch.bin", "usearch.json"]
)
def test_a_damaged_cache_is_built_again(store, tmp_path, backend, name):
    put(store, map(str, range(300)))
    open_index(store, tmp_path, backend).save(tmp_path, store.generation, store.origin)
    path = tmp_path / name
    if path.exists():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    assert_equal(open_index(store, tmp_path, backend), store)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("later", [1, 60, 150])
def test_a_database_restored_from_a_copy_does_not_meet_the_newer_cache(tmp_path, backend, later):
    path, copy = tmp_path / "documents.sqlite", tmp_path / "copy.sqlite"
    with DocumentStore.create(path, d_in=D_IN, meta={}) as store:
        put(store, map(str, range(100)))
    shutil.copy(path, copy)
    with DocumentStore.open(path) as store:
        put(store, (f"lost {i}" for i in range(100)), seed=1)
        open_index(store, tmp_path, backend).save(tmp_path, store.generation, store.origin)
    shutil.copy(copy, path)
    with pytest.raises(IndexFolderError, match=r"has 1 of 2 commits: .* delete .*commits to go on"):
        DocumentStore.open(path)
    (tmp_path / "commits").unlink()
    with DocumentStore.open(path) as store:
        put(store, (f"other {i}" for i in range(later)), seed=2)  # the same rowids and generation, other vectors
        assert store.generation == 2
        assert_equal(open_index(store, tmp_path, backend), store)


def test_choice(store, tmp_path, monkeypatch):
    put(store, map(str, range(10)))
    assert type(open_index(store, tmp_path)) is ExactIndex
    assert type(open_index(store, tmp_path, "exact")) is ExactIndex
    with pytest.raises(ConfigError, match="backend is 'faiss': choose one of auto, exact, hnsw, usearch"):
        open_index(store, tmp_path, "faiss")
    for odd in ([], {}, None, 1, np.ones(2)):
        with pytest.raises(ConfigError, match=r"backend is .*: choose one of auto, exact"):
            open_index(store, tmp_path, odd)
    monkeypatch.setattr(ann, "EXACT_BELOW", 10)
    if ann.installed("hnswlib"):
        assert type(open_index(store, tmp_path)) is HnswIndex
        assert type(open_index(store, tmp_path, "exact")) is ExactIndex
        store.delete(["0"])
        assert type(open_index(store, tmp_path)) is ExactIndex
        put(store, ["0"])
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    if ann.installed("usearch"):
        assert type(open_index(store, tmp_path)) is UsearchIndex
        assert type(open_index(store, tmp_path, "usearch-i8")) is UsearchI8Index
    monkeypatch.setitem(sys.modules, "usearch", None)
    assert type(open_index(store, tmp_path)) is ExactIndex
    with pytest.raises(MissingExtraError, match=r"pip install 'steersearch\[usearch\]'"):
        open_index(store, tmp_path, "usearch-i8")
    with pytest.raises(MissingExtraError, match=r"pip install 'steersearch\[hnsw\]'"):
        open_index(store, tmp_path, "hnsw")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_new_process_gives_the_same_answer(store, tmp_path, backend):
    put(store, map(str, range(500)))
    index = open_index(store, tmp_path, backend)
    index.save(tmp_path, store.generation, store.origin)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from steersearch.runtime.search.backends import open_index\n"
        "from steersearch.runtime.store.documents import DocumentStore\n"
        "store = DocumentStore.open(Path(sys.argv[1]), readonly=True)\n"
        "index = open_index(store, Path(sys.argv[2]), sys.argv[3])\n"
        "rowids, scores = index.search(np.frombuffer(bytes.fromhex(sys.argv[4]), np.float32), 10)\n"
        "print(rowids.tobytes().hex(), scores.tobytes().hex())\n"
    )
    query = unit(1, 5)[0]
    arguments = [sys.executable, "-c", code, str(store.path), str(tmp_path), backend, query.tobytes().hex()]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    assert output == [part.tobytes().hex() for part in index.search(query, 10)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_candidates_are_what_search_finds_with_their_vectors(store, tmp_path, backend):
    put(store, map(str, range(300)))
    index, query = open_index(store, tmp_path / "cache", backend), unit(1, 99)[0]
    for allowed in (None, np.arange(1, 301, 2), np.arange(10, 20)):  # all, half of them, too few for a graph
        rowids, vectors, nearest = index.candidates(query, 7, allowed)
        assert rowids[nearest].tolist() == sorted(index.search(query, 7, allowed)[0].tolist())
        assert rowids.tolist() == sorted(rowids.tolist())
        assert vectors.tobytes() == store.vectors_of(rowids).astype(np.float64).tobytes()
