"""`sae search` and `sae explain` with everything that steers, as real processes."""

import json
import os
import subprocess
import sys

import pytest

from steersearch.runtime.steering.request import SAID_NOT

QUERY, PHRASE = "a name is given", "an exception is raised"


def sae(*arguments):
    code = "from steersearch.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "160", "NO_COLOR": "1"},
        timeout=120,
    )


def body(*arguments):
    result = sae(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def index(tiny_index):
    tiny_index.close()
    return tiny_index.path


def test_compare_shows_what_moved_and_why(index):
    boost = ("--boost", f"{PHRASE}=auto", "--blend", "move", "--keep", 0.8)
    shown = sae("search", QUERY, "-i", index, *boost, "--compare")
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert lines[0].endswith(" …")
    assert f"× {PHRASE} = " in lines[0]
    assert lines[1] == "keeps 0.80 of the query"
    found = body("search", QUERY, "-i", index, *boost, "--compare")
    assert found["kept"] == pytest.approx(0.8, abs=1e-4)
    assert found["concepts"][0]["source"] == "text"
    assert found["concepts"][0]["strength"] > 0
    assert found["concepts"][0]["evidence"] > 0.5
    assert [hit["rank_before"] for hit in found["plain"]] == [None] * 5
    ranks = {hit["id"]: hit["rank"] for hit in found["plain"]}
    for hit in found["hits"]:
        assert hit["rank_before"] == ranks.get(hit["id"], hit["rank_before"])
        moved = hit["rank_before"] - hit["rank"]
        arrow = "=" if not moved else f"▲{moved}" if moved > 0 else f"▼{-moved}"
        row = next(i for i, line in enumerate(lines) if f"{hit['rank']}. {arrow} {hit['id']}" in line)
        if moved:
            first = hit["moved_by"][0]
            assert f"{first['steered']:+.3f} {first['feature']}" in lines[row + 1]


def test_a_concept_is_saved_edited_and_used(index, tmp_path):
    file = tmp_path / "c.json"
    examples = ("--like", "modules-1", "--like", "modules-3", "--unlike", "numbers-1")
    made = sae("search", QUERY, "-i", index, *examples, "--save-concept", file)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("+1 × like modules-1; modules-3 = ")
    assert "of the query" not in made.stdout
    assert f"features in {file}" in made.stderr.replace("\n", "")
    raw = json.loads(file.read_text())
    assert (raw["source"], raw["more_like"], raw["less_like"]) == (
        "examples",
        ["modules-1", "modules-3"],
        ["numbers-1"],
    )
    kept = dict(list(raw["weights"].items())[:2])
    file.write_text(json.dumps(raw | {"weights": kept}))
    used = body("search", QUERY, "-i", index, "--boost", f"@{file}=2")["concepts"][0]
    assert (len(used["latents"]), used["strength"], used["source"]) == (2, 2.0, "examples")


def test_protect_and_keep_reach_explain(index):
    boost = ("--boost", f"{PHRASE}=auto", "--blend", "move", "--keep", 0.9, "--protect")
    hit = body("search", QUERY, "-i", index, *boost)["hits"][0]
    explained = body("explain", QUERY, hit["id"], "-i", index, *boost)
    assert explained["score"] == pytest.approx(hit["score"], abs=1e-5)
    assert sum(p["contribution"] for p in explained["parts"]) + explained["rest"] == pytest.approx(
        hit["score"], abs=1e-5
    )
    assert hit["rank_before"] is None
    assert hit["moved_by"] == []


def test_warnings_are_lines_on_stderr(index):
    moving = ("--blend", "move", "--boost", "zzzz qqqq=1000", "--boost", "f1=1", "--clamp", "f1=0")
    result = sae("search", QUERY, "-i", index, *moving)
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("warning: ") for line in lines)
    for told in ("taken as 100", "nothing about 'zzzz qqqq'", "the clamp wins"):
        assert any(told in line for line in lines)


def test_highlights(index):
    plain, steered = ("search", QUERY, "-i", index, "-k", 3), ("--boost", PHRASE)
    assert "highlights" not in body(*plain)["hits"][0]
    for how in ((), steered, (*steered, "--compare")):
        hits = body(*plain, *how, "--highlight")["hits"]
        shown = sae(*plain, *how, "--highlight")
        assert shown.returncode == 0, shown.stderr
        for hit in hits:
            assert hit["exact"]
            assert hit["highlights"]
            assert hit["sentence"]["value"] > 0
            words = [hit["text"][one["start"] : one["end"]] for one in hit["highlights"]]
            line = hit["text"][hit["sentence"]["start"] : hit["sentence"]["end"]]
            for one in reversed(hit["highlights"]):
                line = f"{line[: one['start']]}**{line[one['start'] : one['end']]}**{line[one['end'] :]}"
            assert line.count("**") == 2 * len(words)
            # Two columns cut it off.
            assert line[:40] in shown.stdout


def test_words_of_an_explanation(index):
    for how in ((), ("--boost", PHRASE)):
        hit = body("search", QUERY, "-i", index, "-k", 1, *how)["hits"][0]
        found = body("explain", QUERY, hit["id"], "-i", index, *how, "--words")
        words = found["words"]
        assert sum(one["contribution"] for one in words["words"]) + words["rest"] == pytest.approx(
            hit["score"], abs=1e-5
        )
        assert [one["text"] for one in words["words"]] == hit["text"].rstrip(".").split()
        for i, term in enumerate(found["terms"]):
            parts = sum(one["terms"][i] for one in words["words"])
            assert parts + words["rests"][i] == pytest.approx(term["contribution"], abs=1e-5)
        shown = sae("explain", QUERY, hit["id"], "-i", index, *how, "--words")
        assert "by words:" in shown.stdout
        assert "best sentence: " in shown.stdout
        assert "words" not in body("explain", QUERY, hit["id"], "-i", index, *how)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--boost", "jazz=auto", "--keep", "2"], "keep is 2.0"),
        (["--exclude", "Denmark=1"], "--exclude 'Denmark', or --boost 'Denmark=-1'"),
        (["--exclude", "jazz", "--boost", "jazz"], "in boost and in exclude"),
        (["--exclude", ""], "a concept is an empty text"),
        (["--clamp", "jazz=auto"], "a clamp sets a number"),
        (["--clamp", "jazz=loud"], "jazz=0"),
        (["--unlike", "modules-1"], "--like"),
        (["--boost", "@nowhere.json"], "nowhere.json"),
        (["--boost", "f1", "--boost", "f2", "--save-concept", "{file}"], "boosts 2"),
        (["--save-concept", "{file}"], "boosts 0"),
    ],
)
def test_wrong_use_is_one_line(index, arguments, message, tmp_path):
    file = tmp_path / "c.json"
    result = sae("search", QUERY, "-i", index, *(file if argument == "{file}" else argument for argument in arguments))
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr
    assert not file.exists()


def test_words_and_hybrid(index):
    words = body("search", "a metaclass", "-i", index, "--view", "words", "-k", 1)
    assert words["hits"][0]["id"] == "classes-4"
    by_rank = body("search", QUERY, "-i", index, "--view", "hybrid")["hits"]
    assert 0 < by_rank[0]["score"] < 3.1 / 61
    weights = ("--view", "hybrid", "--fusion", "dense=.4, words=.6", "--boost", PHRASE, "--compare")
    weighted = body("search", QUERY, "-i", index, *weights)
    assert 0.5 < weighted["hits"][0]["score"] <= 1
    assert weighted["plain"] != weighted["hits"]
    for fusion in ("sum", "dense=much", "dense", "dense=-1", "words=.5=.5", "=1", ""):
        refused = sae("search", QUERY, "-i", index, "--view", "hybrid", "--fusion", fusion)
        assert refused.returncode == 2
        assert "fusion is" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_what_each_condition_adds(index):
    wishes = ("--boost", PHRASE, "--exclude", "import a module", "--exclude", "f3")
    found = body("search", QUERY, "-i", index, *wishes)
    assert [concept["strength"] for concept in found["concepts"]] == [1.0]
    assert [concept["source"] for concept in found["excluded"]] == ["text", "latents"]
    assert found["kept"] == 1.0
    first = found["hits"][0]
    assert [term["condition"] for term in first["terms"]][:3] == ["query", PHRASE, "import a module"]
    assert [term["weight"] for term in first["terms"]][:2] == [1.0, 1.0]
    assert all(term["weight"] < 0 for term in first["terms"][2:])
    assert sum(term["contribution"] for term in first["terms"]) == pytest.approx(first["score"], abs=1e-5)
    explained = body("explain", QUERY, first["id"], "-i", index, *wishes)
    assert explained["terms"] == [pytest.approx(term) for term in first["terms"]]
    assert explained["score"] == pytest.approx(first["score"], abs=1e-5)
    lines = sae("search", QUERY, "-i", index, *wishes).stdout.splitlines()
    assert [line.split(" = ")[0] for line in lines[:2]] == [f"+1 × {PHRASE}", "without import a module"]
    values = [f"{term['contribution']:+.2f}" for term in first["terms"]]
    assert f"{values[0]} query, {values[1]} + {PHRASE}, {values[2]} − import a module, {values[3]} − " in lines[4]
    other = body("search", QUERY, "-i", index, *wishes, "--view", "words")["hits"][0]
    assert [term["condition"] for term in other["terms"]][:2] == [PHRASE, "import a module"]


def test_what_is_understood_is_always_printed(index):
    said = "names, not exceptions"
    shown = sae("search", said, "-i", index, "--understand")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "understood: names  − exceptions"
    assert lines[1].startswith(f"{SAID_NOT:+.3g} × exceptions = ")
    found = body("search", said, "-i", index, "--understand")
    assert found["request"] == {"query": "names", "boost": {}, "exclude": ["exceptions"]}
    ranked = [(hit["id"], hit["score"]) for hit in found["hits"]]
    same = body("search", "names", "-i", index, "--boost", f"exceptions={SAID_NOT}")
    assert [(hit["id"], hit["score"]) for hit in same["hits"]] == ranked
    assert same["request"] is None
    assert sae("search", QUERY, "-i", index, "--understand").stdout.splitlines()[0] == f"understood: {QUERY}"
    told = sae("explain", said, ranked[0][0], "-i", index, "--understand").stdout.splitlines()
    assert told[0] == lines[0]
    assert "- exceptions (stands out by " in told[3]
