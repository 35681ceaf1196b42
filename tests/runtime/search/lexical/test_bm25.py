"""The words view: BM25 by hand, the same after any history, and nothing of a text ever read as syntax."""

import json
import math
import sqlite3
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import ConfigError, StorageError
from steersearch.runtime.search.lexical import bm25 as words_module
from steersearch.runtime.search.lexical.bm25 import K1, B, Bm25
from steersearch.runtime.search.lexical.folding import fold


def view_of(texts):
    """A view of documents {row id: text}, ascending."""
    view = Bm25()
    if texts:
        view.add([(np.array(list(texts)), list(texts.values()))])
    return view


def found(view, query, k=10, allowed=None):
    rows, scores = view.search(Counter(view.words_of(query)), k, allowed)
    return dict(zip(rows.tolist(), scores.tolist(), strict=True))


def bm25(n, total, f, length, mean):
    idf = math.log(1 + (total - n + 0.5) / (n + 0.5))
    return idf * f * (K1 + 1) / (f + K1 * (1 - B + B * length / mean))


def test_scores_by_hand():
    texts = {3: "red blue", 5: "red red green", 9: "blue", 12: "green green green green", 20: "grey", 21: "grey"}
    view, mean = view_of(texts), 12 / 6
    expected = {3: bm25(2, 6, 1, 2, mean), 5: bm25(2, 6, 2, 3, mean)}
    assert found(view, "red") == pytest.approx(expected)
    assert found(view, "red nothing RED") == pytest.approx({row: 2 * score for row, score in expected.items()})
    both = found(view, "red blue")
    assert both == pytest.approx({3: expected[3] + bm25(2, 6, 1, 2, mean), 5: expected[5], 9: bm25(2, 6, 1, 1, mean)})
    assert list(both) == [3, 9, 5]
    assert list(found(view, "red blue", 1)) == [3]
    assert found(view, "red blue", 9, np.array([9, 12, 99])) == {9: both[9]}
    assert list(found(view, "grey")) == [20, 21]  # a tie goes to the earlier row
    assert found(view, "purple") == found(view, "") == found(view, "…!") == {}
    assert found(view_of({}), "red") == {}


def test_weights():
    view = view_of({1: "the cat", 2: "the dog", 3: "the cat and the dog", 4: "a bird"})
    cat, dog = found(view, "cat"), found(view, "dog")
    rows, scores = view.search({"cat": 2.0, "dog": -0.5, "bird": 0.0}, 9, None)
    assert dict(zip(rows.tolist(), scores.tolist(), strict=True)) == pytest.approx(
        {1: 2 * cat[1], 3: 2 * cat[3] - 0.5 * dog[3]}  # neither a document that is only pushed away, nor weight 0
    )
    assert found(view, "Cats CAT's") == pytest.approx({row: 2 * score for row, score in cat.items()})  # no row has "s"


def test_words_that_are_everywhere(monkeypatch):
    texts = {1: "the cat", 2: "the dog", 3: "the cat and the dog", 4: "a bird", 5: "the end"}
    assert set(found(view_of(texts), "the cat")) == {1, 2, 3, 5}
    monkeypatch.setattr(words_module, "COMMON", 1)
    view = view_of(texts)
    assert found(view, "the cat") == found(view, "cat")  # four of five have "the", and "cat" tells more
    assert set(found(view, "the")) == {1, 2, 3, 5}
    view.remove(np.array([2, 3, 5]))
    assert found(view, "the bird") == found(view_of({1: "the cat", 4: "a bird"}), "the bird")
    assert set(found(view, "the bird")) == {1, 4}  # no longer in more than half


ODD = [
    '"', '""', "'", "AND", "OR NOT", "NEAR(a b, 2)", "text:red", "^red", "red*", "-red", "+red", "{text}: x", "(", ")",
    "red\x00blue", "\x00", "\ud800", "red \udfff blue", "\uffff", "🂡🂢", "𐀀𐀁 red", "中文 文字", "é É e\u0301",
    "\u202ered", "'; DROP TABLE documents; --", "\\", "%_", "\n\t\r", "red " * 3000, "0", "-1", "NULL", "ﷺ", "ß ẞ",
    "\U0010ffff", "\U000e0041", ":", "a" * 40_000,
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_nothing_is_syntax(text):
    storable = text.encode("utf-8", "replace").decode()
    texts = {1: "red sky", 2: "blue sea and red sand", 3: storable, 4: "another text", 5: "sand and sea"}
    view = view_of(texts)
    hits = found(view, text)
    assert set(hits) <= set(texts)
    if view.words_of(text):
        assert 3 in hits  # a text finds itself
    assert set(found(view, text + " sky")) == set(hits) | {1} or len(view.words_of(text)) == words_module.MOST_WORDS
    assert found(view, "sea").keys() == {2, 5}  # and all is as it was


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.text(max_size=30))
def test_any_text_is_found_by_its_words(texts, query):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    view = view_of(dict(enumerate(texts, 1)))
    asked = set(view.words_of(query))
    # A text also has the single letters of scripts without blanks.
    have = {row for row, text in enumerate(texts, 1) if asked & set(view.words_of(fold(text)))}
    assert set(found(view, query, 99)) == have


SENTENCES = [
    "red sky at night",
    "the blue sea",
    "red and blue sand",
    "a green sea of sand",
    "night",
    "green green sky",
    "",
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.lists(st.sampled_from(SENTENCES), max_size=5), st.lists(st.integers(1, 40), max_size=6)),
                max_size=12))  # fmt: skip
def test_any_sequence_of_changes_gives_the_answers_of_a_fresh_view_bit_for_bit(steps):
    view, kept, last = view_of({}), {}, 0
    for added, removed in steps:
        new = dict(enumerate(added, last + 1))
        last += len(new)
        if new:
            view.add([(np.array(list(new)), list(new.values()))])
        view.remove(np.array(removed, np.int64))
        kept = {row: text for row, text in (kept | new).items() if row not in removed}
        fresh = view_of(kept)
        assert view.rowids.tolist() == list(kept)
        for query in ("red sea", "green", "at night the sand"):
            assert found(view, query) == found(fresh, query)
        newest = list(kept)[-3:]
        assert view.has(np.array(newest, np.int64), [kept[row] for row in newest])
        assert not kept or not view.has(np.array(newest[-1:]), ["another text"])


def test_it_says_when_it_is_worn():
    view = view_of({row: f"text {row}" for row in range(1, 101)})
    view.remove(np.arange(1, 26))
    assert not view.needs_rebuild
    view.remove(np.array([26]))
    assert view.needs_rebuild


def test_saved_and_read_and_a_damaged_file_is_not(tmp_path):
    view = view_of({row: f"text {row} on {'red' if row % 3 else 'blue'} paper" for row in range(1, 400)})
    view.remove(np.array([5, 399]))
    view.save(tmp_path, 7)
    assert {path.name for path in tmp_path.iterdir()} == {"words.json", "words.sqlite"}
    again = Bm25.load(tmp_path)
    assert (again.saved_generation, again.rowids.tolist()) == (7, view.rowids.tolist())
    for query in ("blue", "text 7", "red 399", "paper"):
        assert found(again, query) == found(view, query)
    again.add([(np.array([400]), ["blue whale"])])
    again.remove(np.array([6]))
    assert {400} < set(found(again, "blue", 500))
    sidecar, facts = tmp_path / "words.json", json.loads((tmp_path / "words.json").read_text())
    for key, value in (("sqlite", "3.8.0"), ("tokenizer", "trigram"), ("removed", None)):
        sidecar.write_text(json.dumps(facts | {key: value}))
        assert Bm25.load(tmp_path) is None
    sidecar.write_text(json.dumps(facts))
    content = bytearray((tmp_path / "words.sqlite").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "words.sqlite").write_bytes(content)
    assert Bm25.load(tmp_path) is None
    assert Bm25.load(tmp_path / "nothing") is None


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write the search cache"):
        view_of({1: "red"}).save(tmp_path / "file", 1)


def test_a_python_without_fts5_says_so(monkeypatch):
    class Without(sqlite3.Connection):
        def execute(self, sql, *parameters):
            if "fts5" in sql:
                raise sqlite3.OperationalError("no such module: fts5")
            return super().execute(sql, *parameters)

    connect = sqlite3.connect
    monkeypatch.setattr(words_module.sqlite3, "connect", lambda *a, **how: connect(*a, factory=Without, **how))
    with pytest.raises(ConfigError, match="has no FTS5, which the views words and hybrid need: use another Python"):
        Bm25()
