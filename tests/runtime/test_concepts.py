import pytest

from steersearch.errors import ConfigError, DataError, UnknownFeatureError
from steersearch.runtime import Concept


def test_a_concept_can_be_printed_edited_saved_and_loaded(opened_bundle, tmp_path):
    concept = Concept.from_text("an exception is raised").resolve(opened_bundle)
    words = concept.describe(opened_bundle)
    assert words.startswith("an exception is raised: ")
    assert len(words.splitlines()) >= 2
    concept.save(tmp_path / "c.json")
    again = Concept.load(tmp_path / "c.json")
    assert again == concept
    assert hash(again) == hash(concept)
    latent = next(iter(concept.weights))
    edited = Concept.from_latents({latent: 0.5}, "edited")
    assert Concept.from_json(edited.to_json()).weights == {latent: 0.5}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.json"]


def test_unresolved_concepts_are_kept_as_they_were_asked():
    for concept in (Concept.from_text("jazz"), Concept.from_examples(["a", "b"], ["c"], "name")):
        assert Concept.from_json(concept.to_json()) == concept


def test_resolution_is_deterministic_and_the_largest_weight_is_one(opened_bundle):
    first, again = (Concept.from_text("import a module").resolve(opened_bundle) for _ in range(2))
    assert first == again
    assert max(first.weights.values()) == pytest.approx(1.0)
    assert min(first.weights.values()) > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Concept.from_text("  "),
        lambda: Concept.from_latents({}),
        lambda: Concept.from_latents({1: float("nan")}),
        lambda: Concept.from_latents({1: "2"}),
        lambda: Concept.from_examples([]),
        lambda: Concept.from_examples("text"),
        lambda: Concept.from_json("[]"),
        lambda: Concept.from_json("{"),
        lambda: Concept.load("/nonexistent"),
    ],
)
def test_bad_concepts(make):
    with pytest.raises(ConfigError):
        make()


def test_concepts_that_the_bundle_cannot_express(opened_bundle):
    dead = [feature.id for feature in opened_bundle.features if feature.p95 == 0]
    with pytest.raises(UnknownFeatureError, match="has 64"):
        Concept.from_latents({64: 1.0}).resolve(opened_bundle)
    for latent in dead[:1]:
        with pytest.raises(UnknownFeatureError, match="never fires"):
            Concept.from_latents({latent: 1.0}).resolve(opened_bundle)
    with pytest.raises(DataError, match="cancel out"):
        Concept.from_examples(["same text"], ["same text"]).resolve(opened_bundle)
