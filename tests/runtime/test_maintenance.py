"""Streaming in, changing metadata, compacting, figures: what an index does beside searching."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from steersearch.errors import ConfigError, DataError, IndexLockedError, StorageError
from steersearch.runtime import Added, SteerableIndex

WORDS = ["integer", "module", "exception", "class", "import", "number", "error", "name", "value", "list"]


def made_up(n, first=0):
    """Documents of made-up texts, all different."""
    for i in range(first, first + n):
        words = [WORDS[(i // 10**place) % 10] for place in range(5)]
        yield f"doc-{i}", f"The {' '.join(words)} number {i}.", {"i": i}


@pytest.fixture
def index(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as made:
        yield made


@pytest.fixture
def counted(monkeypatch, opened_bundle):
    """The texts that are embedded from here on."""
    texts, embed = [], opened_bundle.embed_documents
    monkeypatch.setattr(
        opened_bundle, "embed_documents", lambda some, **options: texts.extend(some) or embed(some, **options)
    )
    return texts


def test_vectors_by_id(index, opened_bundle):
    assert index.vectors([]) == []
    texts = ["An exception is raised.", "A module is imported."]
    index.add(texts, ids=["a", "b"])
    one, nothing, other, again = index.vectors(["b", "nobody", "a", "b"])
    assert nothing is None
    assert one.tobytes() == again.tobytes()
    rows = opened_bundle.embed(texts)
    assert abs(other - rows[0]).max() < 1e-6
    assert abs(one - rows[1]).max() < 1e-6
    with pytest.raises(DataError, match="ids"):
        index.vectors("a")


def test_a_stream_goes_in_and_only_what_is_new_is_embedded(index, counted):
    seen = []
    assert index.add_from(made_up(1100), total=1100, progress=lambda *done: seen.append(done)) == Added(1100, 0, 0)
    assert seen == [(512, 1100), (1024, 1100), (1100, 1100)]
    assert len(index) == 1100
    assert (index.path / "cache" / "cache.json").exists()  # so that the first search is quick
    assert index.search("The integer integer integer integer integer number 0.", 1)[0].id == "doc-0"
    counted.clear()
    assert index.add_from(made_up(1110)) == Added(10, 0, 1100)
    assert len(counted) == 10
    changed = [("doc-1", "another text", {"i": 1}), ("doc-2", next(made_up(1, 2))[1], {"i": -2}), *made_up(1, 3)]
    assert index.add_from(changed) == Added(1, 1, 1, replaced=1)
    assert [record.metadata for record in index.get(["doc-1", "doc-2"])] == [{"i": 1}, {"i": -2}]
    assert index.get(["doc-1"])[0].text == "another text"
    assert index.add_from([]) == Added()
    assert index.add_from([("x", "first", {}), ("x", "second", {})]) == Added(1, 0, 0, replaced=1)
    assert index.get(["x"])[0].text == "second"


def test_add_embeds_nothing_twice_and_takes_given_embeddings_always(index, counted):
    texts = [text for _, text, _ in made_up(3)]
    index.add(texts, ids=["a", "b", "c"], metadata=[{"n": 1}] * 3)
    before, generation = index.search(texts[0], 3), index.stats().generation
    counted.clear()
    assert index.add(texts, ids=["a", "b", "c"], metadata=[{"n": True}, {"n": 1}, {"n": 1.0}]) == ["a", "b", "c"]
    assert counted == []
    # 1, 1.0 and True are equal in Python and different in JSON
    assert [repr(record.metadata["n"]) for record in index.get(["a", "b", "c"])] == ["True", "1", "1.0"]
    assert [(hit.id, hit.score) for hit in index.search(texts[0], 3)] == [(hit.id, hit.score) for hit in before]
    assert index.stats().generation == generation
    rows = index.bundle.embed(texts[::-1])
    index.add(texts, ids=["a", "b", "c"], embeddings=rows)
    assert index.search(rows[0], 1)[0].id == "a"


def test_a_bad_document_stops_the_stream_and_what_came_before_stays(index):
    def broken():
        yield from made_up(600)
        yield "bad", 7, {}

    with pytest.raises(DataError, match=r"document 600 has the text 7 \(int\)"):
        index.add_from(broken())
    assert len(index) == 512


MEMORY = """
    import resource, sys
    from steersearch.runtime import SteerableIndex
    peaks = {}
    def peak(done, total):
        peaks[done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with SteerableIndex.create(sys.argv[1], sys.argv[2]) as index:
        documents = ((str(i), f"{i} " + "some words " * 1000, {"x": "y" * 1000}) for i in range(8192))
        index.add_from(documents, progress=peak)
    print(peaks[2048], peaks[8192])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_memory_does_not_grow_with_the_stream(tiny_bundle, tmp_path):
    """96 MB of text and metadata go through."""
    code = textwrap.dedent(MEMORY)
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "index", tiny_bundle], capture_output=True, text=True)
    early, late = map(int, done.stdout.split())
    assert late - early < 25_000, done.stdout  # kilobytes; three quarters of the stream are 72 MB


def test_update_metadata_needs_no_embedding(index, counted):
    index.add_from(made_up(20))
    counted.clear()
    index.update_metadata(["doc-3", "doc-4"], [{"lang": "en"}, {"i": "x"}])
    index.update_metadata(["doc-5"], [{"only": 1}], replace=True)
    assert counted == []
    assert [record.metadata for record in index.get(["doc-3", "doc-4", "doc-5"])] == [
        {"i": 3, "lang": "en"},
        {"i": "x"},
        {"only": 1},
    ]
    assert [hit.id for hit in index.search("integer", 5, filter={"lang": "en"})] == ["doc-3"]
    assert [hit.metadata for hit in index.search("integer", 5, filter={"only": 1})] == [{"only": 1}]
    with pytest.raises(DataError, match="there is no document 'nobody'"):
        index.update_metadata(["doc-1", "nobody"], [{"a": 1}, {"a": 1}])
    assert index.get(["doc-1"])[0].metadata == {"i": 1}


@pytest.mark.parametrize("backend", ["exact", "hnsw", "usearch"])
def test_compact_keeps_every_answer_and_shrinks_the_folder(opened_bundle, tmp_path, backend):
    pytest.importorskip({"hnsw": "hnswlib", "usearch": "usearch"}.get(backend, "numpy"))
    with SteerableIndex.create(tmp_path / "index", opened_bundle, backend=backend) as index:
        index.add_from((id, text + " " * 3000, metadata) for id, text, metadata in made_up(600))
        index.save()
        index.delete([f"doc-{i}" for i in range(100, 600)])
        queries = [text for _, text, _ in made_up(20)]
        before = [[(hit.id, hit.score, hit.text) for hit in index.search(query, 5)] for query in queries]
        stats = index.stats()
        assert stats.free_bytes > 1_000_000
        assert (stats.documents, stats.backend, stats.cached) == (100, backend, False)
        assert index.compact() > 1_000_000
        assert [[(hit.id, hit.score, hit.text) for hit in index.search(query, 5)] for query in queries] == before
        assert (index.stats().free_bytes, index.stats().cached) == (0, True)
        assert index.verify().ok
    with SteerableIndex.open(tmp_path / "index", backend=backend, readonly=True) as again:
        assert [[(hit.id, hit.score, hit.text) for hit in again.search(query, 5)] for query in queries] == before
        with pytest.raises(StorageError, match="opened read-only"):
            again.compact()
        with pytest.raises(StorageError, match="opened read-only"):
            again.add_from(made_up(1))


def test_stats(index, tiny_bundle):
    index.add_from(made_up(7))
    index.delete(["doc-1"])
    stats = index.stats()
    assert (stats.documents, stats.generation, stats.d_in, stats.n_latents, stats.k) == (6, 2, 32, 64, 8)
    assert (stats.bundle, stats.writer, stats.cached) == (str(tiny_bundle), None, False)
    index.save()
    files = [path for path in index.path.rglob("*") if path.is_file()]
    stats = index.stats()
    assert stats.cached
    assert stats.cache_bytes == sum(path.stat().st_size for path in files if path.parent.name == "cache")
    assert stats.cache_bytes + stats.database_bytes == sum(path.stat().st_size for path in files)


def test_caches_that_are_right_are_not_written_again(tiny_index):
    tiny_index.search("x", 1)
    path = tiny_index.path
    tiny_index.close()
    written = {file: file.stat().st_ino for file in (path / "cache").iterdir()}
    with SteerableIndex.open(path) as again:
        again.search("x", 1)
    assert {file: file.stat().st_ino for file in (path / "cache").iterdir()} == written


def test_a_long_add_refuses_other_writers_from_its_first_document_to_its_last(index):
    with SteerableIndex.open(index.path, bundle=index.bundle) as other:

        def documents():
            for i, document in enumerate(made_up(1100)):
                if i in (0, 600):
                    assert other.stats().writer == index.stats().writer
                    assert index.stats().writer.startswith(f"process {os.getpid()} on ")
                    with ThreadPoolExecutor() as pool:  # another thread does not wait for the end of the stream
                        assert pool.submit(index.stats).result(30).writer == index.stats().writer
                    for call in (
                        lambda: other.add(["x"]),
                        lambda: other.delete(["doc-1"]),
                        lambda: other.update_metadata(["doc-1"], [{}]),
                        other.compact,
                        lambda: other.add_from([]),
                    ):
                        with pytest.raises(IndexLockedError, match=r"another process is writing to .*\(process \d+ on"):
                            call()
                    assert len(other) == (512 if i else 0)  # readers see what is committed
                yield document

        index.add_from(documents())
        assert index.stats().writer is None
        other.add(["now it is free"])
        assert len(index) == 1101


def test_bad_sample(index):
    index.add_from(made_up(3))
    with pytest.raises(ConfigError, match="sample is -1"):
        index.verify(sample=-1)
