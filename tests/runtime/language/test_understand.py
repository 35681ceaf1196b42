"""What `understand` reads out of a text, and what it leaves alone."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steersearch.errors import ConfigError
from steersearch.runtime import Request, understand
from steersearch.runtime.language import english
from steersearch.runtime.language.grammar import MOST_CHARACTERS
from steersearch.runtime.language.kinds import kind_of
from steersearch.runtime.language.words import words_of

LINES = [
    line.partition(" => ")
    for line in (Path(__file__).parents[2] / "data" / "requests.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
REQUESTS = [(text, expected) for text, arrow, expected in LINES if arrow]
ORDINARY = [text for text, arrow, _ in LINES if not arrow]
CUE_WORDS = sorted(
    {
        word
        for cue in english.CUES
        for part in cue.pattern.replace("?", "").split()
        for word in english.CLASSES.get(part, {part})
    }
)
WORDS = [
    *CUE_WORDS,
    *'cafés Rome the what is , . ? ( ) " “ ” - and or but please X'.split(),
    "Gone",
    "it's",
    "\n",
    "not",
]
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
    st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), max_size=40).map("".join),
)


def read(text):
    """The request, or None where it contradicts itself."""
    try:
        return understand(text)
    except ConfigError:
        return None


@pytest.mark.parametrize(("text", "expected"), REQUESTS)
def test_a_request_is_split(text, expected):
    assert str(understand(text)) == expected


@pytest.mark.parametrize("text", ORDINARY)
def test_a_text_without_a_cue_comes_back_as_it_is(text):
    assert understand(text) == Request(text)


def test_there_are_enough_of_both():
    assert len(REQUESTS) >= 150
    assert len(ORDINARY) >= 150


def test_the_parts_of_a_request():
    assert understand("cafés in Rome, not touristy, more for families, less noisy") == Request(
        "cafés in Rome", {"for families": 1.0, "noisy": -1.0}, ("touristy",)
    )


@given(texts)
@settings(max_examples=600, deadline=None)
@example("(not a")
@example('not "')
@example("- , but not - X ?")
@example("cafés in Rome, not, not, not X")
def test_every_part_is_part_of_the_text_and_nothing_more_is_found(text):
    request = read(text)
    if request is None:
        return
    plain = " ".join(text.split())
    for part in (*request.boost, *request.exclude):
        assert part in plain
    if not request.steered:
        assert request.query == text
        return
    assert request.query.strip()
    assert understand(request.query) == Request(request.query)
    rest = iter(word.text for word in words_of(plain) if word.word)
    assert all(word.text in rest for word in words_of(request.query) if word.word)


@given(
    st.lists(st.sampled_from("cafés Rome the of in what is a how quiet , . ? ( )".split()), max_size=30).map(" ".join)
)
def test_without_the_words_of_a_cue_a_text_is_identical(text):
    assert understand(text) == Request(text)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00\x1b[2J", "\ud800", "?", ",", "not", "not politics", "no politics please"]
)
def test_nothing_to_search_for_leaves_the_text(text):
    """A text that only excludes is searched as it stands: there would be nothing to rank."""
    assert understand(text) == Request(text)


@pytest.mark.parametrize("text", [None, 3, b"cafes", ["cafes"]])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(ConfigError, match="must be a str"):
        understand(text)


def test_a_contradiction_is_refused():
    with pytest.raises(ConfigError, match=r"'jazz' is both wished for and excluded: leave out one of the two"):
        understand("music for a party, more jazz, no jazz")


def test_a_document_is_not_read():
    text = "cafés in Rome, not touristy. " * 400
    assert len(text) > MOST_CHARACTERS
    assert understand(text) == Request(text)


@pytest.mark.parametrize(
    "piece", ["not ", "a ", "(", '"', ", not a", "and ", "no, ", "without a ", "x" * 50, "'a ", "besides A, "]
)
def test_the_time_is_linear(piece):
    """A text as long as may be read takes milliseconds; one of 10,000 words none."""
    text = "cafés in Rome, " + piece * MOST_CHARACTERS
    started = time.perf_counter()
    read(text[:MOST_CHARACTERS])
    assert time.perf_counter() - started < 1
    started = time.perf_counter()
    read(text)
    assert time.perf_counter() - started < 0.1


def test_the_order_of_kinds():
    assert kind_of(words_of("cafés in Rome")) is english.Kind.PHRASE
    assert kind_of(words_of("please show me cafés in Rome")) is english.Kind.REQUEST
    assert kind_of(words_of("which cafés in Rome are quiet?")) is english.Kind.LIST
    assert kind_of(words_of("how old is Rome?")) is english.Kind.QUESTION
    assert kind_of(words_of("can I walk through Rome")) is english.Kind.DOING
    assert kind_of(words_of("Rome is not old.")) is english.Kind.STATEMENT


def test_the_grammar_is_imported_when_it_is_asked_for():
    code = (
        "import sys, steersearch.runtime as r; before = 'steersearch.runtime.language.grammar' in sys.modules; "
        "print(before, r.understand('cafes, not loud').exclude)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False ('loud',)"
