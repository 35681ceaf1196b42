"""A bundle without an embedder, to which nobody brought one."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from steersearch.errors import BundleError, ConfigError, DataError
from steersearch.files import sha256_of
from steersearch.runtime import SteerableIndex
from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.bundle.manifest import EMBEDDER, MANIFEST, PROBES, TOKENIZER, read_manifest
from steersearch.runtime.bundle.probes import LONGEST, MOST, read_probes, write_probes
from steersearch.runtime.bundle.write import check_target

from ....bare_bundle import PROBES as PROBE_TEXTS
from ....bare_bundle import WHOLE

TEXTS = ["moon and planet", "piano concert", "cheese and bread", "the whale", "a rocket to the moon", "moon rocket"]


@pytest.fixture(scope="module")
def bare(bare_folder):
    return Bundle.load(bare_folder, threads=1)


@pytest.fixture
def index(bare, whole, tmp_path):
    with SteerableIndex.create(tmp_path / "index", bare) as made:
        made.add(TEXTS, ids=list("abcdef"), embeddings=whole.embed_documents(TEXTS))
        yield made


def test_it_encodes_and_decodes_as_the_whole_one(bare, whole):
    rows = whole.embed_documents(TEXTS)
    assert not bare.embeds
    assert whole.embeds
    for mine, theirs in zip(bare.encode(rows), whole.encode(rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(bare.decode(*bare.encode(rows)), whole.decode(*whole.encode(rows)))
    assert bare.features.get("moon").id == whole.features.get("moon").id


def test_it_refuses_texts_in_one_line_that_names_the_model_and_the_cure(bare):
    for call in (bare.embed_documents, bare.embed_queries, lambda texts: bare.embed_query(texts[0])):
        with pytest.raises(ConfigError) as raised:
            call(["moon"])
        assert "\n" not in str(raised.value)
        assert "(tiny-embedding-1)" in str(raised.value)
        assert "--embedder-url" in str(raised.value)


def test_an_index_of_it_searches_by_vector_and_steers_by_ids_and_labels(index, whole, tmp_path):
    query = whole.embed_query("the moon")
    with SteerableIndex.create(tmp_path / "whole", whole) as other:
        other.add(TEXTS, ids=list("abcdef"))
        for how in (
            {},
            {"boost": {"rocket": 1}},
            {"boost": {"f20": -1}},
            {"exclude": ["rocket"]},
            {"clamp": {"f2": 0}},
        ):
            mine, theirs = index.search(query, 6, **how), other.search(query, 6, **how)
            assert [(hit.id, hit.score) for hit in mine] == [(hit.id, hit.score) for hit in theirs]
        assert index.search(query, 1, boost={"rocket": 2})[0].id in "ef"
        mine = index.explain(query, "e", boost={"rocket": 1})
        assert mine.score == other.explain(query, "e", boost={"rocket": 1}).score
    for call in (
        lambda: index.search("the moon"),
        lambda: index.search(query, boost={"no label at all": 1}),
        lambda: index.add(["a new text"]),
    ):
        with pytest.raises(ConfigError, match="has no embedder"):
            call()
    assert len(index) == 6


def test_its_index_is_verified_without_an_embedder(index):
    found = index.verify()
    assert (found.ok, found.documents, found.embedded) == (True, 6, 0)


def test_features_are_searched_by_words_where_nothing_embeds(bare, whole):
    assert bare.features.search("moon", 3)[0].label == "moon"
    assert len(bare.features.search("moon", 40)) < len(whole.features.search("moon", 40))
    assert bare.features.similar("moon", 1)[0].feature.id == whole.features.similar("moon", 1)[0].feature.id
    rows = whole.embed_documents(["moon rocket"])
    assert bare.features.search_examples(rows, 1)[0][0].id == whole.features.search_examples(rows, 1)[0][0].id


def test_a_copy_is_opened_again(bare):
    again = pickle.loads(pickle.dumps(bare))
    assert not again.embeds
    assert again.manifest == bare.manifest


def test_an_embedder_is_for_a_bundle_without_one(whole, bare_folder, tmp_path):
    with pytest.raises(ConfigError, match="has an embedder of its own"):
        Bundle.load(WHOLE, embedder=whole.embedder)
    with pytest.raises(ConfigError, match="name its folder in bundle="):
        SteerableIndex.create(tmp_path / "one", None, d_in=16, embedder=whole.embedder)
    with pytest.raises(ConfigError, match=r"give it to Bundle\.load"):
        SteerableIndex.create(tmp_path / "one", whole, embedder=whole.embedder)
    with pytest.raises(ConfigError, match="embedder is 7"):
        Bundle.load(bare_folder, embedder=7)
    assert not (tmp_path / "one").exists()


def test_the_manifest_asks_for_the_probes_and_not_for_graph_and_tokenizer(bare_folder, tmp_path):
    manifest = read_manifest(bare_folder)
    assert {EMBEDDER, TOKENIZER}.isdisjoint(manifest.files)
    files = {name: entry for name, entry in manifest.files.items() if name != PROBES}
    folder = tmp_path / "bundle"
    shutil.copytree(bare_folder, folder)
    (folder / MANIFEST).write_text(replace(manifest, files=files).to_json())
    with pytest.raises(BundleError, match=r"does not list \['embedder.probes.npz'\]"):
        read_manifest(folder)
    # A damaged bundle may be replaced too, and the probes are no foreign file in it.
    with pytest.raises(BundleError, match="already a bundle"):
        check_target(folder, overwrite=False)


def test_an_index_is_tied_to_the_probes(bare_folder, whole, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bare_folder, folder)
    write_probes(folder, ["another text"], whole.embed_documents(["another text"]))
    entry = {"sha256": sha256_of(folder / PROBES), "bytes": (folder / PROBES).stat().st_size}
    manifest = read_manifest(bare_folder)
    changed = replace(manifest, files=manifest.files | {PROBES: entry})
    assert changed.model_digest != manifest.model_digest
    assert changed.embedder_digest != manifest.embedder_digest


def test_probes_come_back(bare_folder, whole):
    found = read_probes(bare_folder, 16)
    assert found.texts == tuple(PROBE_TEXTS)
    np.testing.assert_array_equal(found.vectors, whole.embed_documents(PROBE_TEXTS))


@pytest.mark.parametrize(
    ("texts", "vectors", "message"),
    [
        ([], np.zeros((0, 3)), "0 probes"),
        (["a"], np.ones((1, 3)), "length 1.732"),
        (["a", "b"], np.eye(3)[:1], "2 probes and 1 vectors"),
        ([" "], np.eye(3)[:1], "choose texts with words"),
        (["a" * (LONGEST + 1)], np.eye(3)[:1], "8001 characters"),
        (["a"] * (MOST + 1), np.repeat(np.eye(3)[:1], MOST + 1, 0), "65 probes"),
        (["\ud800"], np.eye(3)[:1], "lone surrogate"),
        (["a"], [1, 0, 0], "shape"),
        (["a"], [[np.nan, 0, 0]], "length nan"),
    ],
)
def test_bad_probes_are_not_written(tmp_path, texts, vectors, message):
    with pytest.raises(DataError, match=message):
        write_probes(tmp_path, texts, vectors)
    assert not list(tmp_path.iterdir())


def test_damaged_probes_are_an_error_of_the_bundle(tmp_path):
    write_probes(tmp_path, ["a", "b"], np.eye(3)[:2])
    with pytest.raises(BundleError, match="expected f"):
        read_probes(tmp_path, 4)
    for content in (b"", b"PK", (tmp_path / PROBES).read_bytes()[:200]):
        (tmp_path / PROBES).write_bytes(content)
        with pytest.raises(BundleError, match="cannot be read"):
            read_probes(tmp_path, 3)
    (tmp_path / PROBES).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        read_probes(tmp_path, 3)
