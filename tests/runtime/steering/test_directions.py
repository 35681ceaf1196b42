from types import SimpleNamespace

import numpy as np
import pytest

from steersearch.errors import DataError, SteeringWarning, UnknownFeatureError
from steersearch.runtime import Concept
from steersearch.runtime.steering import concept_directions
from steersearch.runtime.steering.concept_directions import ENOUGH, direction_of_examples, direction_of_text, weights_of
from steersearch.runtime.steering.documents import Documents


@pytest.fixture
def bundle(monkeypatch):
    """Four latents along the axes; a text is the list of its numbers."""
    monkeypatch.setattr(concept_directions, "contexts_of", lambda bundle: bundle.contexts)
    typical, mean = np.array([0.5, 0.25, 0.5, 0.0], np.float32), np.array([0, 0, 0, 1], np.float32)
    return SimpleNamespace(
        atoms=np.eye(4, dtype=np.float32),
        d_in=4,
        manifest=SimpleNamespace(max_length=8),
        features=SimpleNamespace(typical=typical, reference_mean=mean, inert=frozenset()),
        contexts=SimpleNamespace(added_by=lambda text: None),
        embed_documents=lambda texts: np.array(
            [[float(number) for number in text.split()] for text in texts], np.float32
        ),
    )


class Known(Documents):
    """Documents with these ids, and a sample of them."""

    def __init__(self, stored=None, vectors=None):
        self._stored, self._vectors = stored or {}, vectors

    def vector_of(self, id):
        return self._stored.get(id)

    def sample_vectors(self, limit):
        return self._vectors


def test_a_text_is_its_embedding_without_the_mean(bundle):
    assert direction_of_text("3 4 0 1", bundle) == pytest.approx([0.6, 0.8, 0, 0])


def test_what_a_text_adds_to_others_counts_twice(bundle):
    """Once in what the documents are asked for, of which there are none here, and once itself."""
    bundle.contexts.added_by = {"3 4 0 1": np.array([0, 0, 1, 0], np.float32)}.get
    asked = np.array([0.6, 0.8, 1, 0]) / 2**0.5
    expected = asked + np.array([0, 0, 1, 0])
    assert direction_of_text("3 4 0 1", bundle) == pytest.approx(expected / np.linalg.norm(expected))


def test_examples_are_the_difference_of_their_means(bundle):
    stored = {"doc-1": np.array([4, 0, 0, 0], np.float32)}
    found = direction_of_examples("x", ["doc-1", "2 0 0 0"], ["0 4 0 0"], "", bundle, Known(stored))  # (3, 0) - (0, 4)
    assert found == pytest.approx([0.6, -0.8, 0, 0])
    assert direction_of_examples("x", ["doc-1"], [], "", bundle, Known(stored)) == pytest.approx(
        np.array([4, 0, 0, -1]) / 17**0.5
    )
    with pytest.raises(DataError, match="'x' and their contrast are the same"):
        direction_of_examples("x", ["doc-1"], ["doc-1", "4 0 0 0"], "", bundle, Known(stored))


def test_a_phrase_joins_the_examples(bundle):
    found = direction_of_examples("x", ["4 0 0 1"], [], "0 3 0 1", bundle)
    assert found == pytest.approx(np.array([1, 0.5, 0, 0]) / 1.25**0.5)


def test_documents_say_what_is_common_and_what_a_phrase_means(bundle):
    documents = np.array([[0.8, 0.6, 0, 0]] * 10 + [[0, 0, 1, 0]] * 240, np.float32)
    mean = documents.mean(0)
    # The ten documents that agree with the phrase are 4 % of all: the phrase means what they have in common.
    expected = documents[0] - mean
    found = direction_of_text("1 0 0 0", bundle, Known(vectors=documents))
    assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    few = direction_of_text("3 4 0 1", bundle, Known(vectors=documents[: ENOUGH - 1]))
    assert few == pytest.approx([0.6, 0.8, 0, 0])  # too few: the reference corpus is all there is


def test_weights_are_in_units_of_what_is_typical(bundle):
    weights, fit = weights_of(np.array([0.8, 0.6, 0, 0], np.float32), bundle)
    assert list(weights) == [0, 1]  # the larger share of the direction first, though latent 1 is the more pronounced
    assert weights == pytest.approx({0: 0.8 / 0.5 / 2.4, 1: 1.0})  # .6 / .25 = 2.4 is the largest
    assert fit == pytest.approx(1)


def test_latents_that_never_fire_or_point_away_are_not_used(bundle):
    weights, fit = weights_of(np.array([0.6, 0, 0, 0.8], np.float32), bundle)
    assert list(weights) == [0]
    assert fit == pytest.approx(0.6)
    assert weights_of(np.array([-1, 0, 0, 0], np.float32), bundle) == ({}, 0.0)


def test_an_inert_feature_is_not_taken_alone(bundle):
    axis = np.array([1, 0, 0, 0], np.float32)
    bundle.atoms[1, :2] = 0.8, 0.6
    assert weights_of(axis, bundle) == ({0: 1.0}, pytest.approx(1))
    bundle.features.inert = frozenset({0})
    weights, fit = weights_of(axis, bundle)
    # Of the second .8, which is all that it has of the direction; typical activations are .5 and .25.
    assert weights == pytest.approx({0: 1 / 0.5 / 3.2, 1: 1.0})
    assert fit == pytest.approx(1.64 / np.hypot(1.64, 0.48))
    bundle.features.inert = frozenset({1, 2})
    assert list(weights_of(axis, bundle)[0]) == [0]
    bundle.features.typical[1] = bundle.features.typical[2] = 0
    bundle.features.inert = frozenset({0})
    assert weights_of(axis, bundle) == ({0: 1.0}, pytest.approx(1))  # there is no other


def test_what_nothing_expresses_is_refused_with_what_is_near(opened_bundle, monkeypatch):
    phrase = "an exception is raised"
    away = int(np.argmin(opened_bundle.atoms @ direction_of_text(phrase, opened_bundle)))
    typical = np.zeros(64, np.float32)
    typical[away] = 1.0
    monkeypatch.setattr(opened_bundle.features, "typical", typical)
    with pytest.raises(UnknownFeatureError, match=f"no features of this bundle express '{phrase}'; nearest labels: f"):
        Concept.from_text(phrase).resolve(opened_bundle)


def test_of_a_long_phrase_only_the_beginning_is_embedded(bundle):
    read = []
    embed = bundle.embed_documents
    bundle.embed_documents = lambda texts: (read.extend(texts), embed([text[:7] for text in texts]))[1]
    with pytest.warns(SteeringWarning, match=r"has 1,000,007 characters: only the first 256 are read"):
        direction_of_text("1 0 0 0" + " 0" * 500_000, bundle)
    assert [len(text) for text in read] == [256]
    direction_of_text("1 0 0 0", bundle)


def test_messages_hold_the_beginning_of_a_long_phrase(bundle):
    bundle.manifest.files = {"decoder.onnx": {"sha256": "0"}}
    bundle.features.nearest = lambda text: []
    bundle.embed_documents = lambda texts: np.array([[0, 0, 0, 2]] * len(texts), np.float32)
    with (
        pytest.warns(SteeringWarning),
        pytest.raises(UnknownFeatureError, match=r"express 'x\\x1b\[2J\\nx.*…; nearest labels: none") as caught,
    ):
        Concept.from_text("x\x1b[2J\n" * 9000).resolve(bundle)
    assert len(str(caught.value)) < 200
