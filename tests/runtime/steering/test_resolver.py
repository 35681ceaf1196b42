"""From keys and strengths to a steered query: auto, protect, records of what was asked, contradictions, bad input."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steersearch.errors import BundleError, ConfigError, DataError, SteeringWarning, UnknownFeatureError
from steersearch.runtime import Bundle, Concept
from steersearch.runtime.steering.change import MAX_STRENGTH, shifted
from steersearch.runtime.steering.documents import Documents
from steersearch.runtime.steering.resolver import Resolver

QUERY, PHRASE, OTHER = "a name is given", "an exception is raised", "import a module"
shared = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def alive(bundle):
    return [feature.id for feature in bundle.features if feature.p95 > 0]


@shared
@given(st.floats(0.2, 1.0), st.booleans(), st.sampled_from(["auto", "-auto"]))
def test_auto_keeps_what_was_stated(tiny_index, keep, protect, how):
    steered = tiny_index.steer(QUERY, {PHRASE: how}, keep=keep, protect=protect, blend="move")
    (_, strength), *_ = steered.boosted
    assert abs(strength) <= MAX_STRENGTH
    assert (strength <= 0) == (how == "-auto") or strength == 0
    assert steered.kept == pytest.approx(keep, abs=1e-4) or abs(strength) == MAX_STRENGTH
    again = tiny_index.steer(QUERY, {PHRASE: strength}, protect=protect, blend="move")
    assert np.array_equal(again.vector, steered.vector)


def test_several_autos_share_a_factor_and_numbers_come_first(tiny_index):
    boost = {PHRASE: "auto", OTHER: "-auto", alive(tiny_index.bundle)[0]: 0.3}
    steered = tiny_index.steer(QUERY, boost, keep=0.8, blend="move")
    (_, up), (_, down), (_, number) = steered.boosted
    assert up == -down > 0
    assert number == 0.3
    assert steered.kept == pytest.approx(0.8, abs=1e-4)
    alone = tiny_index.steer(QUERY, {PHRASE: "auto"}, keep=0.8, blend="move").boosted[0][1]
    assert alone != up


def test_auto_has_no_room_when_the_numbers_took_it(tiny_index):
    with pytest.warns(SteeringWarning, match='"auto" is 0: what stands beside it already leaves'):
        steered = tiny_index.steer(QUERY, {PHRASE: 20.0, OTHER: "auto"}, keep=0.9, blend="move")
    assert [strength for _, strength in steered.boosted] == [20.0, 0.0]


def test_the_label_of_an_inert_feature_is_a_phrase(opened_bundle):
    bundle = Bundle.load(opened_bundle.path)
    feature = next(f for f in bundle.features if f.p95 > 0)
    named = replace(feature, label="exceptions are raised", score=0.9, steers=0.5)

    def resolved(feature):
        bundle.features = bundle.features.with_edited([feature if f.id == feature.id else f for f in bundle.features])
        resolver = Resolver(bundle)
        return [resolver.resolve(key) for key in (named.label, feature.id, feature.name)]

    assert [concept.weights for concept in resolved(named)] == [{feature.id: 1.0}] * 3
    by_label, *by_number = resolved(replace(named, inert=True))
    assert by_label.source == "text"
    assert len(by_label.weights) > 1
    assert [concept.weights for concept in by_number] == [{feature.id: 1.0}] * 2


def test_a_clamped_concept_is_not_auto_steered(tiny_index):
    concept = tiny_index.steer(QUERY, {PHRASE: 1.0}).boosted[0][0]
    with pytest.warns(SteeringWarning, match="the clamp wins"):
        steered = tiny_index.steer(QUERY, {PHRASE: "auto"}, {concept: 0.0}, blend="move", keep=0.8)
    assert steered.boosted[0][1] == 0.0


@pytest.mark.parametrize("protect", [False, True])
def test_protect_leaves_the_strongest_features_of_the_query_alone(tiny_index, protect):
    steered = tiny_index.steer(QUERY, {PHRASE: 2.0, OTHER: -1.0}, protect=protect, blend="move")
    atoms, typical = tiny_index.bundle.atoms, tiny_index.bundle.features.typical
    before = steered.change.before
    own = steered.change.latents[before > 0]
    order = np.argsort(-before[before > 0] / typical[own])
    moved = shifted(steered.original, steered.change, atoms)
    along = atoms[own[order[:8]]] @ (moved - steered.original)
    assert (np.abs(along).max() < 1e-5) == protect
    for how in ({"blend": "move"}, {"blend": "both"}):
        for hit in tiny_index.search(QUERY, 5, boost={PHRASE: 2.0}, protect=protect, **how):
            explanation = tiny_index.explain(QUERY, hit.id, boost={PHRASE: 2.0}, protect=protect, **how)
            total = sum(part.contribution for part in explanation.parts) + explanation.rest
            assert total == pytest.approx(hit.score, abs=1e-5)


def test_protect_gives_way_to_what_is_clamped(tiny_index):
    strongest = tiny_index.steer(
        QUERY,
    ).change
    latent = int(strongest.latents[np.argmax(strongest.before)])
    steered = tiny_index.steer(QUERY, {PHRASE: 1.0}, {latent: 0.0}, protect=True)
    assert steered.change.after[steered.change.latents == latent] == 0


def test_a_boost_of_what_is_protected_is_named(tiny_index):
    strongest = tiny_index.steer(
        QUERY,
    ).change
    latent = int(strongest.latents[np.argmax(strongest.before)])
    for how in ({"boost": {latent: 1.0}, "blend": "move"}, {"boost": {latent: 1.0}}, {"exclude": [latent]}):
        with pytest.warns(SteeringWarning, match="protect=True leaves nothing of .*: it is what the query is about"):
            steered = tiny_index.steer(QUERY, protect=True, **how)
        assert steered.kept == pytest.approx(1, abs=1e-6)
        with pytest.warns(SteeringWarning, match="protect=True leaves nothing of .*: it is what the query is about"):
            hits = tiny_index.search(QUERY, 9, protect=True, **how)
        assert [hit.id for hit in hits] == [hit.id for hit in tiny_index.search(QUERY, 9)]


def test_the_record_says_what_was_asked_and_what_it_became(tiny_index):
    feature = next(f for f in tiny_index.bundle.features if f.label and f.p95 > 0)
    examples = Concept.from_examples(["modules-1", "modules-3"], name="modules")
    steered = tiny_index.steer(QUERY, {feature.label.upper(): 0.1, f"f{feature.id}": 0.1, PHRASE: 0.1, examples: 0.1})
    label, latent, phrase, like = (concept for concept, _ in steered.boosted)
    assert [c.source for c in (label, latent, phrase, like)] == ["label", "latents", "text", "examples"]
    assert label.weights == latent.weights == {feature.id: 1.0}
    assert (label.fit, label.evidence) == (1.0, None)
    assert (phrase.name, like.name) == (PHRASE, "modules")
    assert 0 < phrase.fit <= 1
    assert phrase.evidence > 0.5
    assert tiny_index.steer(QUERY, {f" {PHRASE} ": 0.1}).boosted[0][0] is phrase  # resolved once
    assert steered.kept < 1
    assert tiny_index.steer(QUERY).kept == pytest.approx(1)


def test_concepts_of_examples_follow_the_documents(tiny_index):
    concept = Concept.from_examples(["modules-1", "modules-3"])
    first = tiny_index.steer(QUERY, {concept: 1.0}).boosted[0][0]
    assert tiny_index.steer(QUERY, {concept: 1.0}).boosted[0][0] is first
    tiny_index.add(["An integer is a number."], ids=["modules-1"])
    again = tiny_index.steer(QUERY, {concept: 1.0}).boosted[0][0]
    assert again.weights != first.weights
    assert tiny_index.steer(QUERY, {first: 1.0}).boosted[0][0].weights == first.weights  # resolved: as it stands


def test_without_an_index_there_is_no_evidence_and_examples_are_looked_up_every_time(opened_bundle, topic_texts):
    asked = []

    class Engine(Documents):
        def vector_of(self, id):
            asked.append(id)
            return opened_bundle.embed([topic_texts.texts[topic_texts.ids.index(id)]])[0]

    resolver = Resolver(opened_bundle, Engine())
    examples = Concept.from_examples(["modules-1"])
    assert resolver.resolve(examples) == resolver.resolve(examples)
    assert asked == ["modules-1"] * 2
    assert resolver.resolve("zzzz qqqq").evidence is None
    assert resolver.resolve("zzzz qqqq") is resolver.resolve("zzzz qqqq")


def test_examples_that_are_no_ids(tiny_index):
    with pytest.warns(SteeringWarning, match="'modules-99' is not the id of a document"):
        tiny_index.steer(QUERY, {Concept.from_examples(["modules-1", "modules-99"]): 1.0})
    for how in ({"exclude": [Concept.from_examples(["modules-1", "modules-99"])]},
                {"boost": {Concept.from_examples(["modules-1", "modules-99"]): -1.0}}):  # fmt: skip
        with pytest.warns(SteeringWarning, match="'modules-99' is not the id of a document"):
            tiny_index.steer(QUERY, **how)
    text = Concept.from_examples(["An exception is raised by a handler.", "exceptions-3"], ["numbers-1", "A number."])
    assert tiny_index.steer(QUERY, {text: 1.0}).boosted[0][0].weights


def test_examples_that_are_all_the_same(tiny_index):
    one = tiny_index.steer(QUERY, {Concept.from_examples(["modules-1"]): 1.0}).boosted[0][0]
    many = tiny_index.steer(QUERY, {Concept.from_examples(["modules-1"] * 3): 1.0}).boosted[0][0]
    assert many.weights == pytest.approx(one.weights, abs=1e-4)
    tiny_index.add(["The same."] * 2, ids=["twin-1", "twin-2"])
    with pytest.raises(DataError, match="are the same, so they cancel out"):
        tiny_index.steer(QUERY, {Concept.from_examples(["twin-1"], ["twin-2"]): 1.0})


def test_absurd_strengths_are_bounded(tiny_index):
    with pytest.warns(SteeringWarning, match=r"strength of 'import a module' is -1e\+09: taken as -100"):
        steered = tiny_index.steer(QUERY, {OTHER: -1e9})
    assert steered.boosted[0][1] == -MAX_STRENGTH
    assert np.linalg.norm(steered.vector) == pytest.approx(1, abs=1e-5)


def test_contradictions_name_both(tiny_index):
    latent, other = alive(tiny_index.bundle)[:2]
    with pytest.warns(SteeringWarning, match=r"'a' and 'b' with opposite signs.*cosine 1\.00"):
        tiny_index.steer(
            QUERY, {Concept.from_latents({latent: 1.0}, "a"): 1.0, Concept.from_latents({latent: 2.0}, "b"): -0.5}
        )
    with pytest.warns(SteeringWarning, match=f"'{PHRASE}' is in boost and '{PHRASE}'.*in clamp at 0: the clamp wins"):
        tiny_index.steer(QUERY, {PHRASE: 1.0}, {PHRASE: 0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_index.steer(QUERY, {np.int64(latent): 1.0, f"f{latent}": 1.0})  # twice the same way: they add up
        tiny_index.steer(QUERY, {latent: 1.0, f"f{latent}": 0.0})
        tiny_index.steer(QUERY, {latent: 1.0, other: -1.0}, {alive(tiny_index.bundle)[2]: 0})


def test_a_bundle_without_features(tiny_index, monkeypatch):
    monkeypatch.setattr(tiny_index.bundle.features, "typical", np.zeros(64, np.float32))
    for key in (PHRASE, 3, "f3"):
        with pytest.raises(BundleError, match="has no features"):
            tiny_index.search(QUERY, boost={key: 1.0})
    assert tiny_index.search(QUERY, 3, boost={}) == tiny_index.search(QUERY, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda i: i.steer("x", {PHRASE: "Auto!"}), ConfigError, "auto"),
        (lambda i: i.steer("x", clamp={PHRASE: "auto"}), ConfigError, "finite number"),
        (lambda i: i.search("x", keep=0), ConfigError, "keep is 0"),
        (lambda i: i.explain("x", "modules-1", keep=1.5), ConfigError, "keep is 1.5"),
        (lambda i: i.steer("x", {True: 1.0}), UnknownFeatureError, "True"),
    ],
)
def test_bad_input(tiny_index, call, error, message):
    with pytest.raises(error, match=message):
        call(tiny_index)


def test_a_boost_is_added_without_encoding_the_query(tiny_index, monkeypatch):
    boost = {"raise an exception": 0.7, "import a module": "-auto"}
    expected = tiny_index.steer(QUERY, boost, blend="move")
    by_code = shifted(expected.original, expected.change, tiny_index.bundle.atoms)
    np.testing.assert_allclose(expected.vector, by_code / np.linalg.norm(by_code), atol=1e-6)
    how = ({"blend": "move"}, {"exclude": ["an integer"]}, {"blend": "move", "exclude": ["an integer"]})
    hits = [tiny_index.search(QUERY, 5, boost=boost, **more) for more in how]

    def refuse(*_):
        raise AssertionError("the query was encoded")

    monkeypatch.setattr(type(tiny_index.bundle), "encode", refuse)
    steered = tiny_index.steer(QUERY, boost, blend="move")
    np.testing.assert_array_equal(steered.vector, expected.vector)
    assert [tiny_index.search(QUERY, 5, boost=boost, **more) for more in how] == hits
    for look in (
        lambda: steered.change,
        lambda: tiny_index.steer(QUERY, clamp={"raise an exception": 1.0}),
        lambda: tiny_index.search(QUERY, boost=boost, view="latent"),
    ):
        with pytest.raises(AssertionError, match="was encoded"):
            look()


NEGATED = ["not a library", "No library", "without any library", "anything but the library", "nothing about library"]
OTHERS = ["notes of a library", "non-library", "noble library", "a knot", "library, not code"]


@pytest.mark.parametrize("phrase", NEGATED)
def test_a_negation_as_a_boost_is_told(tiny_index, phrase):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        tiny_index.steer(QUERY, {phrase: 1.0})
    assert any("write exclude=['library']" in str(one.message) for one in given)


@pytest.mark.parametrize("phrase", OTHERS)
def test_other_words_are_no_negation(tiny_index, phrase):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        tiny_index.steer(QUERY, {phrase: 1.0})
        tiny_index.steer(QUERY, {NEGATED[0]: -1.0})
    assert not [one for one in given if "brings more about" in str(one.message)]
