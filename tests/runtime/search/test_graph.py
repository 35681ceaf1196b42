"""The graph indexes: recall against the exact one, and every place where a library alone would fail silently."""

import json
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import ConfigError, DataError, MissingExtraError, StorageError
from steersearch.runtime.search.backends import installed
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.hnsw import HnswIndex
from steersearch.runtime.search.usearch import UsearchF32Index, UsearchI8Index, UsearchIndex
from steersearch.runtime.store.cache_files import read_sidecar

KINDS = [HnswIndex, UsearchIndex, UsearchF32Index, UsearchI8Index]


needs_hnswlib = pytest.mark.skipif(not installed("hnswlib"), reason="needs hnswlib")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    pytest.importorskip(request.param.module)
    return request.param


def clustered(n, d_in=32, clusters=60, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, d_in))
    rows = (centres[rng.integers(0, clusters, n)] + 0.4 * rng.standard_normal((n, d_in))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    return clustered(3000)


def pair(kind, rowids, vectors):
    graph, exact = kind(vectors.shape[1]), ExactIndex(vectors.shape[1])
    for index in (graph, exact):
        index.add(rowids, vectors)
    return graph, exact


def held(graph):
    return graph._graph.get_current_count() if isinstance(graph, HnswIndex) else len(graph._graph)


def recall(graph, exact, queries, k=10):
    shares = []
    for query in queries:
        found, scores = graph.search(query, k)
        wanted, best = exact.search(query, k)
        assert len(found) == len(wanted)
        assert list(zip(-scores, found, strict=True)) == sorted(zip(-scores, found, strict=True))
        known = dict(zip(wanted.tolist(), best.tolist(), strict=True))
        assert all(known.get(row, score) == score for row, score in zip(found.tolist(), scores.tolist(), strict=True))
        shares.append(len(np.intersect1d(found, wanted)) / k)
    return np.mean(shares)


def test_recall_and_scores_against_exact_search(kind, vectors):
    queries = clustered(200, seed=0)[::-1] + np.float32(0.05) * clustered(200, seed=1)
    graph, exact = pair(kind, np.arange(1, 3001), vectors)
    assert recall(graph, exact, queries) >= 0.98
    gone = np.random.default_rng(0).choice(np.arange(1, 3001), 600, replace=False)
    for index in (graph, exact):
        index.remove(gone)
    assert len(graph._removed) == 600  # 20 %: still marked
    assert recall(graph, exact, queries) >= 0.98
    for index in (graph, exact):
        index.remove(np.arange(1, 601))
    assert len(graph) == len(exact)
    assert len(graph._removed) == 0  # above 25 %: built again
    assert recall(graph, exact, queries) >= 0.98


@pytest.mark.parametrize("share", [1.0, 0.5, 0.15, 0.05])
def test_filtered_searches_find_what_exact_ones_do(kind, vectors, share):
    """From a tenth on the graph finds the allowed ones among the nearest of all; below, the search is exact."""
    rng, queries = np.random.default_rng(0), clustered(200)[::-1] + np.float32(0.05) * clustered(200, seed=1)
    graph, exact = pair(kind, np.arange(1, 3001), vectors)
    allowed = rng.permutation(np.flatnonzero(rng.random(3000) < share) + 1)  # in any order, and not all of them there
    for index in (graph, exact):
        index.remove(np.arange(1, 400))
    shares = []
    for query in queries:
        found, scores = graph.search(query, 10, allowed)
        wanted, best = exact.search(query, 10, allowed)
        assert len(found) == 10
        assert set(found.tolist()) <= set(allowed.tolist())
        known = dict(zip(wanted.tolist(), best.tolist(), strict=True))
        assert all(known.get(row, score) == score for row, score in zip(found.tolist(), scores.tolist(), strict=True))
        shares.append(len(np.intersect1d(found, wanted)) / 10)
    assert np.mean(shares) >= (0.98 if share > 0.1 else 1.0)


def test_k_results_come_back_however_far_away_the_allowed_ones_are(kind, vectors):
    graph, exact = pair(kind, np.arange(1, 3001), vectors)
    for query in clustered(20, seed=3):
        far = np.argsort(vectors @ query)[:900] + 1  # 30 % of all, none of them near
        for k in (1, 10, 40):
            assert [p.tolist() for p in graph.search(query, k, far)] == [
                p.tolist() for p in exact.search(query, k, far)
            ]
    assert len(graph.search(query, 10, np.arange(5000, 9000))[0]) == 0  # many, and none of them in the index


def test_small_and_empty(kind):
    index = kind(2)
    assert index.search([1, 0], 5)[0].tolist() == []  # hnswlib raises here
    index.remove([1, 2])
    index.add([], np.empty((0, 2)))
    index.add([4, 9], [[1, 0], [0, 1]])
    assert index.search([0, 1], 5)[0].tolist() == [9, 4]  # and here
    index.remove([9, 9])
    index.remove([9])  # hnswlib raises when a label is marked twice
    assert index.search([0, 1], 5)[0].tolist() == [4]
    index.remove([4])
    assert len(index) == 0
    assert index.search([0, 1], 5)[0].tolist() == []
    index.add([4], [[0, 1]])  # hnswlib refuses a label that it holds as deleted
    assert index.search([0, 1], 5)[1].tolist() == [1]


def test_allowed_and_large_k_are_exact(kind, vectors):
    graph, exact = pair(kind, np.arange(1, 3001), vectors)
    for query in clustered(20, seed=3):
        allowed = np.arange(5, 3000, 50)
        for arguments in ((10, allowed), (3000, None), (1000, None), (99999, None)):
            got, expected = graph.search(query, *arguments), exact.search(query, *arguments)
            assert got[0].tolist() == expected[0].tolist()
            assert got[1].tolist() == expected[1].tolist()


def test_a_graph_that_reaches_too_few_falls_back(kind, vectors):
    graph, exact = pair(kind, np.arange(1, 3001), vectors)
    # behind its back: two live vectors are fewer than it is asked for
    graph._take_out(graph._graph, np.arange(1, 2999))
    assert graph.search(vectors[0], 10)[0].tolist() == exact.search(vectors[0], 10)[0].tolist()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros(31), r"the query has shape \(31,\): expected \(32,\)"),  # hnswlib reads beyond the end
        (np.zeros((1, 32)), "the query has shape"),
        (np.full(32, np.nan), "holds nan"),
        (np.array(["x"] * 32), "dtype"),
    ],
)
def test_refused_queries(kind, vectors, query, message):
    graph, _ = pair(kind, np.arange(100), vectors[:100])
    with pytest.raises(DataError, match=message):
        graph.search(query, 1)
    with pytest.raises(ConfigError, match="k is 0"):
        graph.search(vectors[0], 0)


def test_a_refused_add_changes_nothing(kind, vectors):
    graph, _ = pair(kind, np.arange(100), vectors[:100])
    for rowids, rows in (
        ([100, 100], vectors[:2]),  # hnswlib would keep one of them
        ([5], vectors[:1]),
        ([-1], vectors[:1]),
        ([100], vectors[:1, :5]),
        ([100], vectors[:1] * np.inf),
    ):
        with np.errstate(all="ignore"), pytest.raises(DataError):
            graph.add(rowids, rows)
    assert len(graph) == 100
    assert held(graph) == 100


def test_a_failure_of_the_library_during_an_add_changes_nothing(kind, vectors, monkeypatch):
    graph, exact = pair(kind, np.arange(100), vectors[:100])
    insert = graph._insert

    def half(built, labels, rows):
        insert(built, labels[: len(labels) // 2], rows[: len(labels) // 2])
        monkeypatch.setattr(graph, "_insert", insert)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(graph, "_insert", half)
    with pytest.raises(RuntimeError, match="out of memory"):
        graph.add(np.arange(100, 200), vectors[100:200])
    assert graph.rowids.tolist() == list(range(100))
    assert held(graph) == 100
    graph.add(np.arange(100, 200), vectors[100:200])
    assert graph.search(vectors[150], 1)[0].tolist() == [150]
    assert len(exact) == 100


@needs_hnswlib
def test_capacity_doubles(vectors):
    graph = HnswIndex(32)
    for start in range(0, 3000, 300):
        graph.add(np.arange(start, start + 300), vectors[start : start + 300])
    assert graph._graph.get_max_elements() == 4096
    assert [graph.search(vectors[i], 1)[0][0] for i in range(0, 3000, 100)] == list(range(0, 3000, 100))


def test_the_same_documents_give_the_same_answers(kind, vectors):
    one, _ = pair(kind, np.arange(3000), vectors)
    two = kind(32)
    for start in range(0, 3000, 70):
        two.add(np.arange(start, min(start + 70, 3000)), vectors[start : start + 70])
    for query in clustered(100, seed=5):
        assert [part.tolist() for part in one.search(query, 10)] == [part.tolist() for part in two.search(query, 10)]


steps = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(0, 60), unique=True, max_size=25)), min_size=1, max_size=10
)


@given(steps, st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_any_sequence_of_writes(kind, steps, k):
    rows = clustered(61, 4, 61)
    graph, exact = kind(4), ExactIndex(4)
    for adding, rowids in steps:
        if adding:
            new = np.setdiff1d(np.array(rowids, np.int64), exact.rowids)
            for index in (graph, exact):
                index.add(new, rows[new].reshape(-1, 4))
        else:
            for index in (graph, exact):
                index.remove(np.array(rowids, np.int64))
        assert graph.rowids.tolist() == exact.rowids.tolist()
        found, scores = graph.search(rows[0], k)
        wanted, best = exact.search(rows[0], k)
        assert (found.tolist(), scores.tolist()) == (wanted.tolist(), best.tolist())  # so few that none is missed


def test_save_and_load(kind, tmp_path, vectors, capfd):
    graph, _ = pair(kind, np.arange(1, 3001), vectors)
    graph.remove(np.arange(1, 3001, 10))
    assert kind.load(tmp_path, 5, d_in=32) is None
    graph.save(tmp_path, 5)
    facts = json.loads((tmp_path / f"{kind.extra}.json").read_text())
    assert set(facts) == {
        "generation",
        "count",
        "removed",
        "last_row",
        "epoch",
        "nodes",
        "effort",
        "recall",
        "tested",
        "d_in",
        "M",
        "ef_construction",
        "radius",
        *(("hnswlib",) if kind is HnswIndex else ("usearch", "dtype")),
        "format_version",
        "sha256",
        "sizes",
        "crc32",
    }
    again = kind.load(tmp_path, 5, d_in=32)
    assert len(again) == 2700
    for query in clustered(50, seed=6):
        assert [part.tolist() for part in again.search(query, 10)] == [
            part.tolist() for part in graph.search(query, 10)
        ]
    again.add([3001], vectors[:1] * -1)  # a loaded graph is full: it has to grow
    again.remove([3001, 12])
    assert again.search(vectors[11], 1)[0].tolist() != [12]
    again.save(tmp_path, 6)
    assert kind.load(tmp_path, 5, d_in=32) is None
    assert len(kind.load(tmp_path, None, d_in=32)) == 2699
    assert kind.load(tmp_path, 6, d_in=31) is None  # both libraries load a wrong width without a word
    assert capfd.readouterr() == ("", "")  # and has a word to say when an initialised index is loaded into


def test_damaged_caches_are_refused(kind, tmp_path, vectors):
    graph, _ = pair(kind, np.arange(100), vectors[:100])
    graph.save(tmp_path, 1)
    for name in (f"{kind.extra}.bin", f"{kind.extra}.json", "vectors.npy", "cache.json"):
        path = tmp_path / name
        good = path.read_bytes()
        contents = [b"", good[: len(good) // 2], b"{}"]
        if name.endswith(".bin"):
            contents += [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in (0, len(good) // 2, len(good) - 1)]
        for content in contents:
            path.write_bytes(content)
            assert kind.load(tmp_path, 1, d_in=32) is None
        path.unlink()
        assert kind.load(tmp_path, 1, d_in=32) is None
        path.write_bytes(good)
    for key, value in ((kind.module, "0.7.0"), ("M", 32), ("ef_construction", 100), ("generation", 2), ("count", 99),
                       ("removed", [1]), ("format_version", 1)):  # fmt: skip
        path = tmp_path / f"{kind.extra}.json"
        good = path.read_bytes()
        facts = {**read_sidecar(path), key: value}
        crc = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
        path.write_text(json.dumps({**facts, "crc32": crc}))
        assert kind.load(tmp_path, 1, d_in=32) is None
        path.write_bytes(good)
    assert len(kind.load(tmp_path, 1, d_in=32)) == 100
    ExactIndex(32).save(tmp_path, 1)  # the vectors of another index beside the graph
    assert kind.load(tmp_path, 1, d_in=32) is None


@needs_hnswlib
def test_a_graph_that_hnswlib_could_not_write_whole(tmp_path, vectors, monkeypatch):
    """hnswlib 0.8.0 returns normally from save_index when the disk is full."""
    graph, _ = pair(HnswIndex, np.arange(100), vectors[:100])
    graph.save(tmp_path, 1)

    class FullDisk:
        def __init__(self, real):
            self._real = real

        def __getattr__(self, name):
            return getattr(self._real, name)

        def save_index(self, path):
            self._real.save_index(path)
            with open(path, "rb+") as file:
                file.truncate(1000)

    monkeypatch.setattr(graph, "_graph", FullDisk(graph._graph))
    with pytest.raises(StorageError, match="No space left"):
        graph.save(tmp_path, 2)
    assert not list(tmp_path.glob(".*.tmp"))
    assert HnswIndex.load(tmp_path, 2, d_in=32) is None


def test_searching_while_others_add_and_remove(kind, vectors):
    graph, exact = pair(kind, np.arange(1000), vectors[:1000])
    everything = ExactIndex(32)
    everything.add(np.arange(3000), vectors)
    query = clustered(1, seed=8)[0]
    reference = dict(zip(*(part.tolist() for part in everything.search(query, 3000)), strict=True))
    errors, done = [], threading.Event()

    def search():
        try:
            while not done.is_set():
                found, scores = graph.search(query, 20)
                assert len(found) == 20
                assert all(reference[row] == score for row, score in zip(found.tolist(), scores.tolist(), strict=True))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(1000, 3000, 100):
        graph.add(np.arange(start, start + 100), vectors[start : start + 100])
        graph.remove(np.arange(start - 1000, start - 960))
    done.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(exact) == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_library(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, kind.module, None)
    for call in (lambda: kind(8), lambda: kind.load("nowhere", 1, d_in=8)):
        with pytest.raises(MissingExtraError, match=rf"pip install 'steersearch\[{kind.extra}\]'"):
            call()


def test_importing_does_not_import_the_libraries():
    code = (
        "import sys, steersearch.runtime.search.backends\n"
        "sys.exit(bool({'hnswlib', 'usearch', 'numkong'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
