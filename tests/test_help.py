"""Every `--help` page of `sae` and `sae-export`, as people see it at 100 columns without colour.

A page that changes on purpose is written anew, and the difference is read in the commit:

    STEERSEARCH_REGENERATE=1 python -m pytest tests/test_help.py

Another typer or rich draws the pages another way, so they are compared only with the versions in made_with.txt; names
of commands and options are in tests/test_names.py whatever the version.
"""

import os
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from steersearch.cli import app, export_app

HELP = Path(__file__).parent / "data" / "help"
REGENERATE = bool(os.environ.get("STEERSEARCH_REGENERATE"))
COLUMNS = 100


def pages(command, path):
    """(words that people type, the root command) of a command and all below it."""
    yield path
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from pages(below, (*path, name))


MADE_WITH = HELP / "made_with.txt"
VERSIONS = "".join(f"{name} {version(name)}\n" for name in ("typer", "rich"))
ROOTS = {"sae": app, "sae-export": export_app}
PAGES = [page for name, root in ROOTS.items() for page in pages(typer.main.get_command(root), (name,))]


def file_of(page):
    return HELP / f"{'.'.join(page)}.txt"


def help_of(page, monkeypatch):
    # typer reads these when it is imported, and the terminal's width when it prints
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", COLUMNS)
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", None)
    monkeypatch.setattr("typer.rich_utils.COLOR_SYSTEM", None)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("NO_COLOR", "1")
    result = CliRunner().invoke(ROOTS[page[0]], [*page[1:], "--help"], prog_name=page[0])
    assert result.exit_code == 0
    return "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_help(page, monkeypatch):
    text = help_of(page, monkeypatch)
    assert "\x1b" not in text
    # Of what takes no value, no type is shown.
    assert "<bool>" not in text
    assert max(map(len, text.splitlines())) <= COLUMNS
    if REGENERATE:
        MADE_WITH.write_text(VERSIONS, encoding="utf-8", newline="\n")
        file_of(page).write_text(text, encoding="utf-8", newline="\n")
    if (made_with := MADE_WITH.read_text(encoding="utf-8")) != VERSIONS:
        pytest.skip(f"the pages were made with {made_with.split()}, this is {VERSIONS.split()}")
    assert text == file_of(page).read_text(encoding="utf-8")


def test_every_page_is_of_a_command():
    known = {MADE_WITH, *map(file_of, PAGES)}
    assert len(known) == len(PAGES) + 1
    if REGENERATE:
        for gone in set(HELP.iterdir()) - known:
            gone.unlink()
    assert set(HELP.iterdir()) == known


def test_both_scripts_are_looked_at():
    scripts = {
        script.name for script in entry_points(group="console_scripts") if script.value.startswith("steersearch")
    }
    assert scripts == set(ROOTS)
    assert isinstance(typer.main.get_command(app), TyperGroup)
