"""`sae get`, `sae update`, `sae delete`, and `sae index --from`."""

import json
import shutil
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parent.parent / "data" / "tiny_bundle"
PART = "The number is an integer of the class. The number is an integer of the class."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents") / "notes"
    folder.mkdir()
    (folder / "short.txt").write_text("A module is imported once.")
    (folder / "long.md").write_text("\n\n".join(f"# Part {n}\n\n{PART}" for n in range(3)))
    return folder


@pytest.fixture
def index(sae_here, folder, tmp_path):
    made = sae_here("index", folder, "-b", BUNDLE, "-i", tmp_path / "index")
    assert made.code == 0, made.err
    assert "added 2 documents in 4 pieces, now 2 documents in 4 pieces; long.md was cut into 3" in " ".join(
        made.err.split()
    )
    return tmp_path / "index"


def test_get(sae_here, index):
    whole = sae_here("get", "long.md", "-i", index)
    assert whole.code == 0
    assert whole.out.startswith("long.md  (3 chunks)\n")
    assert whole.out.count(PART) == 3
    body = json.loads(sae_here("get", "long.md", "long.md#2", "-i", index, "--json").out)
    assert body[0]["pieces"] == ["long.md#1", "long.md#2", "long.md#3"]
    assert body[1]["metadata"]["chunk"] == 2


@pytest.mark.parametrize("command", [["get"], ["delete"], ["update", "--set", "a=1"]])
def test_an_unknown_id_names_the_nearest_and_changes_nothing(sae_here, index, command):
    ended = sae_here(*command, "short.txt", "lng.md", "-i", index)
    assert ended.code == 1
    assert ended.err.startswith("error: there is no document 'lng.md' in ")
    assert "did you mean 'long.md'?" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert json.loads(sae_here("index", "info", "-i", index, "--json").out)["documents"] == 2


def test_delete(sae_here, index, folder):
    body = json.loads(sae_here("delete", "long.md", "--dry-run", "-i", index, "--json").out)
    assert (body["removed"], body["pieces"], body["left_pieces"], body["dry_run"]) == (["long.md"], 3, 4, True)
    ended = sae_here("delete", "--filter", '{"source": "short.txt"}', "-i", index)
    assert "removed 1 document: short.txt" in ended.err
    assert "removed 1 document in 3 pieces: long.md" in " ".join(sae_here("delete", "long.md", "-i", index).err.split())
    assert sae_here("index", folder, "-i", index).code == 0
    body = json.loads(sae_here("delete", "--source", folder, "-i", index, "--json").out)
    assert sorted(body["removed"]) == ["long.md", "short.txt"]
    assert body["left_pieces"] == 0


def test_update(sae_here, index):
    words = ("--set", "year=2024", "--set", "note=a=b", "--unset", "heading")
    assert sae_here("update", "long.md", *words, "-i", index).code == 0
    (found,) = json.loads(sae_here("get", "long.md", "-i", index, "--json").out)
    assert found["metadata"] == {"source": "long.md", "year": 2024, "note": "a=b"}
    assert len(found["pieces"]) == 3
    ended = sae_here("update", "--filter", '{"year": 2024}', "--set", "year=2025", "--dry-run", "-i", index)
    assert "would change 1 document in 3 pieces" in " ".join(ended.err.split())
    hits = json.loads(sae_here("search", "number", "-i", index, "--filter", '{"year": 2024}', "--json").out)["hits"]
    assert {hit["document"] for hit in hits} == {"long.md"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["delete"], "say which documents by one of ID..., --source and --filter"),
        (["delete", "a", "--source", "b"], "say which documents by one of"),
        (["delete", "--filter", "{}"], "matches every document"),
        (["delete", "--source", "nothing"], "no document of"),
        (["update", "long.md"], "nothing to change"),
        (["update", "long.md", "--set", "year"], "--set 'year' sets nothing"),
    ],
)
def test_wrong_use(sae_here, index, words, message):
    ended = sae_here(*words, "-i", index)
    assert ended.code in (1, 2)
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_index_that_was_moved_or_lost_its_bundle(sae_here, index, tmp_path):
    """It says what it has, and gives, changes and removes documents; only what embeds needs the bundle."""
    moved = tmp_path / "deep" / "down" / "index"
    shutil.copytree(index, moved)
    body = json.loads(sae_here("index", "info", "-i", moved, "--json").out)
    assert (body["documents"], body["pieces"], body["bundle_found"]) == (2, 4, False)
    assert "not there: say where it is with --bundle" in " ".join(sae_here("index", "info", "-i", moved).out.split())
    body = json.loads(sae_here("index", "info", "-i", moved, "-b", BUNDLE, "--json").out)
    assert (body["bundle_found"], body["n_latents"]) == (True, 48)
    assert sae_here("get", "long.md", "-i", moved).code == 0
    assert sae_here("delete", "long.md", "-i", moved).code == 0
    assert sae_here("search", "number", "-i", moved).code == 1


def test_an_index_remembers_its_bundle(sae_here, index, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text('{"id": "new", "text": "A float is a number."}\n')
    assert sae_here("index", more, "--index", index).code == 0
    assert sae_here("get", "new", "-i", index).code == 0


def test_moving_to_another_bundle(sae_here, index, tmp_path):
    ended = sae_here("index", "--from", index, "--index", tmp_path / "new", "-b", BUNDLE)
    assert ended.code == 0, ended.err
    assert "moved 2 documents" in ended.err
    assert sae_here("get", "long.md", "-i", tmp_path / "new").out == sae_here("get", "long.md", "-i", index).out
    assert "exists and is not empty" in sae_here("index", "--from", index, "-i", index, "-b", BUNDLE).err
    both = sae_here("index", "--from", index, "--data", "x", "-i", tmp_path / "newer", "-b", BUNDLE)
    assert "--from moves the documents of an index" in both.err
    assert both.code == 2


def test_one_result_for_each_document(sae_here, index):
    body = json.loads(sae_here("search", "number class", "-i", index, "--group", "document", "--json").out)
    assert sorted(hit["document"] for hit in body["hits"]) == ["long.md", "short.txt"]
