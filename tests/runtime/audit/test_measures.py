"""Measures of texts and statistics of pairs, on cases that can be checked by hand."""

import math

import numpy as np
import pytest

from steersearch.runtime.audit.measures import boilerplate_of, language_of, length_of, reading_level_of
from steersearch.runtime.audit.pairs import SharedWords, corrected, match, sign_test


def test_length_counts_words_and_is_unknown_without():
    assert length_of("One two, three-four. 5 6") == 4
    assert math.isnan(length_of("1234 !"))


def test_reading_level_is_the_formula_and_unknown_where_it_means_nothing():
    # 6 words of 24 letters, 2 sentences
    assert reading_level_of("Rain falls down. Dogs bark loud.") == pytest.approx(4.71 * 25 / 6 + 0.5 * 3 - 21.43)
    assert math.isnan(reading_level_of("Too short."))
    assert math.isnan(reading_level_of("これは日本語の文章です。 これも文章です。 これも。 これ。 また。 はい。"))
    easy, hard = "The cat sat. The dog ran. It was fun.", "Notwithstanding jurisdictional considerations, arbitration."
    assert reading_level_of(hard + " " + hard) > reading_level_of(easy)


def test_language_is_told_by_common_words_and_scripts():
    assert language_of("The cat is on the table, and it is not in the garden.") == "English"
    assert language_of("Der Hund ist nicht auf dem Tisch und die Katze ist im Haus.") == "German"
    assert language_of("Привет, как у вас дела сегодня?") == "Cyrillic"
    assert language_of("x = 3") == ""
    assert language_of("12 34") == ""


def test_boilerplate_is_what_several_texts_share():
    own = "Text number {} has its very own words here. All rights reserved by the author."
    texts = [*(own.format(letter) for letter in "abcdef"), "Nothing of this is said anywhere else."]
    np.testing.assert_allclose(boilerplate_of(texts), [0.5] * 6 + [0])
    assert math.isnan(boilerplate_of(["12"])[0])


def test_pairs_are_the_nearest_and_each_document_is_in_one():
    rows = np.eye(4, dtype=np.float32)[[0, 1, 2, 0, 1, 3]]
    rows += 0.1 * np.eye(4, dtype=np.float32)[[3, 3, 3, 1, 2, 0]]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    high, low = match(rows, np.array([0, 1, 2]), np.array([3, 4, 5]))
    assert {(0, 3), (1, 4)} <= set(zip(high.tolist(), low.tolist(), strict=True))
    assert len(set(low.tolist())) == len(low)


def test_a_query_is_the_rare_words_that_both_have():
    words = SharedWords(["solar storms disturb radio", "radio listeners hear solar storms", *["common words here"] * 8])
    assert words.query(0, 1) == "radio solar storms"
    assert words.query(0, 2) == ""


def test_sign_test_and_its_correction():
    assert sign_test(np.array([1.0] * 5)) == pytest.approx(2 / 32)
    assert sign_test(np.array([0.5, 0.5])) == 1
    assert sign_test(np.array([1.0, 0.0])) == 1
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
