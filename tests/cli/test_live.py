import io

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
