"""Files of graphs that somebody altered, checksums and all: refused, and never followed out of the file."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from steersearch.runtime.search.graphs.files import check_hnsw_file, check_usearch_file
from steersearch.runtime.search.hnsw import HnswIndex
from steersearch.runtime.search.usearch import UsearchI8Index, UsearchIndex

D, N = 16, 400
KINDS = [HnswIndex, UsearchIndex, UsearchI8Index]


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    pytest.importorskip(request.param.module)
    return request.param


@pytest.fixture(scope="module")
def saved(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    index = kind(D)
    index.add(np.arange(N), unit(N))
    index.remove(np.arange(0, N, 9))
    index.save(folder, 1)
    return folder


def check(kind, path):
    if kind is HnswIndex:
        check_hnsw_file(path, D, 16, 200)
    else:
        check_usearch_file(path, D, 16, kind.dtype)


def test_right_files_pass(kind, saved, tmp_path):
    check(kind, saved / f"{kind.extra}.bin")
    for n in (0, 1, 2):
        index = kind(D)
        index.add(np.arange(n), unit(n))
        index.save(tmp_path, n)
        check(kind, tmp_path / f"{kind.extra}.bin")
        assert len(kind.load(tmp_path, n, d_in=D)) == n


HNSW = {  # offset in the header, what is written there
    "where elements begin": (0, "<Q", 8),
    "number of elements": (16, "<Q", N + 1),
    "an absurd number of elements": (16, "<Q", 2**62),
    "bytes of an element": (24, "<Q", 8),
    "where the label is": (32, "<Q", 2**40),
    "where the vector is": (40, "<Q", 0),
    "highest level": (48, "<i", 40),
    "no level": (48, "<i", -1),
    "entry": (52, "<I", N),
    "links of upper levels": (56, "<Q", 2**33),
    "links of the lowest level": (64, "<Q", 33),
    "links": (72, "<Q", 0),
    "scale of levels": (80, "<d", 1e300),
    "scale of levels, not a number": (80, "<d", float("nan")),
    "breadth": (88, "<Q", 2**60),
    "number of links of an element": (96, "<H", 33),
    "mark of an element": (98, "<B", 2),
    "link of an element": (100, "<I", N),
}


@pytest.mark.parametrize("what", HNSW)
@pytest.mark.parametrize("kind", [HnswIndex], indirect=True)
def test_every_number_of_hnswlib_that_leads_somewhere(kind, saved, tmp_path, what):
    offset, layout, value = HNSW[what]
    content = bytearray((saved / "hnsw.bin").read_bytes())
    content[offset : offset + struct.calcsize(layout)] = struct.pack(layout, value)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="no graph that can be read safely"):
        check_hnsw_file(tmp_path / "file", D, 16, 200)


def test_links_above_the_lowest_level_of_hnswlib(tmp_path):
    """A link to an element that is not in the level would be followed beyond its links."""
    pytest.importorskip("hnswlib")
    index = HnswIndex(D)
    index.add(np.arange(N), unit(N))
    index.save(tmp_path, 1)
    path, width = tmp_path / "hnsw.bin", 4 + 4 * 32 + 4 * D + 8
    upper = np.frombuffer(path.read_bytes()[96 + N * width :], "<u4").copy()
    at = int(np.flatnonzero(upper)[0])  # the first size; then the number of links, then the links
    low = next(i for i in range(N) if upper[i] == 0)  # so early that all before it have no links either
    assert at > low
    for place, value in ((at, int(upper[at]) + 4), (at, 2**31), (at + 1, 17), (at + 2, low), (at + 2, N)):
        wrong = upper.copy()
        wrong[place] = value
        (tmp_path / "file").write_bytes(path.read_bytes()[: 96 + N * width] + wrong.tobytes())
        with pytest.raises(ValueError, match="no graph that can be read safely"):
            check_hnsw_file(tmp_path / "file", D, 16, 200)


USEARCH = {  # offset behind the vectors, what is written there
    "magic": (0, "<B", 0),
    "metric": (13, "<B", ord("c")),
    "type of numbers": (14, "<B", 11),
    "type of keys": (15, "<B", 0),
    "type of slots": (16, "<B", 0),
    "present": (17, "<Q", 2**50),
    "removed": (25, "<Q", 0),
    "width": (33, "<Q", 2**20),
    "several vectors a key": (41, "<B", 1),
    "number of elements": (64, "<Q", N - 1),
    "an absurd number of elements": (64, "<Q", 2**62),
    "links": (72, "<Q", 2**30),
    "links of the lowest level": (80, "<Q", 31),
    "highest level": (88, "<Q", 3000),
    "entry": (96, "<Q", N),
    "level": (104, "<h", 5),
    "negative level": (104, "<h", -1),
    "key": (104 + 2 * N, "<Q", 5),
    "level of an element": (104 + 2 * N + 8, "<h", 9),
    "number of links of an element": (104 + 2 * N + 10, "<I", 33),
    "link of an element": (104 + 2 * N + 14, "<I", N),
}


@pytest.mark.parametrize("what", USEARCH)
@pytest.mark.parametrize("kind", [UsearchIndex, UsearchI8Index], indirect=True)
def test_every_number_of_usearch_that_leads_somewhere(kind, saved, tmp_path, what):
    offset, layout, value = USEARCH[what]
    content = bytearray((saved / "usearch.bin").read_bytes())
    rows, columns = struct.unpack("<II", content[:8])
    offset += 8 + rows * columns
    content[offset : offset + struct.calcsize(layout)] = struct.pack(layout, value)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="no graph that can be read safely"):
        check_usearch_file(tmp_path / "file", D, 16, kind.dtype)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\x00" * 96, b"\xff" * 500, bytes(range(256)) * 4])
def test_files_of_anything(kind, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"no graph that can be read safely|empty file"):
        check(kind, tmp_path / "file")


LOADS = """
import hashlib, json, sys, zlib
from pathlib import Path
import numpy as np
from steersearch.runtime.search.backends import BACKENDS
kind, folder, seed = BACKENDS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
path, sidecar = folder / f"{kind.extra}.bin", folder / f"{kind.extra}.json"
good, facts = path.read_bytes(), json.loads(sidecar.read_text())
rng, loaded = np.random.default_rng(seed), 0
queries = rng.standard_normal((20, 16)).astype(np.float32)
for case in range(60):
    content = bytearray(good)
    if case % 6 == 0:  # random bytes of any length
        content = bytearray(rng.bytes(int(rng.integers(0, 2 * len(good)))))
    elif case % 6 == 1:  # a right beginning and random bytes
        cut = int(rng.integers(0, len(good)))
        content[cut:] = rng.bytes(int(rng.integers(0, len(good))))
    elif case % 6 == 2:  # cut off
        content = content[: int(rng.integers(0, len(good)))]
    else:  # some numbers changed, most of them where links are
        for _ in range(int(rng.integers(1, 40))):
            at = int(rng.integers(0, len(good) - 8)) if case % 6 < 5 else int(rng.integers(0, 120))
            small = int(rng.integers(0, 500)).to_bytes(4, "little")
            content[at : at + 4] = rng.bytes(4) if rng.random() < 0.5 else small
    path.write_bytes(content)
    facts["sha256"][path.name] = hashlib.sha256(content).hexdigest()  # as who alters the file can do
    facts.pop("crc32", None)
    facts["crc32"] = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
    sidecar.write_text(json.dumps(facts))
    index = kind.load(folder, 1, d_in=16)
    print(case, index is not None, flush=True)
    if index is not None:
        loaded += 1
        for query in queries:
            index.search(query / np.linalg.norm(query), 10)
        index.add(np.arange(1000, 1100), queries[np.zeros(100, int)] / np.linalg.norm(queries[0]))
        index.remove(np.arange(5, 60))
        index.search(query / np.linalg.norm(query), 10)
print("end", loaded)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("backend", ["hnsw", "usearch", "usearch-i8"])
def test_altered_files_never_end_the_process(backend, seed, tmp_path):
    """Of 40 such files of hnswlib, 5 ended the process before they were checked."""
    kind = {"hnsw": HnswIndex, "usearch": UsearchIndex, "usearch-i8": UsearchI8Index}[backend]
    pytest.importorskip(kind.module)
    index = kind(D)
    index.add(np.arange(N), unit(N))
    index.save(tmp_path, 1)
    assert json.loads((tmp_path / f"{kind.extra}.json").read_text())["nodes"] == N
    command = [sys.executable, "-c", LOADS, backend, str(tmp_path), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].startswith("end")
