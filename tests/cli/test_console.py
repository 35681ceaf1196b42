"""Data on the terminal: never markup, never an emoji's name, never a character that steers the terminal."""

import io
import json
import logging
import sys
import warnings

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from steersearch.cli import console as place
from steersearch.cli.console import LONGEST, Console, harmless, tell, tell_warnings_and_logs
from steersearch.cli.output import excerpt, print_json
from steersearch.errors import SteeringWarning

EVIL = "\x1b]0;pwned\x07\x9b2J [/] [bold]b[/bold] :x: \\[a] \u202e\u200b\U000e0041 \ud83d"
HALF = r" \ud83d"
SHOWN = r"\x1b]0;pwned\x07\x9b2J [/] [bold]b[/bold] :x: \[a] \u202e\u200b\U000e0041 \ud83d"


@pytest.fixture
def printed():
    """A console, and a function that returns what was printed on it."""
    file = io.StringIO()
    return Console(file=file, width=200), lambda: file.getvalue()


def test_in_every_place_where_rich_takes_a_string(printed):
    console, read = printed
    console.print(EVIL)
    console.print(EVIL, style="bold", soft_wrap=True)
    console.print(harmless("id ", (EVIL, "bold")))
    console.print(Text(EVIL))
    table = Table(EVIL, title=EVIL, caption=EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL))
    console.print(table)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bars:
        bars.add_task(EVIL)
    shown = read()
    assert shown.count("[bold]b[/bold] :x: \\[a]") == 9
    assert shown.count(SHOWN) >= 7  # rich itself leaves the bell out of a Text that is made without `harmless`
    assert not set(shown) & set("\x07\x1b\x9b\u202e\u200b\U000e0041\ud83d")


def test_a_string_is_one_line(printed):
    console, read = printed
    console.print("a\n  1  0.999  a document that is not there")
    assert read() == "a\\n  1  0.999  a document that is not there\n"


def test_columns_stay_in_their_place(printed):
    console, read = printed
    table = Table(box=None, pad_edge=False)
    for name in ("id", "text"):
        table.add_column(name)
    for id in ("a\u200b\x1b", "漢字", "cafe\u0301", "plain"):
        table.add_row(id, "|")
    console.print(table)
    lines = read().splitlines()[1:]
    # 11 columns for the escapes and 2 between; each of the two ideographs takes 2, the accent none.
    assert [line.index("|") for line in lines] == [13, 11, 14, 13]


def test_styles_are_written_on_a_terminal_only_by_us():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=80, _environ={})
    console.print(harmless(("\x1b[31m[red]x[/red]", "bold")))
    assert file.getvalue() == "\x1b[1m\\x1b[31m[red]x[/red]\x1b[0m\n"


def test_what_others_write_beside_a_bar_is_harmless():
    """While a bar is shown, rich reads the colours of what is written to stderr, and links."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, _environ={})
    with Progress(console=console):
        print("\x1b[1mbold\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x9b2J", file=sys.stderr)
    written = file.getvalue()
    assert "link" in written
    assert "http" not in written
    assert "\x1b]" not in written
    assert "\x9b" not in written


def test_excerpts_are_as_wide_as_they_say():
    assert excerpt("a\n b", 10) == "a b"
    assert excerpt("漢字" * 20, 11) == "漢字漢字漢…"
    assert excerpt("\x1b" * 20, 10) == "\\x1b\\x1b\\…"


def test_told_errors_are_one_line_of_bounded_length(capsys):
    tell("error", EVIL + "\n\nnext")
    assert capsys.readouterr().err == f"error: {SHOWN} next\n"
    tell("error", "begin " + "x" * 10**6 + " cure")
    told = capsys.readouterr().err
    assert told.startswith("error: begin xxx")
    assert told.endswith("xxx cure\n")
    assert len(told) < LONGEST + 10


def test_errors_are_told_by_processes_that_show_no_progress(capsys, monkeypatch):
    monkeypatch.setattr(place.stderr, "quiet", True)
    tell("error", "no GPU")
    assert capsys.readouterr().err == "error: no GPU\n"


def test_warnings_and_log_lines(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with tell_warnings_and_logs():
            for _ in range(2):
                warnings.warn(SteeringWarning(EVIL), stacklevel=1)
            warnings.warn("old\x1b", DeprecationWarning, stacklevel=1)
            # Without the half character, which a report of pytest cannot hold.
            logging.getLogger("steersearch.some").warning("%s is damaged", EVIL[:-2])
            logging.getLogger("other").error("it failed")
            logging.getLogger("steersearch.some").info("not shown")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"warning: {SHOWN}"
    assert lines[1].startswith(r"warning: DeprecationWarning: old\x1b (")
    assert lines[2:4] == [f"warning: {SHOWN.removesuffix(HALF)} is damaged", "error: it failed"]
    assert not [handler for handler in logging.getLogger().handlers if isinstance(handler, place.TellHandler)]


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_progress_that_cannot_be_written_stops_nothing(monkeypatch):
    for stream in (Full(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        place.stderr.print("half of it is done")
        tell("warning", "a doubt")


@pytest.mark.parametrize(("encoding", "readable"), [("utf-8", True), ("cp1252", False), ("ascii", False)])
def test_json_is_lossless_and_valid(monkeypatch, encoding, readable):
    value = {"id": EVIL, "text": "Größe 漢字", "score": float("nan"), "all": [1.5, (float("-inf"),), None, True]}
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_json(value)
    printed = stream.buffer.getvalue().decode(encoding)
    assert json.loads(printed) == value | {"score": None, "all": [1.5, [None], None, True]}
    assert not set(printed) & set("\x07\x1b\x9b\u202e\u200b\U000e0041")
    assert ("Größe 漢字" in printed, printed.isascii()) == (readable, not readable)
