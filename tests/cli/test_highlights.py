"""The sentence that is shown: marked, on one line, harmless, and cut around what is marked."""

import io

import numpy as np
import pytest

from steersearch.cli import highlights
from steersearch.cli.console import Console
from steersearch.runtime import Sentence, Words


def words_in(text, marked, sentences):
    """Words of a text that are marked where they are of `marked`, and nothing where they are not."""
    spans = []
    for word in text.split():
        start = text.index(word, spans[-1][1] if spans else 0)
        spans.append((start, start + len(word)))
    values = np.array([1.0 if text[a:b] in marked else 0.0 for a, b in spans])
    none = np.zeros(0, np.int64), np.zeros((len(spans), 0), np.float32)
    parts = tuple(Sentence(*bounds, value=1.0, words=1) for bounds in sentences)
    return Words(text, True, np.array(spans, np.int64), values, values[:, None], *none, 0.0, (), parts)


def test_marks_and_blanks():
    words = words_in("One\n two  three four", {"two", "four"}, [(0, 20)])
    assert highlights.marked_sentence(words).plain == "One **two** three **four**"


def test_only_marks_of_the_sentence():
    words = words_in("One two. Three two.", {"One", "two."}, [(9, 19)])
    assert highlights.marked_sentence(words).plain == "Three **two.**"


def test_what_steers_a_terminal_is_shown_as_an_escape():
    words = words_in("a \x1b[2Jred \u202eb", {"\x1b[2Jred"}, [(0, 13)])
    assert highlights.marked_sentence(words).plain == r"a **\x1b[2Jred** \u202eb"


def test_a_long_sentence_is_cut_around_its_first_mark():
    text = "word " * 200 + "here " + "word " * 200
    words = words_in(text, {"here"}, [(0, len(text) - 1)])
    shown = highlights.marked_sentence(words).plain
    assert shown.startswith("… ")
    assert "**here**" in shown
    assert shown.endswith(" …")
    assert len(shown) < highlights.LONGEST + 20
    unmarked = words_in(text, set(), [(0, len(text) - 1)])
    assert highlights.marked_sentence(unmarked).plain == text[: highlights.LONGEST] + " …"


def test_colour_on_a_terminal(monkeypatch):
    words = words_in("One two", {"two"}, [(0, 7)])
    for colour in (True, False):
        terminal = Console(file=io.StringIO(), force_terminal=True, no_color=not colour)
        monkeypatch.setattr(highlights, "console", terminal)
        line = highlights.marked_sentence(words)
        assert line.plain == ("One two" if colour else "One **two**")
        assert bool(line.spans) == colour


@pytest.mark.parametrize("text", ["", "  "])
def test_a_text_without_words(text):
    spans = np.zeros((0, 2), np.int64), np.zeros(0), np.zeros((0, 1))
    words = Words(text, True, *spans, np.zeros(0, np.int64), np.zeros((0, 0), np.float32), 0.5, (), ())
    assert highlights.marked_sentence(words).plain == ""
    assert highlights.highlights_json(words) == {"highlights": [], "sentence": None, "exact": True}
    assert highlights.words_json(words)["words"] == []
