"""Hostile arguments and hostile data for every command there is: they are found by walking the apps.

A new command is covered when its required parameters have a name in `FINE`. One value of each kind is tried in the fast
test, all of them in the slow one.
"""

import importlib
import inspect
import json
import os
import shutil
import signal
import types
import typing
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from steersearch.cli import app, export_app
from steersearch.corpus import Corpus
from steersearch.runtime import SteerableIndex

EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b1m [/] [b]x[/b] :x: \\ \u202e\u2066\u200b\U000e0041\x7f\r\n  1  0.999  not there"
RAW = set("\x1b\x07\x9b\u202e\u2066\u200b\U000e0041\x7f\r")
VALUES = {
    int: ["9" * 30, "-1", "0", str(2**31), str(2**63), "9" * 5000, "1e3", "", EVIL],
    float: ["nan", "inf", "-inf", "1e400", "-1", "0", "", EVIL],
    str: [
        *(
            EVIL,
            "",
            "x" * 200_000,
            "\udcff",
            "=",
            "x=1e400",
            "x=nan",
            "f1=1e308",
            "@folder",
            "@binary",
            "@pipe",
            "@none",
        ),
        *(
            "f" + "9" * 5000,
            "9" * 5000,
            "-",
            "{",
            "[]",
            "NaN",
            "null",
            '{"a": NaN}',
            '{"a": 1e400}',
            "[" * 100_000,
            "0/0",
        ),
    ],
    Path: [EVIL, "", "x" * 5000, "folder", "binary", "nothing", "pipe", "none", "\udcff", "binary/x", os.devnull],
}
"""By kind of parameter; the first is tried in the fast test."""
FINE = {
    **{
        "query": "an exception",
        "id": "row:x:1",
        "index": "index",
        "bundle": "bundle",
        "data": "docs.jsonl",
    },
    **{"ids": "row:x:1", "name": "minilm", "repo": "owner/name"},
    **{"feature": "f1", "features": "f1", "label": "a label", "into": "a family", "text": "a note", "shards": "shards"},
}
"""Values that are in order."""
ALSO = {
    ("train",): ["--embedder", "none", "--out", "new/model.pt", "--cache", "new/cache"],
    ("pretrained", "get"): ["--out", "new"],
    ("demo",): ["--embedder", "none", "--out", "new"],
    ("index", "build"): ["--data", "docs.jsonl", "--out", "new"],
    ("delete",): ["row:x:1", "--dry-run"],
    ("update",): ["row:x:1", "--set", "a=1", "--dry-run"],
    ("embed",): ["--data", "docs.jsonl", "--out", "new"],
}
"""What else a command is given, so that it is quick and leaves `index` as it is."""
SECONDS = 20
BUNDLE = Path(__file__).parent.parent / "data" / "tiny_bundle"


def walk(group, path=()):
    """(words, function) of every command below a typer app."""
    for command in group.registered_commands:
        yield (*path, command.name or command.callback.__name__), command.callback
    for below in group.registered_groups:
        yield from walk(below.typer_instance, (*path, below.name))


def kinds(hint):
    """The types in an annotation, without None, lists and literals."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, list, typing.Annotated):
        return {kind for part in typing.get_args(hint) for kind in kinds(part)}
    return {str} if typing.get_origin(hint) is typing.Literal else {hint} - {type(None)}


def parameters(path, function, root):
    """(name, how it is given, kind, required) of a command's parameters that take a value."""
    command = typer.main.get_command(root)
    for word in path:
        command = command.commands[word]
    hints = typing.get_type_hints(function)
    for parameter in command.params:
        if parameter.name in hints and bool not in (found := kinds(hints[parameter.name])):
            given = [] if parameter.param_type_name == "argument" else [parameter.opts[0]]
            yield parameter.name, given, *found, parameter.required


COMMANDS = [("sae", path, function) for path, function in walk(app)]
COMMANDS += [("sae-export", (), function) for _, function in walk(export_app)]
ROOTS = {"sae": app, "sae-export": export_app}
GIVEN = [(script, path, *each) for script, path, f in COMMANDS for each in parameters(path, f, ROOTS[script])]
NAMED = pytest.mark.parametrize(
    ("script", "path", "name", "kind"),
    [pytest.param(*each[:3], each[4], id=" ".join((each[0], *each[1], each[2]))) for each in GIVEN],
)


def call(script, path, name=None, value=None):
    """Words of a call in which everything is in order but the value of one parameter."""
    words = [*path]
    for other, given, _, required in ((*each[2:],) for each in GIVEN if each[:2] == (script, path)):
        if other == name:
            words += [*given, value]
        elif required or (other in ("index", "bundle") and path[:2] != ("features", "label")):
            words += [*given, FINE.get(other, "none")]
    # The last of two is taken, so what is tried comes last.
    return [*path, *ALSO.get(path, []), *words[len(path) :]]


@contextmanager
def limited(seconds):
    """End what takes longer, where there is an alarm."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle, an index and files whose every text is hostile."""
    made = tmp_path_factory.mktemp("hostile")
    shutil.copytree(BUNDLE, made / "bundle")
    with SteerableIndex.create(made / "index", made / "bundle") as index:
        texts = [f"An exception is raised {number}. {EVIL}" for number in range(6)]
        metadata = [{"source": EVIL, "heading": EVIL, "page": 1}] * 6
        index.add(texts, ["row:x:1", EVIL, "[/]", "[bold]b[/bold]", "a\\[b]\\", "漢字"], metadata)
    # The commands that are tried change `index`; nothing writes to this copy.
    shutil.copytree(made / "index", made / "untouched")
    (made / "docs.jsonl").write_text(json.dumps({"id": EVIL, "text": EVIL, EVIL: EVIL}) + "\n", "utf-8")
    (made / "binary").write_bytes(bytes(range(256)) * 20)
    (made / "nothing").write_bytes(b"")
    (made / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(made / "pipe")
    return made


@pytest.fixture
def sae(sae_here, folder, monkeypatch):
    """Run a command in `folder` and check what holds for all of them."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("STEERSEARCH_CACHE", str(folder / "cache"))
    # The real one is read for seconds.
    monkeypatch.setattr("steersearch.corpus.python_documentation", lambda: Corpus.open("docs.jsonl"))
    monkeypatch.setattr("steersearch.integrations.studio.serve.run", lambda *_: None)
    for name in ("serve_stdio", "serve_http"):
        monkeypatch.setattr(f"steersearch.integrations.mcp_server.{name}", lambda *_: None)

    def run(words, script="sae"):
        shutil.rmtree(folder / "new", ignore_errors=True)
        if script == "sae-export" or words[0] in ("train", "export", "demo"):
            # Torch that is interrupted while it is imported cannot be imported again.
            importlib.import_module("steersearch.export")
            importlib.import_module("steersearch.training")
        with limited(SECONDS):
            end = sae_here(*words, script=script)
        assert not RAW & set(end.out + end.err), ascii(end)
        assert end.code in (0, 1, 2), end.err
        assert "fault of steersearch" not in end.err
        assert "Traceback" not in end.err
        if end.code == 2:
            assert len(end.err.splitlines()) == 1
            assert end.err.startswith("error: ")
            assert end.out == ""
        return end

    return run


@NAMED
def test_a_hostile_value(sae, script, path, name, kind):
    sae(call(script, path, name, VALUES[kind][0]), script)


@pytest.mark.slow
@NAMED
def test_all_hostile_values(sae, script, path, name, kind):
    for value in VALUES[kind]:
        sae(call(script, path, name, value), script)


@pytest.mark.parametrize(
    ("script", "path"), [pytest.param(*each[:2], id=" ".join((each[0], *each[1]))) for each in COMMANDS]
)
def test_hostile_data(sae, script, path):
    """Ids, texts, labels, notes, families and metadata, printed for people and as JSON."""
    for edit in (["rename", "f1", EVIL], ["note", "f2", EVIL], ["merge", "f1", "f2", "--into", EVIL]):
        sae(["features", *edit, "--bundle", "bundle"])
    takes = inspect.signature(dict((*each,) for each in walk(ROOTS[script]))[path or ("export",)]).parameters
    words = call(script, path)
    sae(words, script)
    if "json" in takes:
        end = sae([*words, "--json"], script)
        # An error is a line on stderr here too, and there is nothing on stdout.
        assert json.loads(end.out) is not None if end.code == 0 else end.out == "" or json.loads(end.out)


def test_ids_and_texts_are_shown_as_they_are(sae):
    shown = sae(["search", "an exception", "--index", "untouched", "-k", "6"]).out
    for id in ("  row:x:1  ", "  [/]  ", "  [bold]b[/bold]  ", "  a\\[b]\\  ", "  漢字  "):
        assert id in shown
    assert r"\x1b]0;pwned\x07\x1b[2J\x9b1m [/] [b]x[/b] :x: \ \u202e\u2066\u200b\U000e0041\x7f\r\n  1  0.999" in shown
    found = json.loads(sae(["search", "an exception", "--index", "untouched", "-k", "6", "--json"]).out)["hits"]
    assert {hit["id"] for hit in found} >= {EVIL, "row:x:1", "[/]"}
    assert [hit["metadata"]["source"] for hit in found] == [EVIL] * 6


def test_paths_are_no_markup(sae):
    end = sae(["search", "x", "--index", "index", "--like", "row:x:1", "--save-concept", "folder/a[bold]:x:.json"])
    assert "features in folder/a[bold]:x:.json" in end.err


def test_required_parameters_are_known():
    unknown = {name for *_, name, _, _, required in GIVEN if required and name not in FINE}
    assert not unknown, "give them a value in FINE"
