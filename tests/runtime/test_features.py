import json

import numpy as np
import pytest

from steersearch.errors import BundleError, FormatVersionError, UnknownFeatureError
from steersearch.runtime.features import Feature, Features, read_features

MADE = [
    Feature(0, "cats, kittens", 0.2, 0.3, 0.5, 0.9, ("cats", "kittens", "purr")),
    Feature(1, "dogs, puppies", 0.1, 0.3, 0.4, 0.9, ("dogs", "puppies", "cats")),
    Feature(2, None, 0.0, 0.0, 0.0, 0.0),
]


@pytest.fixture
def features():
    def encode(text):
        return np.array([1, 0, 2]), np.array([0.4, 0.1, 0.0], np.float32)

    return Features(MADE, np.zeros(4, np.float32), encode)


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
    assert [f.id for f in features.search("cats")] == [1, 0] or [f.id for f in features.search("cats")] == [0, 1]
    assert [f.id for f in features.search("canine")] == [1, 0]  # by the encoder alone, inactive latents left out
    assert features.search("dogs, puppies")[0].id == 1
    assert Features(MADE, np.zeros(4, np.float32)).search("purr")[0].id == 0


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
    features = read_features(path, n_latents=2, d_in=2)
    assert [f.label for f in features] == ["l0", "l1"]
    assert features.typical.tolist() == [pytest.approx(0.2)] * 2


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
