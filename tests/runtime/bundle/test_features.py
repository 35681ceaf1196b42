import json

import numpy as np
import pytest

from steersearch.errors import BundleError, FormatVersionError, UnknownFeatureError
from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.bundle.features import Features, read_features

MADE = [
    Feature(0, "cats, kittens", 0.2, 0.3, 0.5, 0.9, ("cats", "kittens", "purr")),
    Feature(1, "dogs, puppies", 0.1, 0.3, 0.4, 0.9, ("dogs", "puppies", "cats")),
    Feature(2, None, 0.0, 0.0, 0.0, 0.0),
]


class FakeBundle:
    """Every text points along latent 1, a little along latent 0, and away from latent 2."""

    atoms = np.eye(3, dtype=np.float32)

    def embed(self, texts):
        return np.tile(np.array([0.1, 0.4, -0.1], np.float32), (len(texts), 1))


@pytest.fixture
def features():
    model = FakeBundle()
    return Features(MADE, np.zeros(3, np.float32), model.embed, model)


def test_keys(features):
    assert features.get(1) is features.get("f1") is features.get("1") is features.get("Dogs, Puppies") is MADE[1]
    assert features.find("birds") is None
    assert str(features[0]) == "f0 (cats, kittens)"
    assert str(features[2]) == "f2"


def test_unknown_keys_name_the_nearest(features):
    with pytest.raises(UnknownFeatureError, match=r"f0 \(cats, kittens\)"):
        features.get("cats, kitten")
    with pytest.raises(UnknownFeatureError, match="f0 to f2"):
        features.find(3)
    with pytest.raises(UnknownFeatureError, match="has 3"):
        features.find("f99")
    with pytest.raises(UnknownFeatureError):
        features.find(-1)
    with pytest.raises(UnknownFeatureError):
        features.find(True)


def test_search_takes_words_and_meaning(features):
    assert {f.id for f in features.search("cats")} == {0, 1}
    assert [f.id for f in features.search("canine")] == [1, 0]  # by meaning alone; f2 never fires
    assert features.search("dogs, puppies")[0].id == 1
    assert Features(MADE, np.zeros(4, np.float32)).search("purr")[0].id == 0


def test_the_score_stands_behind_the_label():
    assert str(Feature(412, "stem cells", 0.1, 0.1, 0.2, 0.3, score=0.834)) == "f412 (stem cells, .83)"
    assert str(Feature(412, "stem cells", 0.1, 0.1, 0.2, 0.3, score=0.999)) == "f412 (stem cells, 1.00)"
    assert str(Feature(412, None, 0.1, 0.1, 0.2, 0.3, unclear=True, guess="a, b")) == "f412 (a, b?)"
    assert str(Feature(412, None, 0.1, 0.1, 0.2, 0.3, unclear=True, hidden=True)) == "f412"


def entry(i, **changes):
    return {
        "id": i,
        "label": f"l{i}",
        "density": 0.1,
        "mean": 0.1,
        "p95": 0.2,
        "max": 0.3,
        "keywords": [],
        "examples": [],
    } | changes


def body(**changes):
    return {
        "format_version": 1,
        "n_latents": 2,
        "reference": {"mean": [0.0, 1.0]},
        "latents": [entry(0), entry(1)],
    } | changes


def test_read(tmp_path):
    path = tmp_path / "features.json"
    path.write_text(json.dumps(body()))
    features, mean = read_features(path, n_latents=2, d_in=2)
    assert [f.label for f in features] == ["l0", "l1"]
    assert mean.tolist() == [0, 1]
    assert Features(features, mean).typical.tolist() == [pytest.approx(0.2)] * 2


def test_read_what_an_interpretation_adds(tmp_path):
    path = tmp_path / "features.json"
    found = [entry(0, score=0.83, pattern_score=0.9), entry(1, label=None, unclear=True, guess="a, b", score=None)]
    path.write_text(json.dumps(body(latents=found)))
    (clear, unclear), _ = read_features(path, n_latents=2, d_in=2)
    assert (clear.score, clear.pattern_score, clear.unclear, clear.guess) == (0.83, 0.9, False, None)
    assert (unclear.score, unclear.unclear, unclear.guess, str(unclear)) == (None, True, "a, b", "f1 (a, b?)")
    assert (clear.hidden, clear.note, clear.family, clear.renamed) == (False, "", None, False)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (body(format_version=2), FormatVersionError),
        (body(format_version="1"), BundleError),
        (body(latents=[entry(0)]), BundleError),
        (body(latents=[entry(1), entry(0)]), BundleError),
        (body(latents=[entry(0), {"id": 1}]), BundleError),
        (body(latents=[entry(0), entry(1, p95=float("nan"))]), BundleError),
        (body(latents=[entry(0), entry(1, label=3)]), BundleError),
        (body(latents=[entry(0), entry(1, guess=3)]), BundleError),
        (body(latents=[entry(0), entry(1, score=1.5)]), BundleError),
        (body(latents=[entry(0), entry(1, score=float("nan"))]), BundleError),
        (body(latents=[entry(0), entry(1, pattern_score="high")]), BundleError),
        (body(reference={"mean": [1.0]}), BundleError),
        ([], BundleError),
        ("text", BundleError),
    ],
)
def test_wrong_files(tmp_path, wrong, error):
    path = tmp_path / "features.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(error):
        read_features(path, n_latents=2, d_in=2)


def test_missing_file(tmp_path):
    with pytest.raises(BundleError, match="export the bundle again"):
        read_features(tmp_path / "features.json", n_latents=2, d_in=2)


def test_a_number_that_no_latent_has():
    for key in ("f" + "9" * 30, "9" * 5000, "f" + "0" * 5000):
        with pytest.raises(UnknownFeatureError, match=r"latent|f0 to f"):
            Features([Feature(0, "a", 0.0, 0.0, 0.0, 0.0)], np.zeros(2, np.float32)).get(key)
