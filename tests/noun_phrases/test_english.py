import pytest

from steersearch.noun_phrases.english import singular_of, word_class
from steersearch.noun_phrases.nouns import common_nouns


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("quickly", "r"),
        ("parsing", "g"),
        ("parsed", "p"),
        ("carried", "p"),
        ("taken", "v"),
        ("tougher", "a"),
        ("building", "ng"),
        ("ring", "nv"),
        ("bed", "n"),
        ("citrullinated", "p"),
        ("mohammed", "n"),
        ("exosomal", "a"),
        ("arsenal", "n"),
        ("strain-specific", "an"),
        ("x-ray", "nv"),
        ("steersearch", "n"),  # not known
        ("includes", "v"),
    ],
)
def test_what_a_word_can_be(word, parts):
    assert word_class(word).parts == frozenset(parts)


def test_a_word_that_is_two_things_says_how_often_it_is_a_noun():
    assert {"n", "v"} <= word_class("report").parts
    assert 0 < word_class("report").noun < 1
    assert word_class("launch").noun < word_class("stream").noun
    assert word_class("mouse").noun == 1


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("cells", "cell"), ("studies", "study"), ("boxes", "box"), ("classes", "class"), ("houses", "house")]
    + [(word, word) for word in ("virus", "glass", "analysis", "gas", "cat")],
)
def test_singulars(plural, singular):
    assert singular_of(plural) == singular


def test_the_common_nouns_are_words_of_english():
    nouns = common_nouns()
    assert 5_000 < len(nouns) < 10_000
    assert {"mammal", "election", "stock market"} <= set(nouns)
    assert list(nouns) == sorted(set(nouns))
