import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.errors import ConfigError, DataError, SteeringWarning, StorageError, UnknownFeatureError
from steersearch.runtime import Concept

latents = st.integers(0, 63)
weights = st.floats(-100, 100, allow_nan=False)


def alive(bundle):
    return [feature for feature in bundle.features if feature.p95 > 0]


def test_what_it_consists_of_can_be_printed(opened_bundle):
    concept = Concept.from_text("an exception is raised").resolve(opened_bundle)
    pairs = concept.features(opened_bundle)
    assert [(feature.id, weight) for feature, weight in pairs] == list(concept.weights.items())
    lines = str(pairs).splitlines()
    assert lines[0] == f"{pairs[0][1]:+.2f}  {pairs[0][0]}"
    assert len(lines) == len(pairs) == len(concept.weights)


def test_what_it_will_do_in_words(opened_bundle):
    up, down = alive(opened_bundle)[:2]
    concept = Concept.from_latents({up.id: 0.5, down.id: -1.0}, "mine")
    assert concept.describe(opened_bundle, 2).splitlines() == [
        "mine (latents): 2 features, fit 1.00",
        "at strength 2, in typical activations:",
        f"  down 2.00  {down}",
        f"  up   1.00  {up}",
    ]
    assert f"  up   0.50  {down}" in concept.describe(opened_bundle, -0.5)
    assert concept.describe(opened_bundle, limit=1).endswith("  and 1 more, each by at most 0.50")
    assert concept.describe(opened_bundle, 0).endswith("changes nothing")
    phrase = Concept.from_text("an exception is raised")
    assert phrase.describe(opened_bundle).startswith("an exception is raised (a phrase): ")
    with pytest.raises(ConfigError, match="mine"):
        concept.describe(opened_bundle, float("nan"))


def test_saved_and_loaded(opened_bundle, tmp_path):
    concept = replace(Concept.from_text("an exception is raised").resolve(opened_bundle), evidence=0.5)
    for bundle in (None, opened_bundle):
        concept.save(tmp_path / "c.json", bundle)
        again = Concept.load(tmp_path / "c.json")
        assert again == concept
        assert hash(again) == hash(concept)
        assert again.resolve(opened_bundle) is again
        assert sorted(p.name for p in tmp_path.iterdir()) == ["c.json"]
    with pytest.raises(StorageError, match="nowhere"):
        concept.save(tmp_path / "nowhere" / "c.json")


def test_unresolved_concepts_are_kept_as_they_were_asked():
    for concept in (Concept.from_text("jazz"), Concept.from_examples(["a", "b"], ["c"], "name")):
        assert Concept.from_json(concept.to_json()) == concept
    resolved = replace(Concept.from_examples(["a", "b"], ["c"], "name"), weights={3: 1.0}, fit=0.5)
    assert Concept.from_json(resolved.to_json()) == resolved


@given(st.dictionaries(latents, weights, min_size=1))
def test_any_weights_come_back_as_they_are(made):
    concept = Concept.from_latents(made)
    assert Concept.from_json(concept.to_json()).weights == made
    assert list(Concept.from_json(concept.to_json()).weights) == list(made)


def test_edited_by_hand(opened_bundle):
    concept = Concept.from_text("an exception is raised").resolve(opened_bundle)
    feature, another = [each for each in alive(opened_bundle) if each.label][:2]
    raw = json.loads(concept.to_json(opened_bundle))
    assert next(iter(raw["weights"])).startswith("f")
    keys = [str(feature), f"f{feature.id}", str(feature.id), f"f{feature.id} (whatever, (it) said)", feature.label]
    for key in keys:
        raw["weights"] = {key: 0.5, another.name: -2}
        edited = Concept.from_json(json.dumps(raw), opened_bundle)
        assert edited.weights == {feature.id: 0.5, another.id: -2.0}
        assert (edited.name, edited.source, edited.fit) == (concept.name, "text", concept.fit)
    with pytest.raises(ConfigError, match="give the bundle"):
        Concept.from_json(json.dumps(raw | {"weights": {feature.label: 1.0}}))
    with pytest.raises(UnknownFeatureError, match="nobody"):
        Concept.from_json(json.dumps(raw | {"weights": {"nobody knows": 1.0}}), opened_bundle)
    with pytest.raises(ConfigError, match=f"f{feature.id} twice"):
        Concept.from_json(json.dumps(raw | {"weights": {feature.label: 1.0, feature.name: 1.0}}), opened_bundle)


def test_latents_of_another_model_are_told(opened_bundle):
    concept = Concept.from_text("an exception is raised").resolve(opened_bundle)
    assert len(concept.model) == 64
    with pytest.warns(SteeringWarning, match="another model"):
        replace(concept, model="0" * 64).resolve(opened_bundle)


def test_resolution_is_deterministic_and_the_largest_weight_is_one(opened_bundle):
    first, again = (Concept.from_text("import a module").resolve(opened_bundle) for _ in range(2))
    assert first == again
    assert max(first.weights.values()) == pytest.approx(1.0)
    assert min(first.weights.values()) > 0


def test_absurd_weights_are_bounded():
    with pytest.warns(SteeringWarning, match=r"f3.* is -1e\+06: taken as -100"):
        assert Concept.from_latents({3: -1e6}).weights == {3: -100.0}
    assert Concept.from_latents({np.int64(3): np.float32(0.5), "f4": 1}).weights == {3: 0.5, 4: 1.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Concept.from_text("  "),
        lambda: Concept.from_text(3),
        lambda: Concept.from_latents({}),
        lambda: Concept.from_latents([3]),
        lambda: Concept.from_latents({1: float("nan")}),
        lambda: Concept.from_latents({1: "2"}),
        lambda: Concept.from_latents({1.5: 1.0}),
        lambda: Concept.from_latents({"jazz": 1.0}),
        lambda: Concept.from_examples([]),
        lambda: Concept.from_examples("text"),
        lambda: Concept.from_examples(["a", ""]),
        lambda: Concept.from_examples(["a"], [3]),
        lambda: Concept.from_json("[]"),
        lambda: Concept.from_json("{"),
        lambda: Concept.from_json('{"name": "a", "source": "dreams"}'),
        lambda: Concept.from_json('{"name": 3, "source": "text"}'),
        lambda: Concept.from_json('{"name": "a", "source": "text", "fit": "good"}'),
        lambda: Concept.from_json('{"name": "a", "source": "text", "fit": 1' + "0" * 400 + "}"),
        lambda: Concept.from_json('{"name": "a", "source": "text", "evidence": NaN}'),
        lambda: Concept.from_json('{"name": "a", "source": "text", "weights": {"f1": NaN}}'),
        lambda: Concept.from_json('{"name": "a", "source": "text", "weights": {"f1": "1"}}'),
        lambda: Concept.from_json('{"name": "a", "source": "text", "weights": ["f1"]}'),
        lambda: Concept.from_json('{"name": "a", "source": "examples", "more_like": [3]}'),
        lambda: Concept.load("/nonexistent"),
    ],
)
def test_bad_concepts(make):
    with pytest.raises(ConfigError):
        make()


def test_what_is_no_file_of_a_concept_is_refused_at_once(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2_000_000_000)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    for name in (".", "binary", "large", "pipe", "none", "x" * 5000, "a\0"):
        with pytest.raises(ConfigError, match=r"concept"):
            Concept.load(tmp_path / name)


def test_weights_that_were_replaced_are_checked(opened_bundle):
    concept = Concept.from_text("an exception is raised").resolve(opened_bundle)
    assert replace(concept, weights={alive(opened_bundle)[0].id: 2.0}).resolve(opened_bundle).fit == concept.fit
    for weight in (float("nan"), float("inf"), -101.0):
        with pytest.raises(ConfigError, match="within"):
            replace(concept, weights={alive(opened_bundle)[0].id: weight}).resolve(opened_bundle)


def test_ids_need_an_index(opened_bundle):
    with pytest.warns(SteeringWarning, match="'modules-1' cannot be looked up without an index"):
        Concept.from_examples(["modules-1", "A module is imported."]).resolve(opened_bundle)


def test_concepts_that_the_bundle_cannot_express(opened_bundle):
    dead = [feature.id for feature in opened_bundle.features if feature.p95 == 0]
    with pytest.raises(UnknownFeatureError, match="has 64"):
        Concept.from_latents({64: 1.0}).resolve(opened_bundle)
    for latent in dead[:1]:
        with pytest.raises(UnknownFeatureError, match="never fires"):
            Concept.from_latents({latent: 1.0}).resolve(opened_bundle)
    with pytest.raises(DataError, match="cancel out"):
        Concept.from_examples(["same text"], ["same text"])
    with pytest.raises(DataError, match="cancel out"):
        Concept.from_examples(["same text"], ["same text", "same text "]).resolve(opened_bundle)


def test_examples_are_taken_by_position_from_anything():
    pandas = pytest.importorskip("pandas")
    expected = Concept.from_examples(["b", "a"], ["c"])
    column = pandas.Series(["a", "b"], index=[1, 0]).sort_index()
    assert Concept.from_examples(column, (text for text in "c")) == expected
    with pytest.raises(ConfigError, match="needs at least one in more_like"):
        Concept.from_examples(pandas.Series([], dtype=str))


def test_half_a_character_is_saved(tmp_path):
    concept = Concept.from_latents({3: 1.0}, "half of \ud83d")
    concept.save(tmp_path / "concept.json")
    assert Concept.load(tmp_path / "concept.json") == concept


@pytest.mark.parametrize("text", ["[" * 100_000, '{"name": ' * 100_000, "9" * 5000], ids="abc")
def test_what_no_parser_reads(text):
    with pytest.raises(ConfigError, match="this is not a saved concept") as caught:
        Concept.from_json(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
