"""Ground floor: texts on one line."""

from steersearch.text import first_line, one_line


def test_one_line():
    assert one_line(" a\n b\tc ") == "a b c"
    assert one_line("a b c", 5) == "a b c"
    assert one_line("a b c d", 5) == "a b …"


def test_first_line():
    assert first_line(" \n  one \ntwo") == "one"
    assert (first_line("\n \n", "none"), first_line("")) == ("none", "")
