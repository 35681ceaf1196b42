from hypothesis import given
from hypothesis import strategies as st

from steersearch.noun_phrases import NounPhrases


def found(text, *more):
    grammar = NounPhrases([text, *more])
    return [phrase.text for phrase in grammar.of(text)]


def complete(text, *more):
    return [phrase.text for phrase in NounPhrases([text, *more]).of(text) if phrase.complete]


def test_noun_phrases_have_no_verbs_adverbs_or_stop_words():
    assert complete("The stem cells quickly restored the damaged bone marrow of mice") == [
        *("stem cells", "damaged bone marrow", "mice")
    ]
    assert found("He left, and the file doesn't exist") == ["file"]
    assert "stream specified" not in found("The data of the stream specified in the call")


def test_phrases_end_with_a_noun_and_gerunds_stand_alone():
    assert set(found("a public company")) == {"public company", "company"}
    assert "parsing" in found("We study the parsing of names")
    # `keeping the` is a verb here.
    assert "keeping" not in found("keeping the score, keeping a list")


def test_texts_decide_whether_a_word_is_a_noun():
    sport = ["the match was lost", "a match in London", "his match"]
    assert "match" in found("the match", *sport)
    orders = ["to match a word", "it will match", "they match names"]
    assert "match" not in found("names match", *orders)


def test_what_is_no_word_is_left_out():
    text = "write to someone@example.org or see https://example.org/page, version 3.12, user_name and &quot;x&quot;"
    assert set(found(text)) <= {"version", "page", "user", "name"}
    assert found("a" * 100) == []
    assert found("12 345 6.7 %") == []


def test_names_are_written_as_within_sentences():
    texts = ["Stem cells grow. We grow stem cells.", "Ask NASA now; the NASA probe", "beat Serena Williams"]
    grammar = NounPhrases(texts)
    assert grammar.written("Stem cells") == "stem cells"
    assert grammar.written("nasa") == "NASA"
    assert grammar.written("Serena Williams") == "Serena Williams"


def test_the_key_has_the_singular():
    grammar = NounPhrases(["stem cells"])
    assert [phrase.key for phrase in grammar.of("Stem Cells")][-1] == ("cell",)
    assert ("stem", "cell") in {phrase.key for phrase in grammar.of("Stem Cells")}


@given(st.text(max_size=300))
def test_any_text_gives_phrases_of_its_own_words(text):
    for phrase in NounPhrases([text]).of(text):
        assert 1 <= len(phrase.key) <= 3
        assert all(word in text for word in phrase.text.split())
