"""What is copied runs, and finds the same documents."""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import warnings

import pytest

from steersearch.integrations.agents import AgentTools
from steersearch.runtime import Concept

PHRASE = "an exception is raised"
STATES = {
    "plain": {"query": "names of things", "k": 4},
    "a phrase": {"query": "names", "concepts": [{"key": {"phrase": PHRASE}, "strength": 0.5}]},
    "everything": {
        **{"query": 'it\'s "quoted" $HOME `x` \\n', "k": 7, "view": "hybrid", "filter": {"topic": {"$ne": "numbers"}}},
        "concepts": [
            {"key": {"phrase": "a = b"}, "strength": -0.5},
            {"key": {"phrase": "@home"}, "strength": "auto"},
            {"key": {"feature": 1}, "strength": 0.25},
            {"key": {"more": ["exceptions-1", "exceptions-2"], "less": ["numbers-1"], "phrase": "errors"}},
            {"key": {"weights": {"2": 1.0, "5": 0.5}}, "strength": 0.75},
            {"key": {"phrase": "import a module"}, "exclude": True},
            {"key": {"phrase": "integer"}, "on": False},
        ],
    },
    "only less": {"query": "names", "concepts": [{"key": {"more": [], "less": ["exceptions-1"]}, "strength": 0.5}]},
    "excluded =": {"query": "names", "concepts": [{"key": {"phrase": "x=1"}, "exclude": True}]},
    "a dash": {"query": "--names", "concepts": [{"key": {"phrase": PHRASE}, "strength": 1}]},
    "a sentence": {"query": "errors, but not warnings", "understand": True},
    "a view": {"query": "names", "view": "words", "concepts": [{"key": {"phrase": PHRASE}, "strength": 1}]},
}


@pytest.fixture(params=STATES, ids=str)
def state(request, tiny_index):
    state = json.loads(json.dumps(STATES[request.param]))
    if request.param == "a phrase":
        state["concepts"][0]["off"] = [next(iter(tiny_index.resolve(PHRASE).weights))]
    return state


@pytest.fixture
def asked(client, state):
    """The ids that the page shows, and the texts to copy."""
    found = client.post("/api/search", json=state).json()
    return [hit["id"] for hit in found["steered"]], client.post("/api/copy", json={"state": state}).json()


def run(code):
    names = {}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(code, names)
    names["index"].close()
    return names


def test_python(asked):
    ids, texts = asked
    assert [hit.id for hit in run(texts["python"])["hits"]] == ids


def test_langchain(asked):
    pytest.importorskip("langchain_core")
    ids, texts = asked
    assert [document.id for document in run(texts["langchain"])["documents"]] == ids


def test_command_line(asked, tmp_path, monkeypatch, sae_here):
    ids, texts = asked
    monkeypatch.chdir(tmp_path)
    *files, command = texts["cli"].rsplit("\nsae ", 1) if "\nsae " in texts["cli"] else (texts["cli"],)
    for block in filter(None, "".join(files).split("cat > ")):
        name, rest = block.split(" <<'END'\n", 1)
        (tmp_path / name).write_text(rest.split("\nEND")[0])
    words = shlex.split(command.removeprefix("sae "))
    done = sae_here(words[0], "--json", *words[1:])
    assert done.code == 0, done.err
    assert [hit["id"] for hit in json.loads(done.out)["hits"]] == ids


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the command is for a POSIX shell")
def test_command_line_in_a_shell(asked, tmp_path):
    ids, texts = asked
    sae = "import sys\nfrom steersearch.cli import main\nsys.argv[0] = 'sae'\nmain()"
    (tmp_path / "sae").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(sae)} "$@"\n')
    (tmp_path / "sae").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    text = texts["cli"].replace("\nsae search ", "\nsae search --json ") if "\nsae" in texts["cli"] else texts["cli"]
    if text.startswith("sae search "):
        text = text.replace("sae search ", "sae search --json ", 1)
    done = subprocess.run(["bash", "-c", text], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == ids


def test_the_call_of_an_agent_is_one_that_its_tool_takes(asked, tiny_index):
    call = json.loads(asked[1]["mcp"])
    assert call["name"] == "search_documents"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert AgentTools(tiny_index).search_documents(**call["arguments"])["results"]


def test_a_concept_file_is_the_concept(client, tiny_index):
    state = {"query": "names", "concepts": [{"key": {"phrase": PHRASE}, "strength": 0.5}]}
    texts = client.post("/api/copy", json={"state": state}).json()
    concept = Concept.from_json(texts["concept"], tiny_index.bundle)
    found = client.post("/api/search", json=state).json()
    hits = tiny_index.search("names", 10, boost={concept: 0.5})
    assert [hit.id for hit in hits] == [hit["id"] for hit in found["steered"]]
    assert client.post("/api/copy", json={"state": {"query": "names"}}).json()["concept"] is None
