"""Large graphs are built in a thread: searches are exact meanwhile, and nothing that happens then is lost."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from steersearch.runtime import SteerableIndex
from steersearch.runtime.search import graph
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.hnsw import HnswIndex
from steersearch.runtime.search.usearch import UsearchI8Index

N, D = 6_000, 16


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS, QUERIES = unit(N), unit(20, 1)


@pytest.fixture(params=[HnswIndex, UsearchI8Index])
def kind(request):
    pytest.importorskip(request.param.module)
    return request.param


@pytest.fixture
def slow(kind, monkeypatch):
    """Lets the thread insert only when it is told to."""
    go = threading.Event()
    insert = kind._insert

    def waiting(self, built, labels, vectors):
        if threading.current_thread().name == "graph of steersearch":
            go.wait(20)
        insert(self, built, labels, vectors)

    monkeypatch.setattr(kind, "_insert", waiting)
    yield go
    go.set()


def answers(index, **options):
    return [tuple(part.tolist() for part in index.search(q, 10, **options)) for q in QUERIES]


def exact(rowids, vectors):
    index = ExactIndex(D)
    index.add(rowids, vectors)
    return index


def shares_found(index, reference):
    return np.mean([len({*a[0]} & {*b[0]}) / 10 for a, b in zip(answers(index), answers(reference), strict=True)])


def test_searches_are_exact_until_the_graph_is_there(kind, slow):
    index = kind(D)
    index.add(np.arange(N), VECTORS)
    reference = exact(np.arange(N), VECTORS)
    assert index._graph is None
    assert answers(index) == answers(reference)
    assert answers(index, allowed=np.arange(0, N, 3)) == answers(reference, allowed=np.arange(0, N, 3))
    slow.set()
    index.wait_until_built()
    assert index._graph is not None
    assert shares_found(index, reference) > 0.95


def test_what_happens_meanwhile_is_in_the_graph(kind, slow, tmp_path):
    index, reference = kind(D), ExactIndex(D)
    for one in (index, reference):
        one.add(np.arange(N), VECTORS)
    for one in (index, reference):
        one.remove(np.arange(0, N, 10))
        one.add([N + 7], unit(1, 5))
        one.remove([N + 7])
        one.add([N + 8], unit(1, 6))
    assert answers(index) == answers(reference)
    threading.Timer(0.2, slow.set).start()
    index.save(tmp_path, 1)  # waits
    again = kind.load(tmp_path, 1, d_in=D)
    for one in (index, again):
        assert one._graph is not None
        assert one.rowids.tolist() == reference.rowids.tolist()
        assert not {*np.concatenate([a[0] for a in answers(one)]).tolist()} & {*range(0, N, 10), N + 7}
        assert shares_found(one, reference) > 0.95
        assert one.search(unit(1, 6)[0], 1)[0].tolist() == [N + 8]


def test_a_rowid_that_comes_back_with_another_vector(kind, slow):
    index = kind(D)
    index.add(np.arange(N), VECTORS)
    index.remove([5])
    index.add([5], unit(1, 9))
    slow.set()
    index.wait_until_built()
    assert index.search(unit(1, 9)[0], 1)[0].tolist() == [5]
    assert index.search(VECTORS[5], 1)[0].tolist() != [5]


def test_many_new_ones_and_many_removed_ones(kind, slow):
    index = kind(D)
    index.add(np.arange(1000), VECTORS[:1000])
    assert index._graph is not None  # so few are inserted at once
    index.add(np.arange(1000, N), VECTORS[1000:])
    assert index._graph is None
    slow.set()
    index.wait_until_built()
    slow.clear()
    index.remove(np.arange(0, 1800))
    assert index._graph is None
    reference = exact(np.arange(1800, N), VECTORS[1800:])
    assert answers(index) == answers(reference)
    slow.set()
    index.wait_until_built()
    assert shares_found(index, reference) > 0.95


def test_a_thread_gives_the_graph_that_there_would_be_without(monkeypatch):
    pytest.importorskip("hnswlib")
    found = []
    for later in (graph.THREAD_ABOVE, 10**9):
        monkeypatch.setattr(graph, "THREAD_ABOVE", later)
        monkeypatch.setattr(graph, "LOWEST_RECALL", 0)
        index = HnswIndex(D, ef_search=18)  # so few candidates that another graph would miss others
        index.add(np.arange(N), VECTORS)
        index.wait_until_built()
        found.append(answers(index))
    assert found[0] == found[1] != answers(exact(np.arange(N), VECTORS))


def test_a_graph_built_in_a_thread_is_tested_and_built_again(kind, monkeypatch, caplog, tmp_path):
    """Each graph of the thread is tested, also the one with more links, before anybody searches it."""
    monkeypatch.setattr(graph, "LOWEST_RECALL", 1.1)
    monkeypatch.setattr(graph, "THREAD_ABOVE", 500)
    index, reference = kind(D), answers(exact(np.arange(1200), VECTORS[:1200]))
    index.add(np.arange(1200), VECTORS[:1200])
    index.wait_until_built()
    assert [record.message.split(": ")[-1] for record in caplog.records] == [
        "it compares more candidates from now on",
        "it is built again with more links",
        "searches are exact from now on",
    ]
    assert index._graph is not None
    assert index._thread is None
    assert answers(index) == reference
    index.save(tmp_path, 1)
    assert answers(kind.load(tmp_path, 1, d_in=D)) == reference


def test_closing_during_a_test_stops_it(kind, monkeypatch):
    index, here, go = kind(D), threading.Event(), threading.Event()
    scores = kind._scores

    def waiting(self, query):
        here.set()
        go.wait(20)
        return scores(self, query)

    monkeypatch.setattr(kind, "_scores", waiting)
    index.add(np.arange(N), VECTORS)
    assert here.wait(20)
    threading.Timer(0.1, go.set).start()
    index.close()
    assert index._thread is None
    assert index._graph is None
    assert (index._recall, index._tested) == (None, 0)
    assert answers(index) == answers(exact(np.arange(N), VECTORS))


def test_closing_stops_it_and_searches_stay_exact(kind, slow):
    index = kind(D)
    index.add(np.arange(N), VECTORS)
    threading.Timer(0.1, slow.set).start()
    index.close()
    assert index._thread is None
    assert answers(index) == answers(exact(np.arange(N), VECTORS))
    index.wait_until_built()  # and who waits for it nevertheless gets it
    assert index._graph is not None
    assert shares_found(index, exact(np.arange(N), VECTORS)) > 0.95


def test_a_thread_that_fails_says_so_and_leaves_the_exact_search(kind, monkeypatch, caplog):
    def fails(*_):
        raise MemoryError("no room for 6000 vectors")

    with monkeypatch.context() as patched:
        patched.setattr(kind, "_insert", fails)
        index = kind(D)
        index.add(np.arange(N), VECTORS)
        while index._thread is not None:
            time.sleep(0.01)
        assert "no room for 6000 vectors" in caplog.text
        assert answers(index) == answers(exact(np.arange(N), VECTORS))
        with pytest.raises(MemoryError):
            index.wait_until_built()
    index.wait_until_built()
    assert index._graph is not None


def test_many_threads_search_while_it_is_built(kind):
    index, reference = kind(D), answers(exact(np.arange(N), VECTORS))
    index.add(np.arange(N), VECTORS)
    wrong = []

    def search():
        while index._graph is None:
            found = answers(index)
            wrong.extend(a for a, b in zip(found, reference, strict=True) if len({*a[0]} & {*b[0]}) < 5)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    index.wait_until_built()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_index_without_its_cache_answers_at_once_and_saves_the_graph(opened_bundle, tmp_path):
    pytest.importorskip("hnswlib")
    n, rng = graph.THREAD_ABOVE + 200, np.random.default_rng(3)
    rows = rng.standard_normal((n, opened_bundle.d_in)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    path = tmp_path / "index"
    with SteerableIndex.create(path, opened_bundle, backend="hnsw") as index:
        index.add([f"text {i}" for i in range(n)], [f"d{i}" for i in range(n)], embeddings=rows)
    sidecar = path / "cache" / "hnsw.json"
    assert json.loads(sidecar.read_text())["count"] == n
    sidecar.unlink()
    with SteerableIndex.open(path, bundle=opened_bundle, readonly=True) as index:
        assert index.search(rows[7], 1)[0].id == "d7"
        assert not sidecar.exists()
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        assert index.search(rows[7], 1)[0].id == "d7"
    assert json.loads(sidecar.read_text())["count"] == n


ENDS = """
import numpy as np, sys
from steersearch.runtime.search.hnsw import HnswIndex
rows = np.random.default_rng(0).standard_normal((20_000, 256)).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
index = HnswIndex(256)
index.add(np.arange(20_000), rows)
print(index.search(rows[3], 1)[0].tolist(), index._graph)
"""


def test_a_process_that_ends_meanwhile_ends():
    pytest.importorskip("hnswlib")
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[3] None\n", "")
