"""The words of documents as numbers: shares by hand, changes like a fresh one, caches, and any text as mere words."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.runtime.search.lexical.folding import fold
from steersearch.runtime.search.lexical.word_sets import WordSets, hashes_of, shares_in


def sets_of(texts):
    """Sets of documents {row id: text}, ascending."""
    made = WordSets()
    if texts:
        made.add([(np.array(list(texts), np.int64), list(texts.values()))])
    return made


def shares(sets, rows, text):
    return sets.shares(np.array(rows, np.int64), text).tolist()


def weight(n, total):
    """Of a word that n of `total` documents have."""
    return math.log(1 + (total - n + 0.5) / (n + 0.5))


def same(one, other):
    return hashes_of(one).tolist() == hashes_of(other).tolist()


def test_words_are_folded_and_have_no_plural():
    assert len(hashes_of("the cat, the CAT and the hat")) == 4
    assert hashes_of("b a").tolist() == sorted(hashes_of("a b").tolist())
    for one, other in [
        ("Cats", "cat"), ("bodies", "body"), ("files", "file"), ("cafés", "café"), ("Straße", "STRASSE"),
        ("ﬁle", "file"), ("network-sockets", "sockets network"), ("snake_case", "case snake"), ("user's", "s user"),
    ]:  # fmt: skip
        assert same(one, other), (one, other)
    # The S-stemmer of Harman: what ends so is no plural.
    for word in ("class", "corpus", "bus", "gas", "is", "goes"):
        assert not same(word, word[:-1]), word
    assert len(hashes_of("")) == len(hashes_of("…!? _ \n")) == 0
    assert (
        hashes_of("東京都", query=True).tolist() != hashes_of("東京都").tolist()
    )  # pairs; a text also has its letters
    assert set(hashes_of("東京都", query=True)) < set(hashes_of("東京都"))


def test_shares_by_hand():
    sets = sets_of({3: "red sky", 5: "red sea and red sand", 9: "blue", 12: ""})
    red, sky = weight(2, 4), weight(1, 4)
    rows = [3, 5, 9, 12]
    assert shares(sets, rows, "red") == [1, 1, 0, 0]
    assert shares(sets, rows, "Red skies") == pytest.approx([1, red / (red + sky), 0, 0])
    assert shares(sets, rows, "sky red sky sky") == pytest.approx([1, red / (red + sky), 0, 0])  # each word once
    assert shares(sets, rows, "red elephant") == [1, 1, 0, 0]  # what nobody has tells nothing
    assert shares(sets, rows, "elephant") == shares(sets, rows, "") == shares(sets, rows, "!") == [0, 0, 0, 0]
    assert shares(sets, [9, 5], "blue sand") == pytest.approx([0.5, 0.5])  # in the order that was asked for
    assert shares(sets, [], "red") == []
    assert shares(sets_of({}), [], "red") == []


def test_few_and_many_words_are_counted_alike(monkeypatch):
    texts = {row: " ".join(f"word{(row * i) % 40}" for i in range(1, 9)) for row in range(1, 60)}
    sets, rows = sets_of(texts), list(texts)
    queries = ["word3", "word1 word2 word5", " ".join(f"word{i}" for i in range(30)), "", "elephant"]
    whole = sets.shares_of(np.array(rows), [sets.rarity(text) for text in queries])
    for few in (0, 100):
        monkeypatch.setattr("steersearch.runtime.search.lexical.word_sets._FEW", few)
        for text, expected in zip(queries, whole, strict=True):
            assert shares(sets, rows, text) == expected.tolist()
            assert expected.tolist() == pytest.approx(reference(texts, text))


def test_words_weigh_what_they_say_of_the_documents_near_a_query():
    """Of 40 documents 20 have `people`, 4 `storms`; 4 are near the query, and have 2 and 4."""
    texts = {row: "people" if row % 2 else "write" for row in range(40)}
    texts |= dict.fromkeys((0, 2), "storms") | dict.fromkeys((1, 3), "storms people")
    sets = sets_of(texts)
    words, weights = sets.relevance("storms people elephant", np.array([0, 1, 2, 3]))
    expected = {}
    for word, near, anywhere in (("storms", 4.5 / 5, 4.5 / 41), ("people", 2.5 / 5, 20.5 / 41)):
        expected[int(hashes_of(word)[0])] = max(0.0, np.log(near * (1 - anywhere) / (anywhere * (1 - near))))
    assert dict(zip(words.tolist(), weights.tolist(), strict=True)) == pytest.approx(expected)
    assert min(expected.values()) == 0 < max(expected.values())
    # Where no word is more frequent near the query, rare ones count as everywhere.
    words, weights = sets.relevance("write", np.array([1, 3]))
    assert weights.tolist() == sets.rarity("write")[1].tolist()


def test_a_word_that_only_removed_documents_had_tells_nothing():
    sets = sets_of({1: "red sky", 2: "red sea", 3: "blue"})
    sets.remove(np.array([1, 99]))
    assert sets.rowids.tolist() == [2, 3]
    assert shares(sets, [2, 3], "sky sea") == shares(sets_of({2: "red sea", 3: "blue"}), [2, 3], "sky sea") == [1, 0]
    sets.remove(np.array([1]))  # again: it is gone already
    assert shares(sets, [2], "red blue") == shares(sets_of({2: "red sea", 3: "blue"}), [2], "red blue")


def test_without_an_index_all_words_weigh_alike():
    assert shares_in(["red sky", "the red sea", "", "blue"], "red sky lion").tolist() == pytest.approx(
        [2 / 3, 1 / 3, 0, 0]
    )
    assert shares_in(["red"], "").tolist() == [0]
    assert shares_in([], "red").shape == (0,)


SENTENCES = ["red sky at night", "the blue seas", "red and blue sand", "a green sea of sand", "night", ""]


def reference(kept, query):
    """The shares by sets of words."""
    words = {row: set(hashes_of(text).tolist()) for row, text in kept.items()}
    n = {word: sum(word in own for own in words.values()) for word in hashes_of(query, query=True).tolist()}
    weights = {word: weight(count, len(kept)) for word, count in n.items() if count}
    whole = sum(weights.values())
    return [sum(weights[word] for word in weights if word in own) / whole if whole else 0.0 for own in words.values()]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(SENTENCES) | st.text(max_size=12), max_size=5),
                  st.lists(st.integers(1, 40), max_size=6)),
        max_size=10,
    ),
    st.sampled_from(["red sea", "night", "at night the sand", ""]) | st.text(max_size=12),
)  # fmt: skip
def test_any_sequence_of_changes_gives_the_shares_of_a_fresh_one_bit_for_bit(steps, query):
    sets, kept, last = sets_of({}), {}, 0
    for added, removed in steps:
        added = [text.encode("utf-8", "replace").decode() for text in added]
        new = dict(enumerate(added, last + 1))
        last += len(new)
        if new:
            sets.add([(np.array([row]), [text]) for row, text in new.items()])
        sets.remove(np.array(removed, np.int64))
        kept = {row: text for row, text in (kept | new).items() if row not in removed}
        assert sets.rowids.tolist() == list(kept)
        rows, found = list(kept), shares(sets, list(kept), query)
        assert found == shares(sets_of(kept), rows, query)
        assert found == pytest.approx(reference(kept, query))
        newest = rows[-3:]
        assert sets.has(np.array(newest, np.int64), [kept[row] for row in newest])
        assert not kept or not sets.has(np.array(newest[-1:]), [kept[newest[-1]] + " elephant"])


def test_words_belong_to_their_document():
    first, second = sorted(["red", "sky", "lion"], key=lambda word: hashes_of(word)[0])[:2]
    sets = sets_of({1: f"{first} {second}", 2: ""})
    assert sets.has(np.array([1, 2]), [f"{first} {second}", ""])
    assert not sets.has(np.array([1, 2]), [first, second])


ODD = [
    '"', "AND OR NOT", "red\x00blue", "\x00", "\ud800", "red \udfff blue", "\uffff", "🂡🂢", "中文 文字", "é É e\u0301",
    "\u202ered", "'; DROP TABLE documents; --", "%_\\", "red " * 3000, "0", "ﷺ", "\U0010ffff", "a" * 40_000, "s", "ies",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_nothing_is_syntax_and_a_text_has_its_own_words(text):
    stored = text.encode("utf-8", "replace").decode()
    sets = sets_of({1: "blue sea", 2: stored, 3: "another text"})
    found = shares(sets, [1, 2, 3], text)
    assert found[1] == (1 if len(hashes_of(fold(text))) else 0)
    assert shares(sets, [1], "sea") == [1]


def test_it_says_when_it_is_worn():
    sets = sets_of({row: f"text {row}" for row in range(1, 101)})
    sets.remove(np.arange(1, 26))
    assert not sets.needs_rebuild
    sets.remove(np.array([26]))
    assert sets.needs_rebuild


def test_saved_and_read_and_a_damaged_file_is_not(tmp_path):
    sets = sets_of({row: f"text {row} on {'red' if row % 3 else 'blue'} paper" for row in range(1, 400)})
    sets.remove(np.array([5, 399]))
    rows = [row for row in range(1, 399) if row != 5]
    expected = {query: shares(sets, rows, query) for query in ("blue", "text 7", "red 399 5", "paper")}
    sets.save(tmp_path, 7)
    names = {"sets.json", *(f"sets-{name}.npy" for name in ("rows", "starts", "hashes", "known", "counts"))}
    assert {path.name for path in tmp_path.iterdir()} == names
    again = WordSets.load(tmp_path)
    for one in (sets, again):  # saving drops what was removed, and changes no answer
        assert (one.saved_generation, one.rowids.tolist()) == (7, rows)
        assert {query: shares(one, rows, query) for query in expected} == expected
    again.add([(np.array([400]), ["blue whale"])])
    again.remove(np.array([6]))
    assert shares(again, [400], "blue whales 6") == [1]
    again.save(tmp_path, 8)  # over the files that it was read from
    assert shares(again, [7, 400], "7 whale") == shares(WordSets.load(tmp_path), [7, 400], "7 whale")
    assert WordSets.load(tmp_path, lambda facts: False) is None
    assert WordSets.load(tmp_path / "nothing") is None
    facts = json.loads((tmp_path / "sets.json").read_text())
    for key, value in (("format", 99), ("folding", "1, Unicode 1"), ("sha256", {})):
        (tmp_path / "sets.json").write_text(json.dumps(facts | {key: value}))
        assert WordSets.load(tmp_path) is None
    (tmp_path / "sets.json").write_text(json.dumps(facts))
    assert WordSets.load(tmp_path) is not None
    for name in sorted(names - {"sets.json"}):
        content = (tmp_path / name).read_bytes()
        for spoilt in (content[:-1], content[:200] + bytes([content[200] ^ 1]) + content[201:], b""):
            (tmp_path / name).write_bytes(spoilt)
            assert WordSets.load(tmp_path) is None
        (tmp_path / name).unlink()
        assert WordSets.load(tmp_path) is None
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_starts", np.array([0, 2, 1])),
        ("_starts", np.array([0, 2])),
        ("_starts", np.array([0.0, 1.0, 3.0])),
        ("_rows", np.array([2, 1])),
        ("_known", np.zeros(1, np.uint32)),
        ("_hashes", np.zeros(3, np.int64)),
        ("_counts", np.array([1, 1])),
    ],
)
def test_arrays_that_do_not_belong_together(tmp_path, name, value):
    sets = sets_of({1: "red sky", 2: "sea"})
    sets.save(tmp_path / "whole", 1)
    assert WordSets.load(tmp_path / "whole") is not None
    setattr(sets, name, value)
    sets.save(tmp_path / "broken", 1)
    assert WordSets.load(tmp_path / "broken") is None
