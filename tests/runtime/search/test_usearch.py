"""What is usearch's own among the graph indexes: memory maps, and files that it would take as they are."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.usearch import UsearchF32Index, UsearchIndex

pytest.importorskip("usearch", reason="needs the extra usearch")


def unit(n, d_in=32, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d_in)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
    return unit(2050)


def pair(kind, rowids, vectors):
    graph, exact = kind(vectors.shape[1]), ExactIndex(vectors.shape[1])
    for index in (graph, exact):
        index.add(rowids, vectors)
    return graph, exact


def test_a_mapped_graph_is_copied_before_it_changes(tmp_path, vectors):
    """usearch ends the process when something is added to a memory map."""
    UsearchIndex(32).save(tmp_path / "empty", 1)
    assert len(UsearchIndex.load(tmp_path / "empty", 1, d_in=32)) == 0
    graph, exact = pair(UsearchIndex, np.arange(1000), vectors[:1000])
    graph.save(tmp_path, 1)
    again = UsearchIndex.load(tmp_path, 1, d_in=32)
    if sys.platform != "win32":
        assert again._mapped
    before = (tmp_path / "usearch.bin").read_bytes()
    other, _ = pair(UsearchIndex, np.arange(50), vectors[2000:2050])
    other.save(tmp_path, 2)  # another process writes the cache anew
    assert again.search(vectors[7], 3)[0].tolist() == exact.search(vectors[7], 3)[0].tolist()
    for index in (again, exact):
        index.add(np.arange(1000, 1500), vectors[1000:1500])
        index.remove(np.arange(0, 300))
    assert not again._mapped
    assert (tmp_path / "usearch.bin").read_bytes() != before
    for query in vectors[1000:1100]:
        assert [part.tolist() for part in again.search(query, 1)] == [part.tolist() for part in exact.search(query, 1)]


def test_a_file_of_another_width_or_type_is_refused(tmp_path, vectors):
    """usearch takes both from the file, whatever it was told."""
    graph, _ = pair(UsearchF32Index, np.arange(100), vectors[:100])
    graph.save(tmp_path, 1)
    sidecar = tmp_path / "usearch.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"dtype": "f16"}))
    assert UsearchIndex.load(tmp_path, 1, d_in=32) is None
    narrow, _ = pair(UsearchIndex, np.arange(100), unit(100, 16))
    narrow.save(tmp_path / "narrow", 1)
    graph, _ = pair(UsearchIndex, np.arange(100), vectors[:100])
    graph.save(tmp_path, 1)
    digest = json.loads((tmp_path / "narrow" / "usearch.json").read_text())["sha256"]
    (tmp_path / "usearch.bin").write_bytes((tmp_path / "narrow" / "usearch.bin").read_bytes())
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"sha256": digest}))
    assert UsearchIndex.load(tmp_path, 1, d_in=32) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows maps no graph")
@pytest.mark.parametrize("then", ["search", "add", "remove", "save"])
def test_a_mapped_graph_whose_file_is_cut_is_built_again(tmp_path, vectors, caplog, then):
    """As rsync --inplace or a copy over an open index does: to touch a page that was cut off ends the process."""
    graph, exact = pair(UsearchIndex, np.arange(1000), vectors[:1000])
    graph.save(tmp_path, 1)
    again = UsearchIndex.load(tmp_path, 1, d_in=32)
    assert again._mapped
    os.truncate(tmp_path / "usearch.bin", 100)
    os.utime(tmp_path / "usearch.bin", (1, 1))  # within one tick of the clock the time would be the same
    for index in (again, exact):
        if then == "add":
            index.add(np.arange(1000, 1100), vectors[1000:1100])
        elif then == "remove":
            index.remove(np.arange(100))
    if then == "save":
        again.save(tmp_path, 1)
        assert UsearchIndex.load(tmp_path, 1, d_in=32)._mapped
    for query in vectors[:100]:
        assert [part.tolist() for part in again.search(query, 1)] == [part.tolist() for part in exact.search(query, 1)]
    assert not again._mapped
    assert caplog.text.count("another program has written to the cache of the graph") == 1
    assert again.saved_generation == (1 if then == "save" else None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_graph_that_usearch_could_not_write(vectors):
    graph, _ = pair(UsearchIndex, np.arange(100), vectors[:100])
    with pytest.raises(OSError, match="usearch"):
        graph._write(Path("/dev/full"))
