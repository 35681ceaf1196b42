"""Verification finds what is wrong and nothing else."""

import json
import sqlite3

import numpy as np
import pytest

from steersearch.runtime import SteerableIndex
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.inverted_lists import InvertedLists
from steersearch.runtime.store.checksums import row_checks


def rewrite(path, id, **columns):
    """Change columns of a document and its checksums, as a program with a bug would."""
    connection = sqlite3.connect(path / "documents.sqlite")
    names = ["rowid", "id", "metadata", "text", "vector", "latents", "values_"]
    row = connection.execute(f"SELECT {', '.join(names)} FROM documents WHERE id = ?", (id,)).fetchone()
    changed = dict(zip(names, row, strict=True)) | columns
    rowid, *rest = changed.values()
    sets = ", ".join(f"{name} = ?" for name in names[1:])
    connection.execute(
        f"UPDATE documents SET {sets}, checks = ? WHERE rowid = ?", [*rest, row_checks(rowid, tuple(rest)), rowid]
    )
    connection.commit()
    connection.close()


@pytest.fixture
def path(tiny_index):
    tiny_index.save()
    tiny_index.close()
    return tiny_index.path


def found(path, bundle, **options):
    with SteerableIndex.open(path, bundle=bundle, readonly=True) as index:
        return index.verify(**options)


def test_all_is_well(path, opened_bundle):
    seen = []
    result = found(path, opened_bundle, progress=lambda *done: seen.append(done))
    assert (result.ok, result.problems, result.documents, result.embedded) == (True, (), 60, 60)
    assert seen == [(60, 60)]
    assert found(path, opened_bundle, sample=7).embedded == 7
    assert found(path, opened_bundle, sample=0).embedded == 0
    for file in (path / "cache").iterdir():
        file.unlink()
    assert found(path, opened_bundle).ok  # no cache is as good as a right one


def test_an_empty_index_is_well(opened_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        assert index.verify().ok


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"vector": np.full(32, 0.1, "<f4").tobytes()}, "its vector has length 0.5657, expected 1"),
        ({"vector": np.full(32, np.nan, "<f4").tobytes()}, "its vector has length nan, expected 1"),
        ({"vector": np.eye(32, dtype="<f4")[3].tobytes()}, "its vector is not the embedding of its text (cosine"),
        ({"vector": b"\0\0"}, "a vector has 2 bytes, expected 128"),
        ({"text": "a text that is something else"}, "its vector is not the embedding of its text (cosine"),
        ({"latents": np.arange(60, 68, dtype="<i4").tobytes()}, "its code names latents up to f67, the bundle has 64"),
        ({"latents": b"", "values_": b""}, "its code has 0 latents, the bundle 8"),
        (
            {"latents": np.arange(8, dtype="<i4").tobytes(), "values_": np.ones(8, "<f4").tobytes()},
            "its code is not that of its vector by this bundle (cosine",
        ),
        ({"values_": np.full(8, -1, "<f4").tobytes()}, "its code has activations that are negative or not finite"),
        ({"values_": np.full(8, np.inf, "<f4").tobytes()}, "its code has activations that are negative or not finite"),
        ({"metadata": "{"}, "Expecting property name"),
    ],
)
def test_one_bad_document_is_named(path, opened_bundle, columns, message):
    rewrite(path, "modules-3", **columns)
    (path / "cache" / "cache.json").unlink()
    problems = found(path, opened_bundle).problems
    assert len(problems) == 1
    assert problems[0].startswith("document 'modules-3': ")
    assert message in problems[0]


def test_many_bad_documents_are_counted(path, opened_bundle):
    connection = sqlite3.connect(path / "documents.sqlite")
    connection.execute("UPDATE documents SET vector = zeroblob(128)")
    connection.commit()
    connection.close()
    (path / "cache" / "cache.json").unlink()
    problems = found(path, opened_bundle).problems
    assert len(problems) == 21
    assert problems[0] == "document 'numbers-0': the vector of row 1 is not what was stored"
    assert problems[-1] == "... and 40 further documents"


def test_damaged_caches_are_named_with_the_cure(path, opened_bundle):
    cure = "it is made again when it is needed, or at once by `sae index compact`"
    vectors = path / "cache" / "vectors.npy"
    good = vectors.read_bytes()
    vectors.write_bytes(good[:-1] + b"\x7f")
    assert found(path, opened_bundle).problems == (f"the cache {vectors} is damaged: {cure}",)
    vectors.write_bytes(good)
    sidecar = path / "cache" / "cache.json"
    facts = json.loads(sidecar.read_text())
    for content in ("{", "[]", json.dumps(facts | {"sha256": {"gone.npy": "0"}}), "\udcff"):
        sidecar.write_text(content, errors="surrogateescape")
        problems = found(path, opened_bundle).problems
        assert len(problems) == 1
        assert str(sidecar) in problems[0]
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        index.compact()
    assert found(path, opened_bundle).ok


def test_a_cache_with_right_checksums_and_other_vectors(path, opened_bundle):
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        index.save()
        vectors, generation = index._views._views["dense"].index, index.stats().generation
        other = ExactIndex(vectors.d_in)
        other.add(vectors.rowids, vectors.vectors_of(vectors.rowids[::-1]))
        other.save(path / "cache", generation)
    assert "are not those of the documents" in found(path, opened_bundle).problems[0]


def test_lists_with_right_checksums_and_codes_of_another_document(path, opened_bundle):
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        index.search("a number", view="latent")
        index.save()
        assert index.verify().ok
        rows, store = index._store.rowids(), index._store
        other = InvertedLists(rows, [store.codes_of(rows[::-1])], opened_bundle.n_latents)
        other.save(path / "cache", store.generation, store.origin)
        assert index.verify().problems[0].startswith(f"the latent lists in {path / 'cache'} are not those")


def test_codes_of_another_encoder(path, opened_bundle):
    """Every one is well-formed; only encoding again shows that they are not of this bundle."""
    with SteerableIndex.open(path, bundle=opened_bundle) as index:
        records = index.get([f"numbers-{i}" for i in range(15)])
        rows = [record.rowid for record in records]
        indices, values = index._store.codes_of(rows)
        vectors = index._store.vectors_of(rows)
        columns = [r.id for r in records], [r.text for r in records], [r.metadata for r in records]
        index._store.put(*columns, vectors, (indices + 1) % 64, values)
        problems = index.verify().problems
    assert len(problems) == 15
    assert all("its code is not that of its vector by this bundle (cosine 0." in problem for problem in problems)
