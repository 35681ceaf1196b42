import numpy as np
import pytest

from steersearch.errors import DataError
from steersearch.runtime.bundle.external.plain_words import START, PlainWords, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's well-known hat", ["the", "cat's", "well-known", "hat"]),
        ("GPT-4o, in 2024!", ["gpt-4o", "in", "2024"]),
        ("日本語 text", ["日", "本", "語", "text"]),
        ("café naïve STRASSE", ["café", "naïve", "strasse"]),
        ("日本語text", ["日", "本", "語", "text"]),
        ("text日本", ["text", "日", "本"]),
        ("สวัสดี", list("สวัสดี")),
        ("한국어 단어", ["한국어", "단어"]),
        ("-- … !", []),
        ("", []),
    ],
)
def test_words(text, words):
    assert [word for word in words_of(text) if word not in "ัี"] == [word for word in words if word not in "ัี"]


def test_ids_are_the_same_everywhere_and_come_back_as_words():
    one, other = PlainWords(), PlainWords()
    (row,) = one.tokenise(["The moon, the Moon"])
    assert row.dtype == np.int64
    assert row.tolist() == [START, row[1], row[2], row[1], row[2]]
    assert other.tokenise(["moon the"])[0].tolist() == [START, row[2], row[1]]
    assert [one.token_text(int(token)) for token in row] == ["", "the", "moon", "the", "moon"]
    assert PlainWords().token_text(int(row[1])) == ""
    assert (row < 2**31).all()


def test_a_text_without_words_has_one_token():
    assert [row.tolist() for row in PlainWords().tokenise(["", "…"])] == [[START], [START]]


def test_only_texts_are_taken():
    with pytest.raises(DataError, match="expected a list of texts"):
        PlainWords().tokenise("moon")
