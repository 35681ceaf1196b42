"""Names of features of documents whose topics are known."""

import numpy as np
import pytest

from steersearch.runtime import Bundle
from steersearch.runtime.interpret import interpret
from steersearch.runtime.interpret.names.candidates import VAGUE


@pytest.fixture(scope="module")
def found(tiny_bundle, topic_texts, tmp_path_factory):
    bundle, cache = Bundle.load(tiny_bundle), tmp_path_factory.mktemp("cache")
    return interpret(bundle, topic_texts.ids, topic_texts.texts, corpus="topics", cache_dir=cache, patterns=False)


def test_names_are_short_and_each_is_given_once(found):
    labels = [label for label in found.labels if label]
    assert labels
    firsts = [label.phrases[0].casefold() for label in labels]
    assert len(set(firsts)) == len(firsts)
    for label in labels:
        assert 1 <= len(label.phrases) <= 2
        assert all(1 <= len(phrase.split()) <= 3 for phrase in label.phrases)
        assert not set(firsts) & VAGUE
        assert np.linalg.norm(label.direction) == pytest.approx(1, abs=1e-5)


def test_a_name_that_the_strongest_documents_do_not_say_is_unclear(found):
    for entry in found.interpretation.entries:
        if entry.score and entry.score.said is not None and entry.score.said < 0.45:
            assert entry.unclear
