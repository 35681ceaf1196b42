import time
from typing import ClassVar

import numpy as np
import pytest

from steersearch.errors import ConfigError, DataError, UnknownFeatureError
from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.bundle.features import Features
from steersearch.runtime.bundle.word_index import MAX_WORDS, WordIndex


def feature(id, label=None, keywords=(), **more):
    return Feature(id, label, 0.1, 0.2, 0.5, 0.9, keywords, **more)


class FakeBundle:
    """Four latents along the axes; a text is the list of its numbers."""

    fire_together: ClassVar = {}
    atoms = np.eye(4, dtype=np.float32)

    def __init__(self, made):
        self.features = Features(made, np.zeros(4, np.float32), self.embed, self, self.companions)

    def embed(self, texts):
        return np.array([[float(number) for number in text.split()] for text in texts], np.float32)

    def companions(self, latent):
        return self.fire_together.get(latent, {})

    def encode(self, rows):
        return np.tile(np.arange(4), (len(rows), 1)), np.maximum(rows, 0)


@pytest.fixture
def bundle():
    return FakeBundle([feature(0, "zero"), feature(1, "one"), feature(2, hidden=True), feature(3, "three")])


def test_words_of_labels_count_most_and_rare_words_more_than_common_ones():
    index = WordIndex(
        [
            feature(0, "stem cells", ("marrow",)),
            feature(1, "cancer cells"),
            feature(2, guess="marrow cells", unclear=True),
            feature(3, "noise", ("stem",)),
            feature(4, "cells", hidden=True),
            feature(5, "mice", family="stem"),
        ]
    )
    scores = index.scores("Stem")
    assert scores[0] == scores[5] > scores[3] > 0
    assert set(index.scores("cells")) == {0, 1, 2}
    assert index.scores("cells")[1] > index.scores("cells")[2]
    assert index.scores("marrow")[2] > index.scores("marrow")[0]
    both = index.scores("stem cells")
    assert max(both, key=both.get) == 0
    assert both[3] < both[0]
    assert index.scores("cancer")[1] > index.scores("cells")[1]
    assert index.scores("…") == {}


def test_latents_with_all_words_of_a_text():
    features = Features([feature(0, "stem cells"), feature(1, "cell, death"), feature(2, "stem")], np.zeros(1))
    assert features.with_words("stem cell") == {0}
    assert features.with_words("cells") == {0, 1}
    assert features.with_words("stem death") == features.with_words("?") == set()


def test_words_of_latents():
    made = [feature(0, "label, more", keywords=("first", "second")), feature(1, "label, more"), feature(2)]
    assert Features(made, np.zeros(1)).words_for([2, 1, 0]) == ["label", "first"]


def test_endings_of_words_do_not_matter():
    index = WordIndex([feature(0, "receptors"), feature(1, "receptor"), feature(2, "rec"), feature(3, "car")])
    assert set(index.scores("receptor")) == {0, 1}
    assert index.scores("receptor")[1] > index.scores("receptor")[0]
    assert set(index.scores("cars")) == set()  # too short to tell from `care` or `card`


def test_search_by_where_a_phrase_points(bundle):
    found = bundle.features.search("0.2 0.9 0.95 0.1")
    assert [f.id for f in found] == [1, 0, 3]  # 2 is hidden
    assert [f.id for f in bundle.features.search("-1 0 0 1")] == [3]
    assert bundle.features.search(" ") == []


def test_search_is_away_from_what_all_phrases_share():
    """Sixty-four words that point along latent 0 make it say nothing about any one of them."""
    made = [feature(i, keywords=("1 0 0 0",)) for i in range(64)]
    bundle = FakeBundle(made)
    bundle.atoms = np.eye(64, 4, dtype=np.float32)
    assert bundle.features.search("1 0.2 0 0", 1)[0].id == 1


def test_search_puts_a_label_first(opened_bundle):
    for wanted in list(opened_bundle.features)[:5]:
        if wanted.label:
            assert opened_bundle.features.search(wanted.label.upper(), 3)[0] is wanted


def test_search_examples_contrasts_with_what_is_usual(bundle):
    # Usual is .1 x .2 = .02, typical .5: latent 1 is at (.31 - .02) / .5, latent 0 at (.02 - .02) / .5.
    found = bundle.features.search_examples(["0.04 0.51 0.9 0", "0 0.11 0.9 0"])
    assert [f.id for f, _ in found] == [1]
    assert found[0][1] == pytest.approx(0.58)
    by_vectors = bundle.features.search_examples(np.array([[0, 2.0, 0, 0]], np.float32))
    assert [(f.id, round(excess, 2)) for f, excess in by_vectors] == [(1, 1.96)]  # made unit: (1 - .02) / .5


def test_examples_of_a_real_bundle(opened_bundle, topic_texts):
    exceptions = [text for id, text in zip(topic_texts.ids, topic_texts.texts, strict=True) if "exceptions" in id]
    by_texts = opened_bundle.features.search_examples(exceptions, 3)
    by_vectors = opened_bundle.features.search_examples(opened_bundle.embed(exceptions), 3)
    assert [f for f, _ in by_texts] == [f for f, _ in by_vectors]
    assert len(by_texts) == 3
    for wrong in ([], "one text", np.zeros((0, 32), np.float32), np.ones((2, 3), np.float32)):
        with pytest.raises(DataError):
            opened_bundle.features.search_examples(wrong)


def test_similar_by_atoms_and_by_what_fires_together(bundle):
    atoms = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    bundle.atoms = atoms
    found = bundle.features.similar("zero")
    assert [(s.feature.id, round(s.cosine, 2), s.lift) for s in found] == [(1, 0.8, None), (3, 0.6, None)]
    bundle.fire_together = {0: {3: 2.0, 2: 9.0}}
    found = bundle.features.similar("zero")  # f3: .6 + half of 1 - 1/2 = .85
    assert [(s.feature.id, s.lift) for s in found] == [(3, 2.0), (1, None)]
    with pytest.raises(UnknownFeatureError):
        bundle.features.similar("nobody")


def test_features_without_a_bundle_find_by_words_only():
    features = Features([feature(0, "zero"), feature(1, "one")], np.zeros(2, np.float32))
    assert [f.id for f in features.search("one")] == [1]
    with pytest.raises(ConfigError, match=r"Bundle\.load"):
        features.similar(0)
    with pytest.raises(ConfigError, match=r"Bundle\.load"):
        features.search_examples(["x"])


def test_a_long_text_takes_no_longer_than_what_is_read_of_it():
    rng = np.random.default_rng(0)
    vocabulary = [f"{stem}{end}" for stem in rng.integers(1000, 9999, 2000) for end in ("", "s", "ly", "ings")]
    index = WordIndex([feature(id, keywords=tuple(vocabulary[id::400])) for id in range(400)])
    first = vocabulary[:MAX_WORDS]
    start = time.perf_counter()
    scores = index.scores(" ".join(vocabulary * 20))
    assert time.perf_counter() - start < 2
    assert scores == index.scores(" ".join(first)) != {}
    features = Features([feature(0, "zero")], np.zeros(4, np.float32))
    start = time.perf_counter()
    assert features.nearest("zero " * 200_000)[0].label == "zero"
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("key", ["f" + "9" * 5000, "9" * 5000, 10**5000, "f99"], ids="abcd")
def test_an_absurd_id_is_refused_in_one_short_line(bundle, key):
    with pytest.raises(UnknownFeatureError, match=r"no (bundle has a )?latent .*see `sae features`") as caught:
        bundle.features.find(key)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
    assert bundle.features.find("f003").label == "three"
