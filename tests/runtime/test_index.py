import shutil
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steersearch.errors import (
    BundleError,
    ChecksumError,
    ConfigError,
    DataError,
    FilterError,
    FormatVersionError,
    IndexFolderError,
    UnknownFeatureError,
)
from steersearch.runtime import Bundle, Concept, SteerableIndex

QUERIES = ["an integer number", "import a module", "raise an exception", "class attribute", ""]


def answers(index, **options):
    return [[(hit.id, hit.score) for hit in index.search(query, 8, **options)] for query in QUERIES]


def alive(bundle):
    return [feature.id for feature in bundle.features if feature.p95 > 0]


def test_search_equals_the_definition(tiny_index, topic_texts):
    vectors = tiny_index.bundle.embed(topic_texts.texts)
    query = tiny_index.bundle.embed(["raise an exception"])[0]
    hits = tiny_index.search("raise an exception", 5)
    expected = np.argsort(-(vectors @ query), kind="stable")[:5]
    assert [hit.id for hit in hits] == [topic_texts.ids[i] for i in expected]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    first = hits[0]
    i = topic_texts.ids.index(first.id)
    assert first.text == topic_texts.texts[i]
    assert first.metadata == topic_texts.metadata[i]
    assert first.score == pytest.approx(float(vectors[i] @ query), abs=1e-6)


def test_empty_and_zero_boosts_equal_dense_bit_for_bit(tiny_index):
    dense = answers(tiny_index)
    zeros = {latent: 0.0 for latent in alive(tiny_index.bundle)}
    assert answers(tiny_index, boost={}) == dense
    assert answers(tiny_index, boost=zeros, clamp={}, exclude=[]) == dense
    assert answers(tiny_index, boost=zeros, blend="move") == answers(tiny_index, blend="move") == dense
    assert answers(tiny_index, boost={"some phrase": 0.0}) == dense
    assert answers(tiny_index, boost={"f1": 0}) == dense


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.integers(0, 63), st.floats(-3, 3), max_size=3),
    st.sampled_from(QUERIES),
    st.sampled_from(["both", "move"]),
)
def test_explanations_add_up_to_the_hit(tiny_index, boost, query, blend):
    boost = {latent: s for latent, s in boost.items() if tiny_index.bundle.features[latent].p95 > 0}
    for hit in tiny_index.search(query, 3, boost=boost, blend=blend):
        explanation = tiny_index.explain(query, hit.id, boost=boost, blend=blend)
        total = sum(part.contribution for part in explanation.parts) + explanation.rest
        assert total == pytest.approx(hit.score, abs=1e-5)
        assert explanation.score == pytest.approx(hit.score, abs=1e-5)


@pytest.mark.parametrize("blend", ["both", "move"])
def test_a_phrase_pulls_its_topic_up_and_a_negative_one_pushes_it_away(tiny_index, blend):
    def share(boost, **how):
        hits = tiny_index.search("a name is given", 10, boost=boost, blend=blend, **how)
        return sum(hit.metadata["topic"] == "exceptions" for hit in hits)

    plain = share({})
    assert share({"an exception is raised": 3.0}) > plain
    assert share({"an exception is raised": -3.0}) <= plain
    assert share({}, exclude=["an exception is raised"]) <= plain


def test_concepts_from_examples_and_clamp(tiny_index):
    concept = Concept.from_examples(["modules-1", "modules-3", "modules-9"], ["numbers-1", "numbers-2"], "modules")
    steered = tiny_index.steer("a name", {concept: 2.0})
    resolved, strength = steered.boosted[0]
    assert strength == 2.0
    assert 1 <= len(resolved.weights) <= 32
    assert max(resolved.weights.values()) == pytest.approx(1.0)
    assert resolved.fit > 0.3
    assert tiny_index.search("a name", 1, boost={concept: 4.0})[0].metadata["topic"] == "modules"
    active = tiny_index.steer("raise an exception").change
    latent = int(active.latents[np.argmax(active.before)])
    removed = tiny_index.steer("raise an exception", clamp={latent: 0}).change
    assert removed.after[removed.latents == latent] == 0


@pytest.mark.parametrize("how", [{"blend": "move"}, {"exclude": ["division of integers"]}])
def test_save_reopen_same_answers(tiny_index, how):
    how["boost"] = {"an exception is raised": 1.0, alive(tiny_index.bundle)[0]: -0.5}
    views = ("dense", "reconstruction", "latent", "words", "hybrid")
    before = [answers(tiny_index, **how, view=view) for view in views]
    path = tiny_index.path
    tiny_index.close()
    with SteerableIndex.open(path) as again:
        assert [answers(again, **how, view=view) for view in views] == before
        assert len(again) == 60
    shutil.rmtree(path / "cache", ignore_errors=True)
    with SteerableIndex.open(path, readonly=True) as rebuilt:
        assert [answers(rebuilt, **how, view=view) for view in views] == before
    assert not (path / "cache").exists()


def test_hnsw_finds_what_exact_finds(tiny_index):
    exact, how = answers(tiny_index), {"boost": {"modules": 1.0}, "exclude": ["numbers"]}
    by_conditions = answers(tiny_index, **how)
    path = tiny_index.path
    tiny_index.close()
    with SteerableIndex.open(path, backend="hnsw") as graph:
        assert answers(graph) == exact
        assert answers(graph, **how) == by_conditions
        graph.delete([exact[0][0][0]])
        assert exact[0][0][0] not in [hit.id for hit in graph.search(QUERIES[0], 60)]


def test_add_replace_delete(tiny_index):
    assert tiny_index.add(["a new text about birds"], ids=["bird"], metadata=[{"n": 1}]) == ["bird"]
    assert "bird" in tiny_index
    assert tiny_index.search("a new text about birds", 1)[0].id == "bird"
    tiny_index.add(["now it is about fish"], ids=["bird"])
    assert len(tiny_index) == 61
    hit = tiny_index.search("now it is about fish", 1)[0]
    assert (hit.id, hit.text, hit.metadata) == ("bird", "now it is about fish", {})
    assert tiny_index.delete(["bird", "never there"]) == 1
    assert "bird" not in tiny_index
    assert len(tiny_index.add(["x", "y"])) == 2


def test_filters_give_k_of_what_is_allowed(tiny_index):
    hits = tiny_index.search("an integer number", 60, filter={"topic": "modules", "number": {"$gte": 5}})
    assert sorted(hit.id for hit in hits) == sorted(f"modules-{i}" for i in range(5, 15))
    for view in ("reconstruction", "latent"):
        assert {h.metadata["topic"] for h in tiny_index.search("x", 4, filter={"topic": "modules"}, view=view)} == {
            "modules"
        }
    assert tiny_index.search("x", 5, filter={"topic": "nothing"}) == []


def test_k_beyond_the_number_of_documents_gives_all(tiny_index):
    for view in ("dense", "reconstruction", "latent"):
        assert len(tiny_index.search("x", 1000, view=view)) == 60


def test_an_empty_index_answers_nothing(tiny_bundle, tmp_path):
    with SteerableIndex.create(tmp_path / "empty", tiny_bundle) as index:
        for view in ("dense", "reconstruction", "latent"):
            assert index.search("anything", 3, view=view) == []
        assert index.add([]) == []


def test_another_process_is_seen(tiny_index):
    with SteerableIndex.open(tiny_index.path) as other:
        assert len(other.search("fish", 100, view="latent")) == 60
        tiny_index.add(["fish fish fish"], ids=["fish"])
        assert other.search("fish fish fish", 1)[0].id == "fish"
        assert len(other.search("fish", 100, view="latent")) == 61
        tiny_index.delete(["fish"])
        assert other.search("fish fish fish", 1)[0].id != "fish"


@pytest.mark.parametrize("how", [{"blend": "move"}, {"exclude": ["numbers"]}])
def test_threads_get_the_serial_answers(tiny_index, how):
    expected = answers(tiny_index, boost={"modules": 1.0}, **how)
    wrong = []

    def work():
        for _ in range(5):
            if answers(tiny_index, boost={"modules": 1.0}, **how) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda i: i.search("x", 0), ConfigError, "at least 1"),
        (lambda i: i.search("x", -2), ConfigError, "at least 1"),
        (lambda i: i.search("x", 2.5), ConfigError, "whole number"),
        (lambda i: i.search("x", view="other"), ConfigError, "dense, reconstruction, latent, words or hybrid"),
        (lambda i: i.search(3), DataError, "text or a unit vector"),
        (lambda i: i.search(np.ones(5, np.float32)), DataError, "length 32"),
        (lambda i: i.search(np.full(32, np.nan, np.float32)), DataError, "expected 1"),
        (lambda i: i.search("x", boost=["modules"]), ConfigError, "must map"),
        (lambda i: i.search("x", boost={"modules": "2"}), ConfigError, "finite number"),
        (lambda i: i.search("x", boost={"modules": float("nan")}), ConfigError, "modules"),
        (lambda i: i.search("x", boost={64: 1.0}), UnknownFeatureError, "f0 to f63"),
        (lambda i: i.search("x", boost={"f999": 1.0}), UnknownFeatureError, "sae features"),
        (lambda i: i.search("x", boost={" ": 1.0}), ConfigError, "empty"),
        (lambda i: i.search("x", boost={1.5: 1.0}), ConfigError, "not a concept"),
        (lambda i: i.search("x", filter={"year": {"$gtr": 1}}), FilterError, r"\$gt"),
        (lambda i: i.explain("x", "nobody"), DataError, "nobody"),
        (lambda i: i.add("text"), DataError, "single string"),
        (lambda i: i.add(["a", "b"], ids=["1"]), DataError, "2 texts but 1 ids"),
        (lambda i: i.add(["a", "b"], ids=["1", "1"]), DataError, "occurs twice"),
        (lambda i: i.add(["a"], metadata=[{1: 2}]), DataError, "key"),
        (lambda i: i.add(["a"], embeddings=np.full((1, 32), np.nan)), DataError, "row 0"),
        (lambda i: i.add(["a"], embeddings=np.ones((1, 31))), DataError, "length 32"),
        (lambda i: i.add(["ok", 3]), DataError, "int"),
        (lambda i: i.add(["ok"] * 600, metadata=[{}] * 599 + [{"a": {1}}]), DataError, "metadata"),
        (lambda i: i.add(["a", "b"], ids=["1", ""]), DataError, "empty string"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(tiny_index, call, error, message):
    with pytest.raises(error, match=message):
        call(tiny_index)
    assert len(tiny_index) == 60


def test_folders_that_are_no_index(tiny_bundle, tiny_index, tmp_path):
    with pytest.raises(IndexFolderError, match="sae index"):
        SteerableIndex.open(tmp_path / "nothing")
    with pytest.raises(IndexFolderError, match="not empty"):
        SteerableIndex.create(tiny_index.path, tiny_bundle)
    with pytest.raises(BundleError):
        SteerableIndex.create(tmp_path / "new", tmp_path / "no bundle")
    assert not (tmp_path / "new").exists()


def test_a_moved_bundle(tiny_bundle, topic_texts, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with SteerableIndex.create(tmp_path / "index", copy) as index:
        index.add(topic_texts.texts[:5], ids=topic_texts.ids[:5])
    shutil.move(copy, tmp_path / "elsewhere")
    with pytest.raises(IndexFolderError, match="say where it is"):
        SteerableIndex.open(tmp_path / "index")
    with SteerableIndex.open(tmp_path / "index", bundle=tmp_path / "elsewhere") as index:
        assert len(index) == 5
    # both folders moved together: the path between them is the same
    (tmp_path / "device").mkdir()
    shutil.move(tmp_path / "elsewhere", tmp_path / "device" / "bundle")
    shutil.move(tmp_path / "index", tmp_path / "device" / "index")
    with SteerableIndex.open(tmp_path / "device" / "index") as index:
        assert len(index) == 5


def test_altered_and_newer_bundles_are_refused(tiny_bundle, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    for name in ("embedder.onnx", "encoder.onnx", "decoder.onnx", "tokenizer.json", "features.json"):
        original = (copy / name).read_bytes()
        damaged = bytearray(original)
        damaged[len(damaged) // 2] ^= 1
        (copy / name).write_bytes(bytes(damaged))
        with pytest.raises(ChecksumError, match=name):
            Bundle.load(copy)
        (copy / name).write_bytes(original)
    assert len(Bundle.load(copy).features) == 64
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(FormatVersionError, match="pip install -U"):
        Bundle.load(copy)


@pytest.mark.skipif(sys.platform == "win32", reason="folders that cannot be written")
def test_a_broken_cache_is_rebuilt(tiny_index):
    expected = answers(tiny_index)
    path = tiny_index.path
    tiny_index.close()
    for file in (path / "cache").iterdir():
        file.write_bytes(b"broken")
    with SteerableIndex.open(path) as index:
        assert answers(index) == expected


def test_bundle_decodes_what_it_encodes(opened_bundle, topic_texts):
    vectors = opened_bundle.embed(topic_texts.texts[:7])
    indices, values = opened_bundle.encode(vectors)
    assert indices.shape == values.shape == (7, 8)
    dense = np.zeros((7, 64), np.float32)
    np.put_along_axis(dense, indices, values, 1)
    assert opened_bundle.decode(indices, values) == pytest.approx(
        dense @ opened_bundle.atoms + opened_bundle.b_dec, abs=1e-5
    )
    assert np.linalg.norm(opened_bundle.atoms, axis=1) == pytest.approx(1, abs=1e-5)
    assert opened_bundle.decode(np.zeros((2, 0), int), np.zeros((2, 0))).shape == (2, 32)
    for bad in [
        (np.array([[64]]), np.ones((1, 1))),
        (np.array([[0]]), np.full((1, 1), np.nan)),
        (np.zeros((1, 2), int), np.ones((1, 1))),
    ]:
        with pytest.raises(DataError):
            opened_bundle.decode(*bad)
    with pytest.raises(DataError, match="NaN"):
        opened_bundle.encode(np.full((1, 32), np.nan))
    with pytest.raises(DataError, match=r"\(n, 32\)"):
        opened_bundle.encode(np.ones((1, 33)))


@pytest.mark.parametrize("backend", ["hnsw", "usearch", "usearch-i8", "exact"])
def test_open_remembers_the_backend(opened_bundle, tmp_path, monkeypatch, backend):
    module = {"h": "hnswlib", "u": "usearch", "e": "numpy"}[backend[0]]
    pytest.importorskip(module)
    SteerableIndex.create(tmp_path / "index", opened_bundle, backend=backend).close()
    with SteerableIndex.open(tmp_path / "index") as index:
        assert index.stats().backend == backend
        index.add(["one text", "another text"], ids=["a", "b"])
        assert index.search("one text", 1)[0].id == "a"
        index.save()
        assert index.stats().cached
    with SteerableIndex.open(tmp_path / "index", backend="exact") as index:
        assert index.stats().backend == "exact"
    if module != "numpy":
        monkeypatch.setitem(sys.modules, module, None)  # taken to a device without the library
        with SteerableIndex.open(tmp_path / "index") as index:
            assert index.stats().backend == "exact"
            assert index.search("one text", 1)[0].id == "a"


def test_a_query_is_embedded_once(tmp_path, opened_bundle, monkeypatch):
    with SteerableIndex.create(tmp_path / "index", opened_bundle) as index:
        index.add(["how files are opened", "how values are compared"], ids=["a", "b"])
        asked = []
        embed = opened_bundle.embed_queries
        monkeypatch.setattr(opened_bundle, "embed_queries", lambda texts: asked.append(texts) or embed(texts))
        query = "a question that nobody asked before"
        opened_bundle.clear_cache()
        hits = index.search(query)
        assert index.search(query, boost={3: 1.0})
        index.explain(query, hits[0].id)
        assert asked == [[query]]
        with pytest.raises(ValueError, match="read-only"):
            opened_bundle.embed_query(query)[0] = 1
        with pytest.raises(DataError, match="lone surrogate"):
            index.search("\ud800")
        for value in (1e30, np.nan, np.inf):
            with pytest.raises(DataError, match="row 0 has length"):
                index.search(np.full(opened_bundle.d_in, value, np.float32))
