"""The whole path on sixty real sentences: interpret, save, read, predict, label again."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steersearch.errors import BundleError, ChecksumError, ConfigError, DataError
from steersearch.runtime import Bundle, SteerableIndex
from steersearch.runtime.bundle.interpretation import interpretation_bytes
from steersearch.runtime.interpret.pipeline import interpret, training_auc, with_labels, with_training_scores
from steersearch.runtime.interpret.storage import read_graph, save


@pytest.fixture(scope="module")
def folder(tiny_bundle, tmp_path_factory):
    return shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("interpreted") / "bundle")


@pytest.fixture(scope="module")
def found(folder, topic_texts, tmp_path_factory):
    steps = []
    # Three times the sentences: enough documents on which each latent fires.
    ids = [f"{id}-{i}" for i in range(3) for id in topic_texts.ids]
    texts = [f"{text} {more}" for more in ("", "Indeed.", "Once more.") for text in topic_texts.texts]
    result = interpret(
        Bundle.load(folder, threads=1),
        ids,
        texts,
        corpus="docs",
        queries=["how is an exception raised?"],
        cache_dir=tmp_path_factory.mktemp("cache"),
        progress=lambda *step: steps.append(step),
    )
    assert {"read documents", "name features", "find what matters", "weigh words"} <= {stage for stage, *_ in steps}
    assert all(done <= total for _, done, total in steps)
    return result


@pytest.fixture(scope="module")
def labelled(folder, found):
    return save(Bundle.load(folder, threads=1), found)


def test_what_is_known_about_a_latent(found, opened_bundle):
    entries = found.interpretation.entries
    assert [entry.latent for entry in entries] == list(range(opened_bundle.n_latents))
    labels = [entry.label for entry in entries if entry.label]
    assert len(labels) == len(set(labels)) > 10
    scored = [entry for entry in entries if entry.score]
    assert scored
    for entry in scored:
        assert entry.label
        assert 0 <= entry.score.auc <= 1
        assert entry.fires <= entry.active
        assert 0 <= entry.score.said <= 1
        assert entry.unclear == (entry.score.auc < 0.65 or entry.score.p_value > 0.05 or entry.score.said < 0.45)
        for passage in entry.top:
            assert all(0 <= a < b <= len(passage.text) and 0 < share <= 1 for a, b, share in passage.spans)
            assert passage.activation > 0
    assert any(entry.patterns for entry in entries)
    assert any(entry.steers for entry in entries)
    assert any(entry.queries for entry in entries)
    assert all(len(entry.similar) > 0 for entry in entries)
    silent = [entry for entry in entries if not entry.active]
    assert all(entry.label is None and entry.unclear and not entry.top for entry in silent)


def test_passages_come_from_the_half_that_labels_are_made_from(found):
    held_out = {id for id, held in zip(found.documents.ids, found.documents.held_out, strict=True) if held}
    for entry in found.interpretation.entries:
        assert not held_out & {passage.document for passage in entry.top}


def test_it_comes_back_as_it_was(labelled, found):
    again = Bundle.load(labelled.path).interpretation
    assert again is not None
    assert again.documents == 180
    assert again.families == found.interpretation.families
    assert again.tree == found.interpretation.tree
    in_tree = sorted(latent for group in again.tree for latent in group.members)
    assert in_tree == [entry.latent for entry in again.entries if entry.fires]
    for feature, entry in zip(labelled.features, again.entries, strict=True):
        assert feature.fires == entry.fires
        assert feature.support == (entry.score.positives if entry.score else None)
        assert feature.share == pytest.approx(entry.active / 180, abs=1e-5)
    for entry, before in zip(again.entries, found.interpretation.entries, strict=True):
        assert (entry.label, entry.phrases, entry.patterns, entry.top) == (
            *(before.label, before.phrases, before.patterns),
            before.top,
        )
        assert entry.steers == before.steers
        if before.score:
            assert entry.score.auc == pytest.approx(before.score.auc, abs=1e-4)


def test_the_score_travels_with_the_feature(labelled, found):
    for feature, entry in zip(labelled.features, found.interpretation.entries, strict=True):
        assert feature.label == (None if entry.unclear else entry.label)
        assert feature.unclear == (entry.unclear and entry.active > 0)
        assert feature.steers == (entry.steers and entry.steers.score)
        assert feature.inert == (entry.steers is not None and not entry.steers.holds)
        if not entry.unclear:
            assert feature.score == pytest.approx(entry.score.auc, abs=1e-4)
            assert str(feature).startswith(f"{feature.name} ({entry.label}, ")


def test_an_index_goes_on_working(tiny_bundle, topic_texts, tmp_path, found):
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    with SteerableIndex.create(tmp_path / "index", folder) as index:
        index.add(topic_texts.texts, topic_texts.ids)
        before = [(hit.id, hit.score) for hit in index.search("raise an exception", k=5)]
    save(Bundle.load(folder), found)
    with SteerableIndex.open(tmp_path / "index") as index:
        assert [(hit.id, hit.score) for hit in index.search("raise an exception", k=5)] == before
        clear = next(feature for feature in index.bundle.features if feature.label and feature.p95)
        assert index.search("raise", k=3, boost={clear.label: 1.0})
        ids, texts, vectors = index.documents()
        assert (ids, texts) == (topic_texts.ids, topic_texts.texts)
        assert np.allclose(vectors, index.bundle.embed(texts), atol=1e-5)


def test_the_graph_predicts_from_words_alone(labelled, found, topic_texts):
    graph = read_graph(labelled)
    predicted = graph.predict(topic_texts.texts)
    assert predicted.shape == (60, labelled.n_latents)
    assert (predicted >= 0).all()
    indices, values = labelled.encode(labelled.embed(topic_texts.texts))
    real = np.zeros_like(predicted)
    np.put_along_axis(real, indices, values, 1)
    scored = [e.latent for e in found.interpretation.entries if e.pattern_score and e.fires >= 10]
    correlations = [np.corrcoef(predicted[:, f], real[:, f])[0, 1] for f in scored if real[:, f].std() > 0]
    assert np.nanmedian(correlations) > 0.4
    one = graph.predict(topic_texts.texts[:3], [5, 2])
    assert np.allclose(one, predicted[:3][:, [5, 2]], atol=1e-6)
    text = topic_texts.texts[0]
    assert graph.shares(0, text)[0][0] == "[CLS]"
    latent, patterns = next(iter(graph.patterns.items()))
    words = " ".join(place[0] for place in patterns[0].tokens)
    assert patterns[0] in graph.matches(latent, words)
    assert graph.matches(latent, "nothing of that kind") == ()
    with pytest.raises(DataError, match="this bundle has 0 to 63"):
        graph.predict(["a"], [64])


def test_the_same_run_again_embeds_nothing(found, folder, topic_texts, tmp_path, monkeypatch):
    bundle = Bundle.load(folder, threads=1)
    once = interpret(bundle, topic_texts.ids, topic_texts.texts, corpus="docs", cache_dir=tmp_path)
    monkeypatch.setattr(Bundle, "embed", lambda *arguments, **more: pytest.fail("embedded again"))
    again = interpret(bundle, topic_texts.ids, topic_texts.texts, corpus="docs", cache_dir=tmp_path)
    assert again.interpretation == once.interpretation


def test_labels_of_another_kind_are_chosen_and_scored_on_different_halves(found, folder):
    bundle = Bundle.load(folder, threads=1)
    latent = max(found.interpretation.entries, key=lambda e: e.fires if e.score else -1).latent
    seen = list(with_training_scores(found))[latent]
    text = found.interpretation.entries[latent].label.removesuffix(f" (f{latent})")
    assert training_auc(bundle, found, latent, text) == pytest.approx(seen.score.auc, abs=1e-6)
    changed = with_labels(bundle, found, {latent: text}, "a model").interpretation.entries[latent]
    assert changed.source == "a model"
    before = found.interpretation.entries[latent]
    assert changed.score.auc == pytest.approx(before.score.auc, abs=1e-6)
    assert changed.steers is not None
    assert replace(changed.steers, text=0.0) == replace(before.steers, text=0.0)
    rare = next(e.latent for e in found.interpretation.entries if found.splits[e.latent] is None)
    assert training_auc(bundle, found, rare, text) is None


def test_a_negative_seed_is_refused(opened_bundle, topic_texts, tmp_path):
    with pytest.raises(ConfigError, match="seed is -1: it must be a whole number of at least 0"):
        interpret(opened_bundle, topic_texts.ids, topic_texts.texts, corpus="docs", seed=-1, cache_dir=tmp_path)


def test_bad_input(opened_bundle, topic_texts, tmp_path):
    with pytest.raises(DataError, match="3 documents: interpreting features takes at least 20"):
        interpret(opened_bundle, ["a", "b", "c"], ["x", "y", "z"], corpus="docs", cache_dir=tmp_path)
    with pytest.raises(DataError, match="60 texts, 59 ids"):
        interpret(opened_bundle, topic_texts.ids[1:], topic_texts.texts, corpus="docs", cache_dir=tmp_path)
    assert opened_bundle.interpretation is None
    with pytest.raises(ConfigError, match="was never interpreted: sae features label"):
        read_graph(opened_bundle)


def test_documents_without_words_are_no_obstacle(opened_bundle, topic_texts, tmp_path):
    texts = [*topic_texts.texts, *["", "12 34", "???", "。", "a" * 2000] * 4]
    ids = [str(i) for i in range(len(texts))]
    found = interpret(opened_bundle, ids, texts, corpus="docs", cache_dir=tmp_path)
    assert found.interpretation.documents == 80


@pytest.mark.parametrize("name", ["interpretation.jsonl.gz", "tokens.npz"])
def test_a_damaged_file_is_named(labelled, tmp_path, name):
    folder = shutil.copytree(labelled.path, tmp_path / "bundle")
    (folder / name).write_bytes(b"x" * (folder / name).stat().st_size)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        Bundle.load(folder)
    with pytest.raises(BundleError, match=f"{name} cannot be read.*sae features label"):
        read_graph(Bundle.load(folder, verify=False))


def test_of_another_bundle(labelled, tmp_path):
    entries = replace(labelled.interpretation, entries=labelled.interpretation.entries[1:])
    folder = shutil.copytree(labelled.path, tmp_path / "bundle")
    (folder / "interpretation.jsonl.gz").write_bytes(interpretation_bytes(entries))
    broken = Bundle.load(labelled.path)
    broken.path = folder
    with pytest.raises(BundleError, match="describes 63 latents, the bundle has 64"):
        broken.interpretation  # noqa: B018


def test_another_bundle_that_came_meanwhile_is_not_replaced(found, tiny_bundle, tmp_path):
    out = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    bundle = Bundle.load(out, threads=1)
    shutil.rmtree(out)
    other = shutil.copytree(Path(__file__).parents[2] / "data" / "tiny_bundle", out)
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    with pytest.raises(ChecksumError, match="was replaced after the bundle was opened"):
        save(bundle, found)
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
