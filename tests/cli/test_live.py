import io

import pytest
from rich.console import Console

from steersearch.cli import live


def test_a_terminal_shows_a_row_per_measurement_and_the_bar(monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140, _environ={})
    monkeypatch.setattr(live, "stderr", console)
    with live.training_table() as show:
        show("embed documents", 7, 7)
        for step in range(1, 6):
            figures = {"loss": 1 / step, "mse": 0.5, "alive": 0.9}
            show("train", step, 5, figures | ({"dev_retention": 0.95, "dev_fvu": 0.25} if step in (3, 5) else {}))
    shown = out.getvalue()
    for expected in ("retention", "0.95", "0.3333", "5/5", "embed documents"):
        assert expected in shown


def test_a_log_file_gets_a_line_per_measurement(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(live, "stderr", Console(file=out, force_terminal=False, width=200))
    with live.training_table() as show:
        show("train", 1, 5, {"loss": 1.0})
        show("train", 2, 5, {"loss": 0.5, "dev_retention": 0.9})
    assert out.getvalue() == "step 2 of 5: loss 0.5, retention 0.9\n"


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def log(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(live, "stderr", Console(file=out, force_terminal=False, width=40))
    return out


def at(clock, lines, *calls):
    for clock.now, *call in calls:
        lines.show(*call)


def test_a_log_file_gets_a_line_now_and_then_and_one_at_the_end(log):
    clock = Clock()
    lines = live.ProgressLines(clock)
    steps = [(10.0 * i, "embed documents", 1_000 * i, 24_751) for i in range(13)]
    at(clock, lines, *steps, (250.0, "embed documents", 24_751, 24_751), (260.0, "embed documents", 24_751, 24_751))
    assert log.getvalue().splitlines() == [
        "embed documents 3,000/24,751, 12 %, 4 min left",
        "embed documents 6,000/24,751, 24 %, 3 min left",
        "embed documents 9,000/24,751, 36 %, 3 min left",
        "embed documents 12,000/24,751, 48 %, 2 min left",
        "embed documents 24,751/24,751, took 4 min",
    ]


def test_a_short_stage_gets_no_line_and_a_repeated_one_begins_anew(log):
    clock = Clock()
    lines = live.ProgressLines(clock)
    at(clock, lines, (0.0, "read phrases", 0, 9), (29.0, "read phrases", 9, 9))
    at(clock, lines, (40.0, "read phrases", 0, 9), (45.0, "read phrases", 9, 9), (300.0, "read words", 5, 5))
    assert log.getvalue() == ""


def test_what_was_done_before_does_not_count_for_the_time_left(log):
    clock = Clock()
    lines = live.ProgressLines(clock)
    at(clock, lines, (0.0, "embed", 900, 1000), (60.0, "embed", 910, 1000), (95.0, "other", 0, None))
    at(clock, lines, (7295.0, "other", 512, None))
    assert log.getvalue().splitlines() == ["embed 910/1,000, 91 %, 9 min left", "other 512 after 2.0 h"]


def test_nothing_is_printed_where_it_was_asked_to_be_quiet(log, monkeypatch):
    monkeypatch.setattr(live, "LINE_EVERY", 0.0)
    for quiet in (True, False):
        with live.progress_bars(quiet) as show:
            show("embed", 1, 9)
            show("embed", 2, 9)
        assert (log.getvalue() == "") == quiet


def test_a_training_without_held_out_queries_gets_lines_too(log, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(live.time, "monotonic", clock)
    with live.training_table() as show:
        for clock.now in (0.0, 20.0, 40.0, 60.0):
            show("train", int(clock.now), 100, {"loss": 1.0} | ({"dev_retention": 0.9} if clock.now == 20 else {}))
    assert log.getvalue().splitlines() == ["step 20 of 100: loss 1, retention 0.9", "train 60/100, 60 %, 40 s left"]
