"""Flipped bits and cut files of every kind: an error of ours, or the answers from before."""

import json
import random
import shutil
import time

import numpy as np
import pytest

from steersearch.errors import SteersearchError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.store.documents import DocumentStore

N = 150
FLIPS_OF_INDEX, CUTS_OF_INDEX, FLIPS_OF_BUNDLE, CUTS_OF_BUNDLE = 700, 120, 120, 40
SECONDS = 20.0  # after which one look at a damaged folder counts as hanging


def unit(n, seed):
    rows = np.random.default_rng(seed).standard_normal((n, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


QUERIES = unit(4, 9)


def hits(index, **options):
    return [[(hit.id, hit.score, hit.text, hit.metadata) for hit in index.search(q, 7, **options)] for q in QUERIES]


LOOKS = {
    "length": len,
    "dense": hits,
    "filter": lambda index: hits(index, filter={"year": {"$gte": 2010}, "tag": "a"}),
    "latent": lambda index: hits(index, view="latent"),
    "words": lambda index: hits(index, view="words", text="newer text 20 30"),
    "hybrid": lambda index: hits(index, view="hybrid", text="text 7", fusion={"dense": 1, "latent": 1, "words": 1}),
    "reconstruction": lambda index: hits(index, view="reconstruction"),
    "get": lambda index: [index.get([f"d{i}" for i in range(0, N, 3)]), "nobody" in index],
    "all": lambda index: [part.tobytes() if hasattr(part, "tobytes") else part for part in index.documents()],
    "codes": lambda index: [part.tobytes() for part in index.sample(50)[1]],
    "explain": lambda index: (e := index.explain(QUERIES[0], "d7", boost={3: 1.0}), [*e.parts]),
}


def look(path, bundle, backend, order):
    """Every answer of an index, or the word for an error of ours."""
    answers = {}
    try:
        with SteerableIndex.open(path, bundle=bundle, backend=backend, readonly=True) as index:
            for name in order:
                try:
                    answers[name] = LOOKS[name](index)
                except SteersearchError:
                    answers[name] = "detected"
    except SteersearchError:
        return dict.fromkeys(LOOKS, "detected")
    return answers


@pytest.fixture(scope="module")
def folder(opened_bundle, tmp_path_factory):
    """An index as a kill leaves it: with a log that holds the newest commits, caches of an older state, and a graph."""
    path = tmp_path_factory.mktemp("flips") / "index"
    with SteerableIndex.create(path, opened_bundle, backend="hnsw") as index:
        metadata = [{"year": 2000 + i % 20, "tag": "ab"[i % 2]} for i in range(N)]
        names = [f"d{i}" for i in range(N)]
        index.add([f"text {i} " * 20 for i in range(N)], ids=names, metadata=metadata, embeddings=unit(N, 0))
        index.search(QUERIES[0], view="hybrid", text="text")  # so that inverted lists and words are saved too
        index.save()
        index._store._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        index.add(["newer"], ids=["d149"], metadata=[{"year": 2015, "tag": "a"}], embeddings=unit(1, 5))
        index.delete(["d148"])
        index.update_metadata(["d147"], [{"year": 2019}])
        killed = path.with_name("killed")
        shutil.copytree(path, killed)
    (killed / "writer.json").write_text(json.dumps({"process": 1, "computer": "x", "since": "2026-01-01"}))
    assert {file.name for file in killed.rglob("*")} > {
        *("documents.sqlite", "documents.sqlite-wal", "documents.sqlite-shm", "commits", "write.lock"),
        *("vectors.npy", "rowids.npy", "cache.json", "hnsw.bin", "hnsw.json", "latent.json", "latent-values.npy"),
        *("words.json", "words.sqlite"),
    }
    return killed


def damage(path, rng, cut):
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    if cut:
        length = rng.choice([0, rng.randrange(len(content)), rng.randrange(len(content)) // 512 * 512])
        path.write_bytes(content[:length])
        return f"{path.name} cut to {length}"
    page = rng.randrange(len(content)) // 4096 * 4096
    spots = [
        rng.randrange(len(content)),
        page + rng.randrange(64),
        rng.randrange(100),
    ]  # heads of pages, and of the file
    place, bit = min(rng.choice(spots), len(content) - 1), rng.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"{path.name} byte {place} bit {bit}"


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["exact", "hnsw"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_index_never_answers_wrongly(folder, opened_bundle, tmp_path, backend, cut):
    expected = look(shutil.copytree(folder, tmp_path / "whole"), opened_bundle, backend, list(LOOKS))
    assert "detected" not in expected.values()
    rng, seen = random.Random(f"{backend} {cut}"), dict.fromkeys(("detected", "harmless"), 0)
    files = [file.relative_to(folder) for file in folder.rglob("*") if file.is_file()]
    files += [file for file in files if file.name.startswith("documents.sqlite")] * 4
    for i in range((CUTS_OF_INDEX if cut else FLIPS_OF_INDEX) // 2):
        copy = shutil.copytree(folder, tmp_path / str(i))
        what = damage(copy / rng.choice(files), rng, cut)
        order, began = rng.sample(list(LOOKS), len(LOOKS)), time.monotonic()
        answers = look(copy, opened_bundle, backend, order)
        for name, answer in answers.items():
            assert answer in ("detected", expected[name]), f"{what}: {name}"
        seen["detected" if "detected" in answers.values() else "harmless"] += 1
        write_to(copy, opened_bundle, backend, what)
        assert time.monotonic() - began < SECONDS, what
        shutil.rmtree(copy)
    assert min(seen.values()) > 0, seen


def write_to(path, bundle, backend, what):
    """Writing to a damaged index works or is refused, and what it acknowledged is there."""
    try:
        with SteerableIndex.open(path, bundle=bundle, backend=backend) as index:
            vector = unit(1, 77)
            index.add(["added"], ids=["added"], embeddings=vector)
            index.delete(["d3"])
            hit = index.search(vector[0], 1)[0]
            assert (hit.id, hit.text) == ("added", "added"), what
            assert "d3" not in index, what
    except SteersearchError:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_bundle_never_answers_wrongly(tiny_bundle, tmp_path, cut):
    text = "an exception is raised in a module"

    def answers(path):
        bundle = Bundle.load(path, threads=1)
        rows = bundle.embed([text])
        return [rows.tobytes(), *(part.tobytes() for part in bundle.encode(rows)), bundle.atoms.tobytes(),
                [str(feature) for feature in bundle.features]]  # fmt: skip

    expected, rng = answers(tiny_bundle), random.Random(cut)
    files = [file.relative_to(tiny_bundle) for file in tiny_bundle.rglob("*") if file.is_file()]
    detected = 0
    for i in range(CUTS_OF_BUNDLE if cut else FLIPS_OF_BUNDLE):
        copy = shutil.copytree(tiny_bundle, tmp_path / str(i))
        name = files[i % len(files)]
        what = damage(copy / name, rng, cut)
        try:
            assert answers(copy) == expected, what
        except SteersearchError:
            detected += 1
        shutil.rmtree(copy)
    assert detected >= i / 2


@pytest.mark.parametrize("name", ["documents.sqlite", "documents.sqlite-wal"])
def test_every_bit_of_one_document_counts(folder, tmp_path, name):
    """Flips in the bytes of texts that are known to be there, none of which SQLite would notice."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = (copy / name).read_bytes()
    needle = b"text 20 text 20" if name == "documents.sqlite" else b"newer"
    assert needle in content
    for place in range(content.rindex(needle), content.rindex(needle) + len(needle)):
        (copy / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(SteersearchError, match="damaged"):
            with DocumentStore.open(copy / "documents.sqlite", readonly=True) as store:
                store.get(["d20", "d149"])
        (copy / "documents.sqlite-shm").unlink(missing_ok=True)
