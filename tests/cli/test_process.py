"""How a command ends as a process: full, closed and unread streams, encodings, Ctrl-C, and errors of all kinds."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import typer

from steersearch.cli import process
from steersearch.cli.process import run
from steersearch.errors import BundleError, ConfigError
from steersearch.runtime import SteerableIndex

CODE = "import sys; from steersearch.cli import main; main()"
PRINTING = (
    ("--help",),
    ("search", "x", "--index", "{index}"),
    ("search", "x", "--index", "{index}", "--json"),
    ("index", "info", "--index", "{index}"),
)
BUNDLE = Path(__file__).parent.parent / "data" / "tiny_bundle"
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
needs_shell = pytest.mark.skipif(os.name == "nt", reason="this closes descriptors as a Unix shell does")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    index = tmp_path_factory.mktemp("process") / "index"
    with SteerableIndex.create(index, BUNDLE) as made:
        made.add(["An exception is raised\x1b[2J 漢字 ▲ :x: [/]."] * 3, ["row:x:1", "[/]", "b\\c\u202e\x9b"])
    return {"{index}": str(index), "{bundle}": str(BUNDLE)}


def started(words, places, *, code=CODE, **settings):
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | settings
    env = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"} | settings.pop("env", {})
    command = [sys.executable, "-c", code, *(places.get(word, word) for word in words)]
    return subprocess.Popen(command, env=env, **settings)


def ended(words, places, **settings):
    done = started(words, places, **settings)
    out, err = done.communicate(timeout=120)
    return done.returncode, out, err.decode() if err else ""


@needs_full
@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_full_disk_is_one_line(words, places):
    with open("/dev/full", "w") as full:
        code, _, err = ended(words, places, stdout=full)
    assert code == 1
    assert err.splitlines() == [
        "error: cannot write to stdout (No space left on device): send it where there is space left"
    ]


@needs_full
def test_sae_export_on_a_full_disk(places):
    with open("/dev/full", "w") as full:
        code, _, err = ended(["--help"], places, stdout=full, code=CODE.replace("main", "main_export"))
    assert (code, len(err.splitlines())) == (1, 1)


@needs_full
def test_progress_that_cannot_be_written_does_not_end_the_work(places):
    with open("/dev/full", "w") as full:
        code, out, _ = ended(["index", "verify", "--index", "{index}", "--json"], places, stderr=full)
    assert (code, json.loads(out)["ok"]) == (0, True)


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_nobody_reads(words, places):
    """As in `sae search … | head -1`: the exit code of a program that SIGPIPE ended, and no noise."""
    process = started(words, places)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(120) == 141


@needs_shell
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_stream(number, places):
    """What is opened later must not take its number: it would be written to in its place."""
    words = ["search", "x", "--index", "{index}", "--json"]
    streams = {("stdin", "stdout", "stderr")[number]: None}
    code, out, err = ended(words, places, **streams, preexec_fn=lambda: os.close(number))
    if number == 1:
        assert code == 1
        assert err.splitlines() == [
            "error: cannot write to stdout (Bad file descriptor): send it where there is space left"
        ]
    else:
        assert (code, err) == (0, "")
        assert len(json.loads(out)["hits"]) == 3
    with SteerableIndex.open(places["{index}"], readonly=True) as index:
        assert not index.verify().problems


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_encodings(encoding, places):
    env = {"PYTHONIOENCODING": encoding}
    words = ["search", "x", "--index", "{index}", "--boost", "f1", "--compare"]
    code, out, err = ended(words, places, env=env)
    assert (code, err) == (0, "")
    text = out.decode(encoding)
    assert "row:x:1" in text
    assert "An exception is raised\\x1b[2J " in text
    assert ("漢字 ▲ :x: [/]" in text) == (encoding == "utf-8")
    assert ("\\u6f22\\u5b57 ^ :x: [/]" in text) == (encoding != "utf-8")
    code, out, _ = ended([*words, "--json"], places, env=env)
    hits = json.loads(out.decode(encoding))["hits"]
    assert {hit["id"] for hit in hits} == {"row:x:1", "[/]", "b\\c\u202e\x9b"}
    assert out.isascii() == (encoding != "utf-8")
    assert ended(["search", "--help"], places, env=env)[0] == 0


def test_a_locale_without_unicode(places):
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, out, err = ended(["search", "x", "--index", "{index}", "--compare"], places, env=env)
    assert (code, err) == (0, "")
    assert out.isascii()


@needs_shell
def test_ctrl_c_in_the_midst_of_output(places):
    """The pipe is full, and the command waits for its reader."""
    code = CODE.replace(
        "main()", "app.command('long')(lambda: [console.print('x' * 100) for _ in range(10000)]); main()"
    )
    code = code.replace("import main", "import main, app; from steersearch.cli.console import console")
    # A job in the background of a shell inherits that SIGINT is ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code
    process = started(["long"], places, code=code)
    assert process.stdout.read(100) == b"x" * 100
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"stopped\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("keep\nis \x1b[2J[/] :x:"), 2, r"error: keep is \x1b[2J[/] :x:"),
        (BundleError("gone"), 1, "error: gone"),
        (KeyboardInterrupt(), 130, "stopped"),
        (typer.Abort(), 130, "stopped"),
        (
            typer.BadParameter("no [/] such\x9b thing."),
            2,
            r"error: Invalid value: no [/] such\x9b thing (see sae --help)",
        ),
        (FileNotFoundError(2, "No such file", "a\x1b"), 1, r"error: No such file: a\x1b"),
        (BrokenPipeError(32, "a socket broke"), 1, "error: a socket broke"),
        (MemoryError(), 1, "error: this needs more memory than there is (MemoryError)"),
        (KeyError("\x1b"), 1, "error: KeyError: '\\x1b' (in test_process.py:"),
        (RecursionError("deep"), 1, "error: RecursionError: deep (in test_process.py:"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_is_one_line(error, code, line, monkeypatch, capfd):
    alone = typer.Typer()

    @alone.command()
    def fail():
        raise error

    monkeypatch.setattr(sys, "argv", ["sae"])
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with pytest.raises(SystemExit) as end:
        run(alone, "sae")
    out, err = capfd.readouterr()
    assert (end.value.code, out) == (code, "")
    assert err.startswith(line)
    assert len(err.splitlines()) == 1
    assert ("please report" in err) == ("test_process.py" in line)


def test_a_fault_of_ours_is_shown_in_full_where_that_is_asked_for(monkeypatch):
    alone = typer.Typer()
    alone.command()(lambda: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["sae"])
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setenv(process.TRACEBACK, "1")
    with pytest.raises(ZeroDivisionError):
        run(alone, "sae")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["serch", "x"], "No such command 'serch'"),
        (["search"], "Missing argument"),
        (["search", "x", "--kk"], "No such option: --kk"),
        (["search", "x", "--\x1b[2J"], r"--\x1b[2J"),
        (["search", "x", "--view", "[/]\u202e"], r"'[/]\u202e' is not one of 'dense'"),
        (["index", "verify", "--sample", "-1"], "--sample"),
        (["mcp"], "--index"),
    ],
    ids=ascii,
)
def test_wrong_use_is_one_line(words, line, sae_here):
    end = sae_here(*words)
    assert (end.code, end.out) == (2, "")
    assert end.err.startswith("error: ")
    assert line in end.err
    assert end.err.endswith(" --help)\n")
    assert len(end.err.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["index"]])
def test_a_group_alone_shows_its_help(words, sae_here):
    end = sae_here(*words)
    assert "Usage: sae" in end.out
    assert end.err == ""


def test_what_warnings_and_log_lines_were_is_put_back(sae_here):
    before = (warnings.showwarning, logging.getLogger().handlers[:])
    sae_here("--version")
    assert (warnings.showwarning, logging.getLogger().handlers) == before


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
@pytest.mark.parametrize(
    ("error", "place"),
    [
        ("KeyboardInterrupt", "steersearch.cli.commands"),
        ("KeyboardInterrupt", "steersearch.runtime"),
        ("ImportError('initialization failed') from KeyboardInterrupt()", "steersearch.runtime"),
    ],
)
def test_stopped_while_modules_are_loaded(error, place):
    """An extension module makes an ImportError of what Ctrl-C raises in it."""
    code = (
        "import importlib.abc, sys\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {place!r}: raise {error}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from steersearch.cli import main; sys.argv = ['sae', 'search', 'x']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
