"""An index on a full disk, on a read-only one, and under a clock that jumps."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from steersearch.errors import StorageError
from steersearch.runtime import SteerableIndex


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def disk(small_disk):
    """A file system of 2 MB."""
    return small_disk("2m")


def put(index, names, seed=0, size=2000):
    index.add(["x" * size] * len(names), ids=names, metadata=[{"n": 1}] * len(names), embeddings=unit(len(names), seed))


def fill_up(folder):
    """Leave no byte free."""
    for size in (65536, 1024, 1):
        try:
            with (folder / "filler").open("ab", buffering=0) as filler:
                while filler.write(b"x" * size) == size:
                    pass
        except OSError:
            pass


def put_one_by_one(index):
    """Until the disk is full: the log may have room for a few."""
    for i in range(300):
        put(index, [f"more {i}"], seed=i)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["exact", "hnsw", "usearch"])
def test_every_write_on_a_full_disk_is_refused_and_changes_nothing(disk, opened_bundle, backend):
    path = disk / "index"
    with SteerableIndex.create(path, opened_bundle, backend=backend) as index:
        put(index, [str(i) for i in range(200)])
        index.save()
        query = unit(1, 5)[0]
        before = [(hit.id, hit.score, hit.metadata) for hit in index.search(query, 5)]
        fill_up(disk)
        with pytest.raises(StorageError, match="free space on the disk"):
            put_one_by_one(index)
        kept = len(index)
        for call in (
            lambda: put(index, [f"many {i}" for i in range(400)]),
            lambda: index.add_from((f"s{i}", "a text" * 500, {}) for i in range(600)),
            lambda: index.update_metadata([str(i) for i in range(200)], [{"long": "y" * 9000}] * 200),
            index.compact,
        ):
            with pytest.raises(StorageError, match="free space on the disk"):
                call()
        assert len(index) == kept
        assert [record.metadata for record in index.get(["0", "199"])] == [{"n": 1}] * 2
        assert index.verify(sample=0).problems == ()
        assert len(index.search(query, kept)) == kept
    with SteerableIndex.open(path, bundle=opened_bundle, backend=backend, readonly=True) as index:
        assert len(index) == kept
        assert index.verify(sample=0).problems == ()
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    with SteerableIndex.open(path, bundle=opened_bundle, backend=backend) as index:
        put(index, ["after"])
        index.delete([id for id in index.documents()[0] if id.startswith("more")])
        index.delete(["after"])
        index.compact()
        assert [(hit.id, hit.score, hit.metadata) for hit in index.search(query, 5)] == before
        assert index.verify(sample=0).ok
    assert not list(path.rglob("*.tmp"))


@pytest.mark.slow
def test_a_readonly_disk_is_searched_and_nothing_is_tried(disk, opened_bundle):
    path = disk / "index"
    with SteerableIndex.create(path, opened_bundle) as index:
        put(index, [str(i) for i in range(50)])
        index.save()
        expected = [hit.id for hit in index.search(unit(1, 5)[0], 5)]
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with SteerableIndex.open(path, bundle=opened_bundle, readonly=True) as index:
        assert [hit.id for hit in index.search(unit(1, 5)[0], 5)] == expected
        assert [hit.id for hit in index.search(unit(1, 5)[0], 5, filter={"n": 1})] == expected
        assert index.verify(sample=0).ok
        assert index.stats().writer is None
        with pytest.raises(StorageError, match="opened read-only"):
            index.delete(["1"])
    with pytest.raises(StorageError):
        with SteerableIndex.open(path, bundle=opened_bundle) as index:
            index.delete(["1"])


@pytest.mark.skipif(sys.platform == "win32", reason="folders that cannot be written")
def test_a_clock_that_jumps_changes_nothing(opened_bundle, tmp_path, monkeypatch):
    """Files from the future and from 1970, and a clock that runs backwards between any two calls."""
    path, now = tmp_path / "index", iter(range(10**6))
    jumps = [0.0, 2.0**33, 1.0, 1.7e9, 86400.0]
    for name in ("time", "monotonic"):
        real = getattr(time, name)
        monkeypatch.setattr(time, name, lambda real=real, name=name: jumps[next(now) % 5] if name == "time" else real())
    with SteerableIndex.create(path, opened_bundle) as index:
        put(index, [str(i) for i in range(60)])
        index.save()
        expected = [hit.id for hit in index.search(unit(1, 5)[0], 5)]
    for stamp in (1, 2**33, 0, 1_000_000_000):
        for file in path.rglob("*"):
            os.utime(file, (stamp, stamp))
        with SteerableIndex.open(path, bundle=opened_bundle) as index:
            assert index.stats().cached
            assert [hit.id for hit in index.search(unit(1, 5)[0], 5)] == expected
            put(index, ["new"], seed=9)
            assert index.search(unit(1, 9)[0], 1)[0].id == "new"
            index.delete(["new"])
            index.compact()
            assert index.verify(sample=0).ok
    # a cache from another day, which the clock calls newer than the documents
    old = shutil.copytree(path / "cache", tmp_path / "old")
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        put(index, ["new"], seed=9)
    shutil.rmtree(path / "cache")
    shutil.copytree(old, path / "cache")
    for file in (path / "cache").iterdir():
        os.utime(file, (2**33, 2**33))
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        assert index.search(unit(1, 9)[0], 1)[0].id == "new"
