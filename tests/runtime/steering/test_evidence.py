import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from steersearch.errors import SteeringWarning
from steersearch.runtime import SteerableIndex
from steersearch.runtime.steering.documents import Documents
from steersearch.runtime.steering.evidence import WORDS, Evidence


class FakeFeatures:
    """Latent i is about the word "wi", whose nearest document has the cosine i/32."""

    def words_for(self, latents):
        return [f"w{latent}" for latent in latents]

    def with_words(self, text):
        return {"0.1 known": {39, 3}, "0.1 silent": {39}}.get(text, set())

    def search(self, text, limit):
        return ["f1 (one)", "f2 (two)"]


class FakeBundle:
    d_in, n_latents = 1, 40
    manifest = SimpleNamespace(max_length=256)

    def __init__(self):
        self.features, self.embedded = FakeFeatures(), []

    def embed_queries(self, texts):
        self.embedded.append(list(texts))
        return np.array([[int(t[1:]) / WORDS if t.startswith("w") else float(t.split()[0])] for t in texts], np.float32)


class FakeDocuments(Documents):
    """Documents whose cosine with a row is its only number."""

    def __init__(self, codes, generation):
        self._codes, self._generation = codes, generation

    @property
    def generation(self):
        return self._generation()

    def sample_codes(self, limit):
        return self._codes

    def nearest(self, rows):
        return rows.reshape(-1)


def evidence(generation=lambda: 1, latents=range(WORDS)):
    """All of `latents` fire on the only document."""
    bundle, codes = FakeBundle(), (np.array([[*latents, 39]]), np.array([[*(1.0 for _ in latents), 0.0]]))
    return bundle, Evidence(bundle, FakeDocuments(codes, generation))


def test_the_share_of_words_with_less_near_documents():
    _, made = evidence()
    assert made.of("0.5") == 17 / 32  # 0/32 to 16/32
    assert made.of("1.0 everything") == 1.0


def test_a_phrase_that_the_index_says_nothing_about_is_named_with_what_is_near():
    _, made = evidence()
    with pytest.warns(SteeringWarning, match=r"nothing about '0\.1 what'.*nearest features: f1 \(one\), f2 \(two\)"):
        assert made.of("0.1 what") == 4 / 32
    with pytest.warns(SteeringWarning, match="silent"):
        made.of("0.1 silent")  # a feature has these words, and fires nowhere
    assert made.of("0.1 known") == 4 / 32  # one that fires has them: no warning
    assert made.of("0.32 enough") == 11 / 32


def test_the_words_are_of_features_that_fire_on_most_documents():
    latents = np.arange(300) % 150  # 150 features, of which 128 are looked at: every fourth
    bundle = FakeBundle()
    bundle.n_latents = 150
    values = np.ones((1, 300))
    values[0, :22] = 0  # these fire on one document, the others on two
    made = Evidence(bundle, FakeDocuments((latents[None], values), lambda: 1))
    made.of("5.0")
    assert bundle.embedded[0] == [f"w{latent}" for latent in range(22, 150, 4)]


def test_the_words_are_embedded_once_and_compared_again_when_documents_change():
    now = [1]
    bundle, made = evidence(lambda: now[0])
    made.of("0.5")
    made.of("0.6")
    now[0] = 2
    made.of("0.7")
    assert [len(texts) for texts in bundle.embedded] == [WORDS, 1, 1, 1]


def test_nothing_is_said_without_words_or_documents(tiny_bundle, tmp_path):
    assert evidence(latents=range(WORDS - 1))[1].of("0.0") is None
    with SteerableIndex.create(tmp_path / "empty", tiny_bundle) as index:
        assert index.steer("a name", {"xq zv": 1.0}).boosted[0][0].evidence is None


def test_on_a_real_index(tiny_index):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = tiny_index.steer("a name", {"an exception is raised": 1.0}).boosted[0][0]
    assert known.evidence > 0.5
    with pytest.warns(SteeringWarning, match="nothing about 'zzzz qqqq'.*nearest features: f"):
        unknown = tiny_index.steer("a name", {"zzzz qqqq": 1.0}).boosted[0][0]
    assert unknown.evidence < 1 / 3
    assert unknown.weights
