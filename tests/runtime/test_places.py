"""Where an index is: relative paths, ``~``, folders that cannot be written, modes, and what killed processes leave."""

import logging
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from steersearch.errors import IndexFolderError, IndexLockedError, StorageError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.store.write_lock import WriterLock

unix = pytest.mark.skipif(os.name == "nt", reason="modes and users of Unix")


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(path, bundle, n=5):
    with SteerableIndex.create(path, bundle) as index:
        index.add([f"a text about number {i}" for i in range(n)], ids=[str(i) for i in range(n)], embeddings=unit(n))
        index.search(unit(1)[0], 1)
    return path


def test_a_relative_path_stays_the_same_place_after_chdir(tmp_path, tiny_bundle, monkeypatch):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    make("index", "bundle")
    with SteerableIndex.open("index") as index, SteerableIndex.open("index", bundle="bundle") as other:
        monkeypatch.chdir("elsewhere")
        assert index.path == tmp_path / "index"
        assert index.bundle.path.is_absolute()
        # The graphs of the bundle are opened now.
        assert len(index.search("number 3", 5)) == 5
        index.add(["another"], ids=["new"])
        with index._store.writing(), pytest.raises(IndexLockedError):
            other.add(["second writer"], ids=["second"], embeddings=unit(1))
        index.save()
    assert list(Path().iterdir()) == []
    assert (tmp_path / "index" / "cache").is_dir()


def test_the_home_folder_is_the_same_everywhere(tmp_path, tiny_bundle, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    make("~/index", "~/bundle")
    with SteerableIndex.open("~/index", bundle="~/bundle") as index:
        assert index.path == tmp_path / "index"
    assert Bundle.load("~/bundle").path == tmp_path / "bundle"
    assert not (tmp_path / "~").exists()


@unix
def test_the_umask_decides_who_may_read(tmp_path, opened_bundle):
    for umask, folder_mode, file_mode in ((0o022, 0o755, 0o644), (0o077, 0o700, 0o600), (0o002, 0o775, 0o664)):
        before = os.umask(umask)
        try:
            path = make(tmp_path / oct(umask), opened_bundle)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == folder_mode
        for file in (path / "documents.sqlite", path / "commits", path / "cache" / "vectors.npy"):
            assert file.stat().st_mode & 0o777 == file_mode


@unix
def test_a_copy_made_of_hard_links_is_read_and_neither_name_is_written(tmp_path, opened_bundle, caplog):
    path = make(tmp_path / "index", opened_bundle)
    shutil.copytree(path, tmp_path / "copy", copy_function=os.link)
    for folder in (path, tmp_path / "copy"):
        with SteerableIndex.open(folder, bundle=opened_bundle) as index:
            assert len(index.search("number 3", 9)) == 5
            with pytest.raises(StorageError, match="has a second name, a hard link"):
                index.add(["new"], ids=["new"])
        assert "opened for reading only" in caplog.text
        caplog.clear()
    shutil.copytree(path, tmp_path / "whole")
    with SteerableIndex.open(tmp_path / "whole", bundle=opened_bundle) as index:
        index.add(["new"], ids=["new"])
        assert len(index) == 6


def test_places_where_no_index_can_be_are_one_line(tmp_path, opened_bundle):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone")
    for name, said in (
        ("loop", "leads nowhere|loop"),
        ("nowhere", "leads nowhere"),
        ("x" * 300, "x"),
        ("\0", "cannot"),
    ):
        with pytest.raises((StorageError, IndexFolderError), match=said):
            SteerableIndex.create(tmp_path / name, opened_bundle)
        with pytest.raises(IndexFolderError, match="is not an index"):
            SteerableIndex.open(tmp_path / name)


def test_whoever_makes_an_index_second_is_told_to_open_it(tmp_path, opened_bundle, monkeypatch):
    def replace(source, target):
        """Do what another process did a moment before."""
        monkeypatch.undo()
        make(tmp_path / "index", opened_bundle)
        os.replace(source, target)

    monkeypatch.setattr("steersearch.runtime.store.folder.os.replace", replace)
    with pytest.raises(IndexFolderError, match="made by another process meanwhile: use Steer"):
        SteerableIndex.create(tmp_path / "index", opened_bundle)
    with SteerableIndex.open(tmp_path / "index", bundle=opened_bundle) as index:
        assert len(index) == 5


def test_a_closed_index_says_that_it_is_closed(tmp_path, opened_bundle):
    index = SteerableIndex.create(tmp_path / "index", opened_bundle)
    index.close()
    for use in (lambda: len(index), lambda: index.add(["a"]), lambda: index.get(["a"]), index.stats):
        with pytest.raises(IndexFolderError, match="was closed: open it again"):
            use()


NOBODY = """
import encodings.ascii, os, sys
from steersearch.runtime import Bundle, SteerableIndex
bundle = Bundle.load(sys.argv[1], threads=1)
with SteerableIndex.open(sys.argv[1] + "/../rehearsal", bundle=bundle) as index:
    index.search("number 3", 1, view="hybrid"), index.explain("number", "3")
os.setgroups([]), os.setgid(65534), os.setuid(65534)
"""
"""Becomes a user who owns nothing. What is imported late may be in folders of root, so it is used before."""


def command_of_nobody(code, *arguments):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    return [sys.executable, "-c", NOBODY + textwrap.dedent(code), *map(str, arguments)]


def as_nobody(code, *arguments):
    done = subprocess.run(command_of_nobody(code, *arguments), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def public(tmp_path, tiny_bundle):
    """A folder that everybody may read, with a bundle."""
    # A worker of xdist has one folder more.
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    make(tmp_path / "rehearsal", tmp_path / "bundle")
    subprocess.run(["chmod", "-R", "a+rX", tmp_path], check=True)
    return tmp_path


@unix
def test_the_index_of_somebody_else_is_searched(public, opened_bundle):
    make(public / "index", public / "bundle")
    code = """
        with SteerableIndex.open(sys.argv[2], bundle=bundle) as index:
            print([hit.id for hit in index.search("number 3", 9)], index.explain("number", "3").score > -2)
            try:
                index.delete(["1"])
            except Exception as error:
                print(type(error).__name__, error)
    """
    done = as_nobody(code, public / "bundle", public / "index")
    found, refused = done.stdout.splitlines()
    assert found.count("'") == 10
    assert found.endswith("True")
    assert refused.startswith("StorageError")
    assert "this user cannot write it" in refused
    assert done.stderr.count("opened for reading only") == 1
    assert len(done.stderr.splitlines()) == 1


@unix
def test_the_index_of_somebody_who_is_writing_is_followed(public, opened_bundle):
    """Nobody reads it as it is on the disk, the owner adds and deletes, and every answer is of one state."""
    make(public / "index", public / "bundle")
    code = """
        with SteerableIndex.open(sys.argv[2], bundle=bundle) as index:
            for line in sys.stdin:
                print(len(index), sorted(hit.id for hit in index.search("number 3", 99, view=line.strip())), flush=True)
    """
    command = command_of_nobody(code, public / "bundle", public / "index")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    reader = subprocess.Popen(command, text=True, **pipes)
    with reader:

        def ask(view="dense"):
            reader.stdin.write(f"{view}\n")
            reader.stdin.flush()
            return reader.stdout.readline().strip()

        assert ask() == "5 ['0', '1', '2', '3', '4']"
        for round in range(3):
            with SteerableIndex.open(public / "index", bundle=opened_bundle) as index:
                index.add(["a number"], ids=[f"new {round}"], embeddings=unit(1, round + 5))
                index.delete([str(round)])
                ids = sorted(index.documents()[0])
                for view in ("dense", "latent", "words"):
                    assert ask(view) == f"5 {ids}"
            assert ask() == f"5 {ids}"
        reader.stdin.close()


def test_a_folder_that_the_system_calls_read_only(tmp_path, opened_bundle, monkeypatch, caplog):
    path = make(tmp_path / "index", opened_bundle)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and not mode & os.W_OK)
    with caplog.at_level(logging.WARNING), SteerableIndex.open(path, bundle=opened_bundle) as index:
        assert len(index.search(unit(1)[0], 5)) == 5
        with pytest.raises(StorageError, match="this user cannot write it"):
            index.add(["x"], ids=["x"], embeddings=unit(1))
    assert caplog.text.count("opened for reading only") == 1


def test_langchain_reads_what_it_cannot_write(tmp_path, opened_bundle, monkeypatch):
    pytest.importorskip("langchain_core")
    from steersearch.integrations.langchain import SteerableRetriever, SteerableVectorStore

    path = make(tmp_path / "index", opened_bundle)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and not mode & os.W_OK)
    retriever = SteerableRetriever.open(path, bundle=opened_bundle)
    assert len(retriever.invoke("number 3")) == 4
    retriever.index.close()
    store = SteerableVectorStore(path, bundle=opened_bundle)
    assert len(store.similarity_search("number 3", k=2)) == 2
    with pytest.raises(StorageError, match="this user cannot write it"):
        store.add_texts(["x"])
    store.index.close()


@unix
def test_an_index_in_a_log_that_nobody_may_apply(public, opened_bundle):
    with SteerableIndex.open(make(public / "index", public / "bundle")) as index:
        index.add(["x"], ids=["x"], embeddings=unit(1))
        killed = shutil.copytree(public / "index", public / "killed")
    (killed / "documents.sqlite-shm").unlink()
    code = """
        try:
            SteerableIndex.open(sys.argv[2], bundle=bundle)
        except Exception as error:
            print(type(error).__name__, error)
    """
    refused = as_nobody(code, public / "bundle", killed).stdout
    assert refused.startswith("StorageError")
    assert "open it once as its owner, or copy the folder" in refused


@unix
def test_links_that_somebody_put_there_are_not_followed(tmp_path, opened_bundle):
    path = make(tmp_path / "index", opened_bundle)
    for name in ("commits", "writer.json"):
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(tmp_path / f"victim of {name}")
        (tmp_path / f"victim of {name}").write_text("precious")
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        index.add(["x"], ids=["x"], embeddings=unit(1))
    for name in ("commits", "writer.json"):
        assert (tmp_path / f"victim of {name}").read_text() == "precious"


@unix
@pytest.mark.parametrize("searched", [False, True])
def test_a_copy_over_an_open_index(tmp_path, opened_bundle, searched):
    """The vectors are cut under an index that has them mapped, after some of its documents were removed."""
    path = make(tmp_path / "index", opened_bundle, 200)
    with SteerableIndex.open(path, bundle=opened_bundle, backend="exact") as index:
        if searched:
            assert index.search(unit(200)[7], 1)[0].id == "7"
        else:
            index._views._synced("dense")
        index.delete([str(i) for i in range(3)])
        (path / "cache" / "vectors.npy").write_bytes(b"cut")
        for _ in range(2):
            assert [index.search(unit(200)[i], 1)[0].id for i in (7, 199)] == ["7", "199"]
        assert len(index.search(unit(1)[0], 300)) == 197
    with SteerableIndex.open(path, bundle=opened_bundle, backend="exact", readonly=True) as index:
        assert index.stats().cached
        assert index.verify(sample=0).ok


def test_what_killed_processes_left_is_swept_up(tmp_path, opened_bundle):
    path = make(tmp_path / "index", opened_bundle)
    left = [
        path / "cache" / ".vectors.npy.00ff00ff00ff00ff.tmp",
        path / "cache" / ".usearch.bin.12.34.tmp",
        path / "folders" / ".0123.json.99.tmp",
        path / ".documents.sqlite.00ff00ff00ff00ff.tmp-wal",
        tmp_path / ".index.00ff00ff00ff00ff.tmp" / ".documents.sqlite.00ff00ff00ff00ff.tmp",
    ]
    kept = [
        tmp_path / ".index.00ff00ff00ff00fe.tmp" / "manifest.json",  # of an export
        tmp_path / ".index.bak" / "documents.sqlite",
        tmp_path / ".other.00ff00ff00ff00ff.tmp" / "documents.sqlite",
        path / "cache" / "notes.txt",
    ]
    for file in (*left, *kept):
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    with SteerableIndex.open(path, bundle=opened_bundle, readonly=True):
        assert all(file.exists() for file in left)
    # Somebody may be writing these just now.
    with WriterLock(path).held(), WriterLock(left[-1].parent).held(), SteerableIndex.open(path, bundle=opened_bundle):
        assert all(file.exists() for file in left)
    with SteerableIndex.open(path, bundle=opened_bundle):
        assert not any(file.exists() for file in left)
    assert not left[-1].parent.exists()
    assert all(file.exists() for file in kept)


def test_a_create_sweeps_up_after_a_killed_one(tmp_path, opened_bundle):
    killed = tmp_path / ".index.00ff00ff00ff00ff.tmp"
    killed.mkdir()
    make(tmp_path / "index", opened_bundle)
    assert [file.name for file in tmp_path.iterdir()] == ["index"]
