"""Many readers and one writer, in threads and in processes."""

import json
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from steersearch.errors import SteersearchError
from steersearch.runtime import SteerableIndex

N, K = 400, 5


def unit(n, seed):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(index, vectors, name="d"):
    names = [f"{name}{i}" for i in range(len(vectors))]
    index.add(names, ids=names, metadata=[{"third": i % 3} for i in range(len(names))], embeddings=vectors)


@pytest.fixture(params=["exact", "hnsw", "usearch"])
def index(request, opened_bundle, tmp_path):
    pytest.importorskip({"hnsw": "hnswlib", "usearch": "usearch"}.get(request.param, "numpy"))
    with SteerableIndex.create(tmp_path / "index", opened_bundle, backend=request.param) as made:
        fill(made, unit(N, 0))
        yield made


def found(index, query, **options):
    return [(hit.rank, hit.id, hit.score, hit.text) for hit in index.search(query, K, **options)]


def test_ten_thousand_searches_in_threads_are_those_of_one(index):
    queries = unit(500, 1)
    kinds = [{}, {"filter": {"third": 1}}, {"boost": {3: 1.0}}, {"view": "latent"}]
    serial = [found(index, query, **kinds[i % 4]) for i, query in enumerate(queries)]

    def work(i):
        return found(index, queries[i % 500], **kinds[i % 500 % 4]) == serial[i % 500]

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(10_000), chunksize=25)) == 10_000


def test_threads_that_search_while_one_writes_see_whole_states(index):
    """The writer adds and removes a set of documents that are nearer to every query than all others, five at a time."""
    query = unit(1, 2)[0]
    without = found(index, query)
    near = np.tile(query, (K, 1))
    states = [[], ["near0", "near1", "near2", "near3", "near4"]]
    stop, wrong, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            hits = found(index, query)
            ids = [id for _, id, _, _ in hits]
            if ids == states[1]:
                seen.add("with")
            elif hits == without:
                seen.add("without")
            else:
                wrong.append(hits)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            fill(index, near, "near")
            index.update_metadata(["d1"], [{"third": 1}])
            assert index.delete(states[1]) == K
        index.compact()
        fill(index, near, "near")
        assert [id for _, id, _, _ in found(index, query)] == states[1]
        index.delete(states[1])
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert wrong == []
    assert seen == {"with", "without"}
    assert found(index, query) == without


READER = """
    import json, sys
    import numpy as np
    from steersearch.runtime import SteerableIndex
    query = np.array(json.loads(sys.argv[3]), np.float32)
    with SteerableIndex.open(sys.argv[1], bundle=sys.argv[2], readonly=True) as index:
        for line in sys.stdin:
            print(json.dumps([hit.id for hit in index.search(query, 3, filter=json.loads(line))]), flush=True)
"""


def test_readers_in_other_processes_see_what_is_committed_also_during_compaction(index):
    query = unit(1, 3)[0]
    command = [sys.executable, "-c", textwrap.dedent(READER), index.path, index.bundle.path, json.dumps(query.tolist())]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    def ask(filter=None):
        for reader in readers:
            reader.stdin.write(json.dumps(filter) + "\n")
            reader.stdin.flush()
        answers = [json.loads(reader.stdout.readline()) for reader in readers]
        assert answers[0] == answers[1]
        return answers[0]

    try:
        first = ask()
        assert first == [hit.id for hit in index.search(query, 3)]
        fill(index, query[None], "best")
        assert ask() == ["best0", *first[:2]]
        index.update_metadata(["best0"], [{"third": "new"}])
        assert ask({"third": "new"}) == ["best0"]
        index.delete(["best0"])
        assert ask() == first
        assert ask({"third": "new"}) == []
        answers, done = [], threading.Event()

        def keep_asking():
            while not done.is_set():
                answers.append(ask())

        thread = threading.Thread(target=keep_asking)
        thread.start()
        try:
            for _ in range(5):
                index.compact()
        finally:
            done.set()
            thread.join(60)
        assert len(answers) > 1
        assert all(answer == first for answer in answers)
    finally:
        for reader in readers:
            reader.stdin.close()
            reader.stdout.close()
            reader.wait(30)


def test_a_stream_that_searches_the_index_it_goes_into_while_others_compact_and_save(index):
    """Locks are taken in one order: this ends."""
    queries, stop = unit(1200, 4), threading.Event()

    def documents():
        for i, query in enumerate(queries):
            if i % 100 == 0:
                assert index.search(query, 1)
            yield f"s{i}", f"text {i}", {}

    def care():
        while not stop.is_set():
            index.save()
            index.search(queries[0], 1, view="latent")
            index.compact()

    threads = [threading.Thread(target=care, daemon=True) for _ in range(2)]
    adding = threading.Thread(target=index.add_from, args=(documents(),), daemon=True)
    for thread in [*threads, adding]:
        thread.start()
    adding.join(100)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in [*threads, adding])
    assert len(index) == N + len(queries)


def test_two_writers_in_threads_lose_nothing(index):
    """Two open indexes of one folder: a refused call changes nothing and says so, an accepted one stays."""
    accepted, unexpected = [], []

    def work(name):
        with SteerableIndex.open(index.path, bundle=index.bundle) as mine:
            for i in range(20):
                while f"{name}{i}" not in accepted:  # a refused call is made again
                    try:
                        mine.add([f"{name}{i}"], ids=[f"{name}{i}"], embeddings=unit(1, i))
                        accepted.append(f"{name}{i}")
                    except SteersearchError as error:
                        if "another process is writing" not in str(error):
                            unexpected.append(error)
                            return
                        time.sleep(0.001)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("x", "y", "z")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert unexpected == []
    assert len(accepted) == 60
    assert len(index) == N + len(accepted)
    assert all(id in index for id in accepted)
    assert index.verify(sample=0).ok
