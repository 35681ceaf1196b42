"""`sae index FOLDER` as a user meets it: files of all kinds, bad ones among them."""

import json
import os
import subprocess
import sys

import pytest

from ..corpus.making import pdf

CODE = "from steersearch.cli import main; main()"


def sae(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "120", "NO_COLOR": "1"},
        timeout=120,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_bundle):
    pytest.importorskip("pypdf", reason="needs the extra files")
    pytest.importorskip("selectolax", reason="needs the extra files")
    base = tmp_path_factory.mktemp("folder")
    notes = base / "notes"
    notes.mkdir()
    (notes / "guide.md").write_text("\n\n".join(f"# Step {n}\n\n{'Import the module. ' * 12}" for n in range(4)))
    (notes / "manual.pdf").write_bytes(pdf("A float has limited precision.", "The exception is raised again."))
    (notes / "page.html").write_text("<h1>Classes</h1><p>A class has a base class.</p>")
    (notes / "plain.txt").write_text("Adding two numbers gives a number.")
    (notes / "broken.pdf").write_bytes(b"%PDF-1.4 no more")
    (notes / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    result = sae("index", notes, "-b", tiny_bundle, "-i", base / "index")
    return base, result


def test_one_bad_file_does_not_stop_the_others(made, tiny_bundle):
    base, result = made
    assert result.returncode == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].endswith("now 4 documents in 8 pieces; 2 were cut, guide.md into 4")
    assert lines[1] == "2 of 6 files could not be read:"
    assert "broken.pdf is damaged" in lines[2]
    assert "latin.txt, line 1: byte 0xe9 is not UTF-8" in lines[3]
    again = sae("index", "--data", base / "notes", "-b", tiny_bundle, "-i", base / "index", "--json")
    body = json.loads(again.stdout)
    assert (again.returncode, body["added"], body["unchanged"], body["dropped"]) == (1, 8, 8, 0)
    assert body["problems"].keys() == {"broken.pdf", "latin.txt"}


def test_a_search_says_where_its_hits_stand(made):
    base, _ = made
    shown = sae("search", "an exception is raised again", "-i", base / "index", "-k", 1).stdout
    assert "manual.pdf#2" in shown
    assert "manual.pdf, page 2, characters 32 to 62" in shown
    hits = json.loads(sae("search", "step to import the module", "-i", base / "index", "-k", 8, "--json").stdout)[
        "hits"
    ]
    places = {hit["id"]: hit["metadata"] for hit in hits}
    assert places["guide.md#2"]["heading"] == "Step 1"
    assert places["page.html"] == {"source": "page.html", "heading": "Classes"}
    assert places["plain.txt"] == {"source": "plain.txt"}


def test_options(made, tiny_bundle, tmp_path):
    base, _ = made
    common = ("-b", tiny_bundle, "--json", "-i")
    whole = json.loads(sae("index", base / "notes", *common, tmp_path / "whole", "--no-chunks").stdout)
    assert whole["documents"] == 4
    small = json.loads(
        sae("index", base / "notes", *common, tmp_path / "small", "--chunk-tokens", 20, "--overlap", 0).stdout
    )
    assert (small["documents"], small["added_documents"]) == (4, 4)
    assert small["pieces"] > 12
    (tmp_path / "t.csv").write_text("key,body\n1,one text\n2,another text\n")
    assert "--text-column" in sae("index", tmp_path / "t.csv", *common, tmp_path / "t").stderr
    table = sae("index", tmp_path / "t.csv", *common, tmp_path / "t", "--text-column", "body")
    assert (table.returncode, json.loads(table.stdout)["documents"]) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing"),
        (["build"], "give the documents once, as PATH or with --data PATH"),
        (["a", "--data", "b"], "give the documents once"),
        (["{notes}", "--chunk-tokens", "4"], "reads 16 to 64"),
        (["{notes}", "--overlap", "40"], "allows 0 to half"),
    ],
)
def test_wrong_use(made, tiny_bundle, tmp_path, arguments, message):
    base, _ = made
    given = [base / "notes" if argument == "{notes}" else argument for argument in arguments]
    result = sae("index", *given, *(["-b", tiny_bundle, "-i", tmp_path / "i"] if arguments else []))
    assert result.returncode == 2
    if arguments:
        assert len(result.stderr.splitlines()) == 1
        assert message in result.stderr


def test_sources_without_ids_stand_side_by_side(tiny_bundle, tmp_path):
    """Two files whose lines have the same numbers; what is replaced is counted."""
    (tmp_path / "one.txt").write_text("an integer\na float\n")
    (tmp_path / "two.txt").write_text("a class\na module\n")
    options = ("-b", tiny_bundle, "-i", tmp_path / "t")
    assert "added 2, now 2 documents" in sae("index", tmp_path / "one.txt", *options).stderr
    assert "added 2, now 4 documents" in sae("index", tmp_path / "two.txt", *options).stderr
    (tmp_path / "two.txt").write_text("a class\nan error\n")
    again = " ".join(sae("index", tmp_path / "two.txt", *options).stderr.split())
    assert "added 2 (1 of them were there already), replaced 1, now 4 documents" in again
    (tmp_path / "two.txt").write_text("another class\nan error\n")
    body = json.loads(sae("index", tmp_path / "two.txt", *options, "--json").stdout)
    assert (body["added"], body["replaced"], body["documents"]) == (2, 1, 4)
    shown = sae("search", "an error", "-i", tmp_path / "t", "-k", 4).stdout
    assert "two.txt:2" in shown
    sae("embed", tmp_path / "one.txt", "-b", tiny_bundle, "--out", tmp_path / "s")
    merged = json.loads(sae("index", "merge", tmp_path / "s", "-i", tmp_path / "t", "-b", tiny_bundle, "--json").stdout)
    assert (merged["merged"], merged["replaced"], merged["documents"]) == (2, 0, 4)
    (tmp_path / "t.csv").write_text("id,text\n1,mine\n")
    refused = sae("index", tmp_path / "t.csv", *options)
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "'1' is the id of a document here" in refused.stderr


def test_an_index_knows_its_bundle(tiny_bundle, tmp_path):
    """No folder `bundle` is here: more documents need no --bundle, and a new index says which is missing."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"an integer {name}\n")
    new = sae("index", tmp_path / "two.txt", "-i", tmp_path / "new")
    assert new.returncode == 1
    assert "bundle" in new.stderr
    assert len(new.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()
    sae("index", tmp_path / "one.txt", "-b", tiny_bundle, "-i", tmp_path / "i")
    more = sae("index", tmp_path / "two.txt", "-i", tmp_path / "i")
    assert more.returncode == 0, more.stderr
    assert "added 1, now 2 documents" in " ".join(more.stderr.split())
    (tmp_path / "two.txt").write_text("\n\nan error\n")
    sae("embed", tmp_path / "two.txt", "-b", tiny_bundle, "--out", tmp_path / "t")
    merged = sae("index", "merge", tmp_path / "t", "-i", tmp_path / "i")
    assert merged.returncode == 0, merged.stderr
    assert "merged 1, dropped 1 that are gone, now 2 documents" in " ".join(merged.stderr.split())
    (tmp_path / "one.txt").write_text("\nan integer\n")
    again = sae("index", tmp_path / "one.txt", "-i", tmp_path / "i", "--json")
    assert json.loads(again.stdout)["dropped"] == 1
