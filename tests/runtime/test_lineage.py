"""Caches of another index are never believed, however alike its row ids, its size and its newest documents are."""

import os
import shutil

import numpy as np
import pytest

from steersearch.errors import IndexFolderError
from steersearch.runtime import SteerableIndex

N = 200
VIEWS = ("dense", "latent", "words", "hybrid", "reconstruction")
BACKENDS = ("exact", "hnsw", "usearch")


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS = unit(N)
EDITED = unit(1, 99)[0]


def fill(index, *, edited=False, name="zebra"):
    """Two hundred documents; with `edited` one of them, far from the newest ones, has another text and vector."""
    texts, vectors = [f"a text about number {i}" for i in range(N)], VECTORS.copy()
    if edited:
        texts[7], vectors[7] = f"{name} alone", EDITED
    index.add(texts, ids=[str(i) for i in range(N)], embeddings=vectors)


def search_all(index):
    """Search every view, so that every view has a cache."""
    return {view: index.search(EDITED, 3, view=view, text="zebra number") for view in VIEWS}


def check_answers(path, bundle, backend):
    """Compare the answers with those of an index that was built from the stored documents, without any cache."""
    with SteerableIndex.open(path, bundle=bundle, backend=backend, readonly=True) as index:
        found = search_all(index)
    bare = path.with_name(f"{path.name}-bare")
    bare.mkdir()
    for name in ("documents.sqlite", "commits"):
        shutil.copy(path / name, bare / name)
    with SteerableIndex.open(bare, bundle=bundle, backend=backend, readonly=True) as index:
        expected = search_all(index)
    assert found == expected
    return found


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param != "exact":
        pytest.importorskip({"hnsw": "hnswlib", "usearch": "usearch"}[request.param])
    return request.param


def make(path, bundle, backend, **changes):
    with SteerableIndex.create(path, bundle, backend=backend) as index:
        fill(index, **changes)
        search_all(index)
    assert (path / "cache" / "words.json").exists()
    return path


def test_the_same_documents_again_with_one_edited_under_the_old_caches(tmp_path, opened_bundle, backend):
    old = make(tmp_path / "old", opened_bundle, backend)
    new = make(tmp_path / "new", opened_bundle, backend, edited=True)
    shutil.rmtree(new / "cache")
    shutil.copytree(old / "cache", new / "cache")
    found = check_answers(new, opened_bundle, backend)
    assert [found[view][0].id for view in ("dense", "latent", "words")] == ["7"] * 3


def test_only_the_database_copied_over_an_old_folder(tmp_path, opened_bundle, backend):
    old = make(tmp_path / "old", opened_bundle, backend)
    new = make(tmp_path / "new", opened_bundle, backend, edited=True)
    for name in ("documents.sqlite", "commits"):
        shutil.copy(new / name, old / name)
    found = check_answers(old, opened_bundle, backend)
    assert [found[view][0].id for view in ("dense", "latent", "words")] == ["7"] * 3


def test_two_copies_of_a_folder_that_were_edited_differently(tmp_path, opened_bundle, backend):
    one = make(tmp_path / "one", opened_bundle, backend)
    two = shutil.copytree(one, tmp_path / "two")
    for path, name in ((one, "zebra"), (two, "giraffe")):
        with SteerableIndex.open(path, bundle=opened_bundle, backend=backend) as index:
            index.add([f"{name} alone"], ids=["7"], embeddings=(EDITED if path == one else -EDITED)[None])
            # The newest 64 documents of both copies are the same.
            index.add([f"later text {i}" for i in range(70)], embeddings=unit(70, 5), ids=[f"l{i}" for i in range(70)])
            search_all(index)
    assert check_answers(two, opened_bundle, backend)["words"][0].id != "7"
    for name in ("documents.sqlite", "commits"):
        shutil.copy(one / name, two / name)
    shutil.rmtree(tmp_path / "two-bare")
    found = check_answers(two, opened_bundle, backend)
    assert [found[view][0].id for view in ("dense", "latent", "words")] == ["7"] * 3


def test_a_copy_that_was_made_while_its_original_was_being_written(tmp_path, opened_bundle, backend):
    """The original goes on under the same writer; its caches, put beside the copy, are of other documents."""
    with SteerableIndex.create(tmp_path / "one", opened_bundle, backend=backend) as index:
        fill(index)
        index.save()
        two = shutil.copytree(tmp_path / "one", tmp_path / "two")
        index.add(["zebra alone"], ids=["7"], embeddings=-EDITED[None])
        index.add([f"later text {i}" for i in range(70)], embeddings=unit(70, 5), ids=[f"l{i}" for i in range(70)])
        search_all(index)
    with SteerableIndex.open(two, bundle=opened_bundle, backend=backend) as index:
        index.add(["zebra alone"], ids=["7"], embeddings=EDITED[None])
        index.add([f"later text {i}" for i in range(70)], embeddings=unit(70, 5), ids=[f"l{i}" for i in range(70)])
    shutil.rmtree(two / "cache")
    shutil.copytree(tmp_path / "one" / "cache", two / "cache")
    assert check_answers(two, opened_bundle, backend)["dense"][0].id == "7"


def test_a_cache_of_the_same_line_is_used_however_often_it_was_opened(tmp_path, opened_bundle, backend, monkeypatch):
    path = make(tmp_path / "index", opened_bundle, backend)
    monkeypatch.setattr("steersearch.runtime.store.epochs.KEPT", 20)
    for i in range(60):
        with SteerableIndex.open(path, bundle=opened_bundle, backend=backend) as index:
            index.add([f"short {i}"], ids=["short"], embeddings=unit(1, i))
            index.delete(["short"])
            if i % 25 == 24:
                search_all(index)
    calls = []
    monkeypatch.setattr("steersearch.runtime.search.dense.build_index", lambda *args: calls.append(args))
    monkeypatch.setattr("steersearch.runtime.search.backends.build_index", lambda *args: calls.append(args))
    with SteerableIndex.open(path, bundle=opened_bundle, backend=backend, readonly=True) as index:
        search_all(index)
        assert len(index) == N
        assert index._views._views["dense"].index.saved_generation is not None
        for view in ("latent", "words"):
            assert index._views._views[view].index.saved_generation is not None
    assert calls == []
    assert len(index_meta(path)["epochs"]) < 600


def index_meta(path):
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path / "documents.sqlite")) as database:
        return dict(database.execute("SELECT key, value FROM meta"))


def test_a_cache_of_words_with_a_trigger_is_made_again(tmp_path, opened_bundle):
    import hashlib
    import json
    import sqlite3
    import zlib
    from contextlib import closing

    path = make(tmp_path / "index", opened_bundle, "exact")
    words, sidecar = path / "cache" / "words.sqlite", path / "cache" / "words.json"
    with closing(sqlite3.connect(words)) as database:
        database.execute("CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM documents; END")
        database.commit()
    facts = json.loads(sidecar.read_text())
    facts.pop("crc32")
    facts["sha256"]["words.sqlite"] = hashlib.sha256(words.read_bytes()).hexdigest()
    facts["crc32"] = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
    sidecar.write_text(json.dumps(facts))
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        index.add(["zebra"], ids=["zebra"], embeddings=EDITED[None])
        assert len(index.search("number", N, view="words")) == N
        assert index.search("zebra", 3, view="words")[0].id == "zebra"


def test_an_index_of_an_older_version_rebuilds_its_caches_once(tmp_path, opened_bundle, backend):
    import json
    import sqlite3
    import zlib
    from contextlib import closing

    path = make(tmp_path / "index", opened_bundle, backend)
    with closing(sqlite3.connect(path / "documents.sqlite", isolation_level=None)) as database:
        database.execute("DELETE FROM meta WHERE key = 'epochs'")
    for sidecar in (path / "cache").glob("*.json"):
        facts = json.loads(sidecar.read_text())
        for key in ("crc32", "epoch", "last_row"):
            facts.pop(key)
        facts["crc32"] = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
        sidecar.write_text(json.dumps(facts))
    before = {file.name: file.read_bytes() for file in (path / "cache").iterdir()}
    # Opened for reading it is what it was, and its caches are used.
    with SteerableIndex.open(path, bundle=opened_bundle, backend=backend, readonly=True) as index:
        search_all(index)
        assert index._views._views["dense"].index.saved_generation is not None
    assert {file.name: file.read_bytes() for file in (path / "cache").iterdir()} == before
    with SteerableIndex.open(path, bundle=opened_bundle, backend=backend) as index:
        index.add(["new"], ids=["new"], embeddings=EDITED[None])
        search_all(index)
    with SteerableIndex.open(path, bundle=opened_bundle, backend=backend, readonly=True) as index:
        search_all(index)
        assert index._views._views["dense"].index.saved_generation is not None
    check_answers(path, opened_bundle, backend)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not rename a folder with open files")
@pytest.mark.parametrize("away", ["moved", "deleted"])
def test_a_folder_that_was_replaced_is_not_written_to(tmp_path, opened_bundle, backend, caplog, away):
    live = make(tmp_path / "live", opened_bundle, backend)
    new = make(tmp_path / "new", opened_bundle, backend, edited=True)
    index = SteerableIndex.open(live, bundle=opened_bundle, backend=backend)
    index.add(["zebra of the old one"], ids=["old"], embeddings=-EDITED[None])
    search_all(index)
    if away == "moved":
        live.rename(tmp_path / "away")
    else:
        shutil.rmtree(live)
    new.rename(live)
    before = {path: path.read_bytes() for path in live.rglob("*") if path.is_file()}
    for call in (
        lambda: index.add(["lost"], ids=["lost"], embeddings=EDITED[None]),
        lambda: index.delete(["3"]),
        lambda: index.update_metadata(["3"], [{"a": 1}]),
        lambda: index.add_from([("lost", "lost", {})]),
        index.save,
        index.compact,
    ):
        with pytest.raises(IndexFolderError, match=r"was moved, replaced or deleted .* open it again"):
            call()
    # What was read stays readable.
    assert index.search(EDITED, 1)[0].id != "lost"
    index.close()
    assert "left the caches" in caplog.text
    files = {path: path.read_bytes() for path in live.rglob("*") if path.is_file() and path.name != "write.lock"}
    assert files == {path: data for path, data in before.items() if path.name != "write.lock"}
    found = check_answers(live, opened_bundle, backend)
    assert found["dense"][0].id == "7"
    with SteerableIndex.open(live, bundle=opened_bundle, backend=backend) as again:
        again.add(["one more"], ids=["more"], embeddings=-EDITED[None])
    with SteerableIndex.open(live, bundle=opened_bundle, backend=backend, readonly=True) as again:
        assert len(again) == N + 1


@pytest.mark.skipif(os.name == "nt", reason="Windows does not rename a folder with open files")
def test_the_log_of_a_new_folder_survives_the_close_of_the_old_one(tmp_path, opened_bundle):
    """SQLite removes a log by its name when the last connection is closed; the name is that of the new folder."""
    live = make(tmp_path / "live", opened_bundle, "exact")
    new = make(tmp_path / "new", opened_bundle, "exact", edited=True)
    old = SteerableIndex.open(live, bundle=opened_bundle)
    old.add(["text"], ids=["old"], embeddings=EDITED[None])
    live.rename(tmp_path / "away")
    new.rename(live)
    with SteerableIndex.open(live, bundle=opened_bundle) as index:
        index.add(["text"], ids=["kept"], embeddings=EDITED[None])
        old.close()
        copy = tmp_path / "copy"  # as after a kill
        copy.mkdir()
        for file in live.iterdir():
            if file.is_file():
                shutil.copy(file, copy / file.name)
    with SteerableIndex.open(copy, bundle=opened_bundle, readonly=True) as index:
        assert "kept" in index


def test_a_deleted_folder_is_not_made_again(tmp_path, opened_bundle):
    index = SteerableIndex.create(tmp_path / "index", opened_bundle)
    fill(index)
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(IndexFolderError, match="was moved, replaced or deleted"):
        index.add(["lost"], ids=["lost"], embeddings=EDITED[None])
    index.close()
    assert not (tmp_path / "index").exists()


def test_a_database_that_was_restored_in_place_is_searched_anew(tmp_path, opened_bundle, backend):
    """SQLite's own `.restore` keeps the file and changes its content, under an index that is open and has searched."""
    import sqlite3
    from contextlib import closing

    old = make(tmp_path / "old", opened_bundle, backend)
    other = make(tmp_path / "other", opened_bundle, backend, edited=True)
    with SteerableIndex.open(other, bundle=opened_bundle, backend=backend) as index:
        index.delete(["100"])  # another generation
    with SteerableIndex.open(old, bundle=opened_bundle, backend=backend) as index:
        assert search_all(index)["dense"][0].id != "7"
        with (
            closing(sqlite3.connect(other / "documents.sqlite")) as source,
            closing(sqlite3.connect(old / "documents.sqlite")) as target,
        ):
            source.backup(target)
        found = search_all(index)
        assert [found[view][0].id for view in ("dense", "latent", "words")] == ["7"] * 3
