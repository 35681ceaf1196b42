"""An index in a forked child, in a pickle and in a deep copy is opened again, and nothing of the parent is touched."""

import copy
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

from steersearch.errors import IndexFolderError, IndexLockedError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.store.documents import DocumentStore

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_child(work, *, seconds=30, at_exit=os._exit):
    """Run `work` in a forked child and return what it returns, or its error as text; fail if it hangs."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            try:
                answer = work()
            except BaseException as error:
                answer = f"{type(error).__name__}: {error}"
            os.write(writing, pickle.dumps(answer))
            os.close(writing)
        finally:
            at_exit(0)
    os.close(writing)
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reading)
            pytest.fail(f"the child hung for {seconds} s")
        time.sleep(0.005)
    with open(reading, "rb") as pipe:
        return pickle.loads(pipe.read())


@forks
@pytest.mark.parametrize("view", ["dense", "words", "latent"])
def test_a_child_searches_and_writes_as_any_process(tiny_index, tiny_bundle, view):
    query = "an exception is raised"
    expected = [hit.id for hit in tiny_index.search(query, 5, view=view)]

    def work():
        found = [hit.id for hit in tiny_index.search(query, 5, view=view)]
        tiny_index.add(["of the child"], ids=["child"])
        tiny_index.close()
        return found, "child" in SteerableIndex.open(tiny_index.path, bundle=tiny_index.bundle)

    assert in_child(work) == (expected, True)
    assert "child" in tiny_index
    tiny_index.add(["of the parent"], ids=["parent"])
    assert tiny_index.verify(sample=0).ok


@forks
def test_a_child_of_a_bundle_with_threads_does_not_wait_for_them(tiny_bundle, tmp_path):
    bundle = Bundle.load(tiny_bundle, threads=2)
    expected = bundle.embed_documents(["a number"]), bundle.decode(*bundle.encode(unit(1)))
    found = in_child(lambda: (bundle.embed_documents(["a number"]), bundle.decode(*bundle.encode(unit(1)))))
    assert [part.tolist() for part in found] == [part.tolist() for part in expected]


@forks
def test_a_fork_while_another_thread_searches(tiny_index):
    """The thread is inside SQLite, NumPy or onnxruntime, and holds a lock or two, which the child inherits."""
    stop = threading.Event()

    def search():
        n = 0
        while not stop.is_set():
            n += 1
            tiny_index.search(f"number {n}", 5, view=("dense", "words", "latent")[n % 3], filter={"number": n % 9})

    thread = threading.Thread(target=search)
    thread.start()
    try:
        for _ in range(15):
            assert in_child(lambda: len(tiny_index.search("raised", 5)), seconds=20) == 5
    finally:
        stop.set()
        thread.join()


@forks
def test_a_fork_in_the_middle_of_writing(tiny_index):
    """The child competes for the lock as any other process, and leaves that of its parent alone."""
    found = []

    def fork(done, total):
        def work():
            try:
                tiny_index.add(["of the child"], ids=["child"])
            except IndexLockedError as error:
                return str(error)

        found.append(in_child(work))
        assert (tiny_index.path / "writer.json").exists()

    tiny_index.add(["of the parent"], ids=["parent"], progress=fork)
    assert len(found) == 1
    assert "another process is writing" in found[0]
    assert "parent" in tiny_index
    assert "child" not in tiny_index


@forks
def test_what_a_child_leaves_when_it_ends_as_python_does(tiny_index, tmp_path):
    """The parent's connection is not closed at the end of the child: SQLite would remove the log."""
    tiny_index.add(["x"], ids=["x"])
    log = tiny_index.path / "documents.sqlite-wal"
    size = log.stat().st_size
    assert size
    # Not os._exit: modules are cleared and objects freed, in a child of this child, whose end is not that of pytest.
    code = f"""if True:
        import os, sys, time
        from steersearch.runtime import SteerableIndex
        index = SteerableIndex.open({str(tiny_index.path)!r})
        index.search("raised", 1)
        child = os.fork()
        if child == 0:
            sys.exit(0)
        for _ in range(1000):
            if os.waitpid(child, os.WNOHANG) != (0, 0):
                break
            time.sleep(0.01)
        else:
            os.kill(child, 9)
            sys.exit("the child hung")
        index.add(["y"], ids=["y"])
    """
    import subprocess
    import sys

    # Even a child that only imports onnxruntime waits at its end for the thread of its telemetry.
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)
    assert {"x", "y"} <= {*tiny_index.documents()[0]}
    assert log.stat().st_size >= size


@forks
def test_a_store_alone_says_what_to_do(tmp_path):
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=4, meta={}) as store:
        assert in_child(lambda: len(store)).endswith("was opened before this process was forked: open it again here")
        assert len(store) == 0
        assert in_child(store.close) is None


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_are_opened_again(tiny_index, copied):
    query = tiny_index.bundle.embed_query("raised")
    expected = [(hit.id, hit.score) for hit in tiny_index.search(query, 5)]
    with copied(tiny_index) as again:
        assert again is not tiny_index
        assert again._store is not tiny_index._store
        assert [(hit.id, hit.score) for hit in again.search(query, 5)] == expected
    assert len(tiny_index) == 60  # the original is still open
    assert copied(tiny_index.bundle).embed_query("raised").tolist() == query.tolist()


def test_a_copy_has_the_options_of_its_original(tiny_index, tiny_bundle):
    bundle = Bundle.load(tiny_bundle, threads=1, profile="lean")
    tiny_index.save()
    with SteerableIndex.open(tiny_index.path, bundle=bundle, readonly=True, backend="exact") as index:
        with pickle.loads(pickle.dumps(index)) as again:
            assert (again._readonly, again._backend) == (True, "exact")
            assert (again.bundle.profile, again.bundle._threads) == ("lean", 1)
            assert again._store.readonly


def test_a_pickle_of_a_folder_that_is_gone(tiny_index, tmp_path):
    import shutil

    pickled = pickle.dumps(tiny_index)
    tiny_index.close()
    shutil.rmtree(tiny_index.path)
    with pytest.raises(IndexFolderError, match="is not an index"):
        pickle.loads(pickled)


def test_a_retriever_and_a_store_are_copied_by_their_path(tiny_index):
    pytest.importorskip("langchain_core")
    from steersearch.integrations.langchain import SteerableRetriever

    retriever = SteerableRetriever(index=tiny_index, k=3, boost={"f3": 1.0})
    expected = [document.id for document in retriever.invoke("raised")]
    for again in (copy.deepcopy(retriever), pickle.loads(pickle.dumps(retriever))):
        assert [document.id for document in again.invoke("raised")] == expected
        again.index.close()
