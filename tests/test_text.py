"""Ground floor: texts on one line, and without what a terminal must not get."""

import json
import unicodedata

import pytest

from steersearch.text import first_line, one_line, visible, visible_json


def test_one_line():
    assert one_line(" a\n b\tc ") == "a b c"
    assert one_line("a b c", 5) == "a b c"
    assert one_line("a b c d", 5) == "a b …"


def test_first_line():
    assert first_line(" \n  one \ntwo") == "one"
    assert (first_line("\n \n", "none"), first_line("")) == ("none", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("a\u2066b\u2069 \u200e", r"a\u2066b\u2069 \u200e"),
        ("a\u200bb\xadc\ufeff\u3164", r"a\u200bb\xadc\ufeff\u3164"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\U000e0041\U000e007f", r"\U000e0041\U000e007f"),
        ("half \ud83d", r"half \ud83d"),
        ("one\n  2  0.9  two\t", r"one\n  2  0.9  two\t"),
        ("a\u200db x\ufe0f", r"a\u200db x\ufe0f"),
        ("\u2764\ufe0f\ufe0f", "\u2764\ufe0f" + r"\ufe0f"),
    ],
    ids=ascii,
)
def test_what_would_steer_a_terminal_or_hide_is_an_escape(text, shown):
    assert visible(text) == shown
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "back\\slash \\x1b",
        "Größe … ▲ 漢字",
        "می\u200cخواهم",
        "क्\u200dष",
        "❤️\u200d🔥 👩🏽\u200d🔬",
        "1\ufe0f\u20e3",
        "葛\U000e0100",
    ],
    ids=ascii,
)
def test_what_people_write_stays(text):
    assert visible(text) == text
    assert visible_json(text) == text


def test_lines_stay_where_they_are_asked_for():
    assert visible("a\n\tb\rc", lines=True) == "a\n\tb\\rc"


def test_json_stays_readable():
    assert visible_json('"é\x7f\u202e\U000e0041"') == r'"é\u007f\u202e\udb40\udc41"'


def test_every_character_that_is_not_seen_is_known():
    """Of Unicode's control and format characters only the signs that stand before Arabic numbers have a shape."""
    unseen = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    kept = {c for c in unseen if visible(f"a{c}a") == f"a{c}a"}
    shaped = {0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x600, 0x606)}
    assert kept == set(map(chr, shaped))
