"""The deletion test by hand: what is deleted, in which order, and the area of a curve."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.words import SHARES, area, deleted, orders_of, rarities, report, without
from steersearch.runtime.steering.highlights.spans import words_of

TEXT = "Red suns. Blue suns, red moons!"


class Counted:
    """Embeds a text as its counts of three words."""

    def embed(self, texts):
        rows = [[text.lower().count(word) for word in ("red", "suns", "blue")] for text in texts]
        return np.array(rows, np.float32)

    def embed_query(self, text):
        return self.embed([text])[0]


def test_words_are_deleted_with_their_blanks():
    assert without(TEXT, words_of(TEXT), [0, 4]) == "suns. Blue suns, moons!"
    assert without(TEXT, words_of(TEXT), []) == TEXT


def test_orders():
    spans = words_of(TEXT)
    words = SimpleNamespace(text=TEXT, spans=spans, values=np.array([0.1, 0.5, 0.2, 0.4, 0.3, 0.0]))
    idf = {"red": 0.1, "suns": 1.0, "blue": 5.0, "moons": 1.5}
    ours, tfidf, query, sentence, *chance = orders_of(Counted(), "blue moons", words, idf, np.random.default_rng(0))
    assert ours == [1, 3, 4, 2, 0, 5]
    assert tfidf == [2, 1, 3, 5, 0, 4]
    assert query == [2, 5, 1, 3, 0, 4]
    assert sentence == [2, 3, 4, 5, 0, 1]
    assert all(sorted(order) == [0, 1, 2, 3, 4, 5] for order in chance)


def test_what_is_left_of_a_score():
    spans = words_of(TEXT)
    # Of "red suns" the text has 4; a fiftieth of six words is one word, half of them three.
    left = deleted(Counted(), "red suns", TEXT, spans, [[0, 1, 3, 2, 4, 5]])
    assert left == [pytest.approx([0.75, 0.75, 0.75, 0.75, 0.5, 0.25])]


def test_area():
    assert area(np.ones((1, len(SHARES)))).tolist() == pytest.approx([1.0])
    line = 1 - np.array([SHARES])
    assert area(line).tolist() == pytest.approx([0.75])


def test_rarities():
    assert rarities(["red suns", "red", "Red moons", "blue"])["red"] == pytest.approx(np.log(4 / 3))


def test_report():
    left = {way: [[1.0] * len(SHARES)] * 3 for way in ("random", "tfidf", "query", "sentence")}
    found = {"pairs": 3, "worst_sum": 1e-7, "plain_ms": 1.0, "first_ms": 20.0, "again_ms": 2.0, "words_of_ten": 100.0}
    page = report({"cisi": found | {"left": {"ours": [[0.5] * len(SHARES)] * 3, **left}}})
    assert "| strongest words | 0.500 | 0.500 | 0.500 | 0.500 | 0.500 | 0.500 | 0.510 |  |" in page
    assert (
        "| random words | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | +0.490 (+0.490 to +0.490) |" in page
    )
