import warnings

import numpy as np
import pytest

from steersearch.errors import SteeringWarning
from steersearch.runtime import SteerableIndex
from steersearch.runtime.evidence import WORDS, Evidence


class FakeFeatures:
    """Words "w0" to "w31", whose nearest documents have the cosines 0, 1/32, 2/32, ..."""

    def __init__(self):
        self.words = [f"w{i}" for i in range(WORDS)]

    def some_words(self, limit):
        return self.words[:limit]

    def has_words(self, text):
        return text == "0.1 known"

    def search(self, text, limit):
        return ["f1 (one)", "f2 (two)"]


class FakeBundle:
    d_in = 1

    def __init__(self):
        self.features, self.embedded = FakeFeatures(), []

    def embed(self, texts):
        self.embedded.append(list(texts))
        return np.array([[int(t[1:]) / WORDS if t.startswith("w") else float(t.split()[0])] for t in texts], np.float32)


def evidence(generation=lambda: 1):
    bundle = FakeBundle()
    return bundle, Evidence(bundle, lambda rows: rows[:, 0], generation)


def test_the_share_of_words_with_less_near_documents():
    _, made = evidence()
    assert made.of("0.5") == 17 / 32  # 0/32 to 16/32
    assert made.of("1.0 everything") == 1.0


def test_a_phrase_that_the_index_says_nothing_about_is_named_with_what_is_near():
    _, made = evidence()
    with pytest.warns(SteeringWarning, match=r"nothing about '0\.1 what'.*nearest features: f1 \(one\), f2 \(two\)"):
        assert made.of("0.1 what") == 4 / 32
    assert made.of("0.1 known") == 4 / 32  # a feature has these words: no warning
    assert made.of("0.22 enough") == 8 / 32


def test_the_words_are_embedded_once_and_compared_again_when_documents_change():
    now = [1]
    bundle, made = evidence(lambda: now[0])
    made.of("0.5")
    made.of("0.6")
    now[0] = 2
    made.of("0.7")
    assert [len(texts) for texts in bundle.embedded] == [WORDS, 1, 1, 1]


def test_nothing_is_said_without_words_or_documents(tiny_bundle, tmp_path):
    bundle, made = evidence()
    bundle.features.words = []
    made._nearest = lambda rows: np.zeros(0, np.float32)
    assert made.of("0.0") is None
    with SteerableIndex.create(tmp_path / "empty", tiny_bundle) as index:
        assert index.steer("a name", {"xq zv": 1.0}).concepts[0][0].evidence is None


def test_on_a_real_index(tiny_index):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = tiny_index.steer("a name", {"an exception is raised": 1.0}).concepts[0][0]
    assert known.evidence > 0.5
    with pytest.warns(SteeringWarning, match="nothing about 'zzzz qqqq'.*nearest features: f"):
        unknown = tiny_index.steer("a name", {"zzzz qqqq": 1.0}).concepts[0][0]
    assert unknown.evidence < 0.25
    assert unknown.weights
