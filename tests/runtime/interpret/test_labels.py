import numpy as np
import pytest

from steersearch.arrays import unit_rows
from steersearch.runtime.interpret.labels import (
    Label,
    Phrases,
    frequent_phrases,
    make_label,
    make_unique,
    phrases_of,
    share_word,
)
from steersearch.text import inflected


def phrases(**rows):
    centred = unit_rows(np.array(list(rows.values()), np.float32))
    return Phrases([name.replace("_", " ") for name in rows], centred, np.zeros(centred.shape[1], np.float32))


def test_phrases_stand_in_the_text_and_begin_and_end_with_words_that_say_something():
    found = list(phrases_of("The import of modules. Stem-cell therapy works"))
    assert found == [
        *("import", "import of modules", "modules"),
        *("stem-cell", "stem-cell therapy", "stem-cell therapy works", "therapy", "therapy works", "works"),
    ]
    assert "modules stem-cell" not in found  # a full stop is between them
    assert list(phrases_of("loss of function")) == ["loss", "loss of function", "function"]


def test_phrases_of_one_document_and_of_every_document_tell_nothing():
    texts = ["alpha beta", "alpha gamma", "alpha beta", "alpha gamma", *["alpha delta"] * 8, *["alpha"] * 8]
    found = frequent_phrases(texts)
    assert "beta" in found
    assert "alpha" not in found
    assert "delta" not in found  # in 8 of 20, above a fifth
    assert frequent_phrases(["one only"]) == []
    assert frequent_phrases(["a1 zeta", "b1 zeta", *["nothing"] * 20], limit=1) == ["zeta"]


def test_each_phrase_brings_the_sum_nearer():
    found = make_label(
        np.array([1.0, 1, 1], np.float32), phrases(x=[1, 0, 0.1], y=[0, 1, 0], z=[0, 0.1, 1], away=[-1, -1, -1])
    )
    assert set(found.phrases) == {"x", "y", "z"}
    assert found.direction @ unit_rows(np.ones((1, 3), np.float32))[0] > 0.99
    assert np.linalg.norm(found.direction) == pytest.approx(1, abs=1e-6)


def test_one_phrase_is_enough_where_it_says_all():
    assert make_label(np.array([1.0, 0]), phrases(all=[1, 0], half=[1, 1])).phrases == ("all",)


def test_words_that_say_the_same_are_passed_over():
    found = make_label(
        np.array([1.0, 1, 0]), phrases(receptor=[1, 0, 0], receptors=[0.95, 0.3, 0], binding=[0.3, 1, 0.2])
    )
    assert len(set(found.phrases) & {"receptor", "receptors"}) == 1


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("receptor", "receptors", True),
        ("histone", "histone marks", True),
        ("study", "studies", True),
        ("cell", "cells", True),
        ("art", "arts", False),  # too short to tell
        ("interleukin", "internet", False),
    ],
)
def test_the_same(a, b, same):
    assert share_word(a, b) is same
    assert share_word(b, a) is same
    assert inflected("cat", "cat") is False


def test_labels_are_unique_and_the_first_keeps_its_own():
    label = Label(("a", "b"), np.zeros(2, np.float32))
    texts = make_unique([label, None, label, Label((), np.zeros(2, np.float32))], [2, 0, 1, 3])
    assert texts == ["a, b (f0)", None, "a, b", None]
