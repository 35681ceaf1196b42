import numpy as np
import pytest

from steersearch.training.latent_statistics import describe_latents, latent_statistics, long_words


def test_statistics_by_hand():
    indices = np.array([[0, 1], [0, 2], [1, 0]])
    values = np.array([[0.9, 0.1], [0.5, 0.0], [0.7, 0.3]], np.float32)
    first, second, third = latent_statistics(indices, values, 3)
    assert first["density"] == pytest.approx(1.0)
    assert first["max"] == pytest.approx(0.9)
    assert first["mean"] == pytest.approx((0.9 + 0.5 + 0.3) / 3)
    assert first["p95"] == pytest.approx(np.percentile([0.9, 0.5, 0.3], 95))
    assert first["top"] == [0, 1, 2]
    assert second["top"] == [2, 0]
    assert third == {"id": 2, "density": 0.0, "mean": 0.0, "p95": 0.0, "max": 0.0, "top": []}  # value 0 is not firing


def test_labels_say_what_the_texts_share_and_are_unique():
    texts = ["the cat sat", "a cat ran", "the dog sat", "a dog ran", "rain and wind", "sun and wind"]
    indices = np.array([[0], [0], [1], [1], [2], [2]])
    statistics = latent_statistics(indices, np.ones((6, 1), np.float32), 5)
    features = describe_latents(statistics, texts)
    assert [f["id"] for f in features] == [0, 1, 2, 3, 4]
    assert features[0]["keywords"][0] == "cat"
    assert features[1]["keywords"][0] == "dog"
    assert [f["label"] for f in features] == ["cat", "dog", "wind", None, None]
    assert features[0]["examples"] == ["the cat sat", "a cat ran"]


def test_a_label_is_a_noun_phrase_that_no_other_latent_has():
    texts = ["the oil prices rose quickly"] * 2 + ["oil prices fell"] * 2
    features = describe_latents(latent_statistics(np.repeat([0, 1], 2)[:, None], np.ones((4, 1), np.float32), 2), texts)
    labels = [f["label"] for f in features]
    assert set(labels) <= {"oil prices", "oil", "prices", None}
    assert len(set(labels)) == 2


def test_texts_without_words_have_no_label():
    features = describe_latents(
        latent_statistics(np.zeros((2, 1), int), np.ones((2, 1), np.float32), 1), ["", "123 !!"]
    )
    assert features[0]["label"] is None


def test_words():
    assert long_words(f"{'a' * 64} {'b' * 65} {'c' * 10**6}") == ["a" * 64]
    assert long_words("Don't STOP, os.path: naïve x 42 self_test") == ["don't", "stop", "path", "naïve", "self_test"]
