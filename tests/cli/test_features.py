"""`sae features`, with an interpretation made by hand; tests/cli/test_cli.py runs it as a process."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
from rich.text import Text
from typer.testing import CliRunner

from steersearch.cli import app
from steersearch.cli.features.output import frequency_bar, passage_line
from steersearch.cli.output import console
from steersearch.errors import BundleError, ConfigError, UnknownFeatureError
from steersearch.runtime import Bundle
from steersearch.runtime.bundle.feature_tree import FeatureGroup
from steersearch.runtime.bundle.interpretation import Entry, Interpretation, Passage, Pattern, Score, SteeringScore
from steersearch.runtime.bundle.manifest import Manifest

SENTENCE = "The raise statement raises an exception again."
FULL = Entry(
    3,
    ("raise", "exception"),
    "raise, exception",
    score=Score(0.834, 0.7, 0.95, 0.001, 0.8, 0.7, 12),
    pattern_score=Score(0.9, 0.8, 1.0, 0.001, 0.8, 0.7, 12),
    fires=8,
    active=12,
    quantiles=(0.1, 0.2, 0.3, 0.4, 0.5),
    top=(Passage("exceptions-3", SENTENCE, 1.25, ((4, 9, 0.6), (30, 39, 0.3)), (4, 39)),) * 20,
    near_misses=(Passage("classes-1", "A class is\nnot raised.", 0.0),) * 5,
    queries=(("what is [raised]?", 0.8),) * 9,
    companions=((4, 3.25), (5, 2.0)),
    similar=((6, 0.61),),
    patterns=(Pattern((("raise", "raises"), ("exception",)), 0.9, 3),) * 9,
)


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    """A bundle of our own, with scores as an interpretation leaves them: f3 has a clear label, f4 has none."""
    copied = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    raw = json.loads((copied / "features.json").read_text("utf-8"))
    raw["latents"][3] |= {"label": FULL.label, "score": 0.834, "pattern_score": 0.9}
    raw["latents"][4] |= {"label": None, "unclear": True, "guess": "either, or", "score": None}
    (copied / "features.json").write_text(json.dumps(raw), "utf-8")
    manifest = Manifest.from_json((copied / "manifest.json").read_text("utf-8"))
    manifest.files["features.json"]["bytes"] = (copied / "features.json").stat().st_size
    (copied / "manifest.json").write_text(manifest.to_json(), "utf-8")
    return copied


@pytest.fixture
def found():
    entries = tuple(FULL if i == 3 else Entry(i) for i in range(64))
    return Interpretation("docs", 60, (1, 0.9, 0.5), ((3, 5), (7, 8, 9)), ((0.5, 0.5),) * 64, entries)


@pytest.fixture
def sae(folder, found, monkeypatch):
    """Runs `sae features ... --bundle folder` on an interpreted bundle."""
    load = Bundle.load
    monkeypatch.setattr(Bundle, "load", lambda path, **more: load(path, verify=False, threads=1))
    monkeypatch.setattr(Bundle, "interpretation", found)
    monkeypatch.setattr(console, "_width", 100)  # COLUMNS is read once, when the console is made

    def run(*arguments):
        return CliRunner().invoke(app, ["features", *map(str, arguments), "--bundle", str(folder)])

    return run


def read(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list(sae):
    densities = [f["density"] for f in read(sae("list", "--by", "density", "--json", "-n", 64))]
    assert densities == sorted(densities, reverse=True)
    useful = read(sae("list", "--json", "-n", 64))
    assert useful[0]["name"] == "f3"
    assert useful[0]["usefulness"] > 0
    assert [f["usefulness"] for f in useful] == sorted((f["usefulness"] for f in useful), reverse=True)
    assert read(sae("list", "--by", "score", "-n", 1, "--json"))[0]["name"] == "f3"
    labels = [f["label"].casefold() for f in read(sae("list", "--by", "label", "--clear", "-n", 64, "--json"))]
    assert labels == sorted(labels)
    assert "f4" in {f["name"] for f in read(sae("list", "--unclear", "--json"))}
    printed = sae("list", "--by", "score", "-n", 2).stdout
    assert "raise, exception" in printed
    assert ".83" in printed
    assert "unclear: either, or" in sae("list", "--unclear", "-n", 64).stdout


@pytest.fixture
def steered(sae, folder, monkeypatch):
    """As `sae`, in a bundle of which it was measured what steers."""
    raw = json.loads((folder / "features.json").read_text("utf-8"))
    raw["latents"][3] |= {"steers": 0.97, "inert": False}
    raw["latents"][4] |= {"steers": 0.5, "inert": True}
    (folder / "features.json").write_text(json.dumps(raw), "utf-8")
    manifest = Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
    manifest.files["features.json"]["bytes"] = (folder / "features.json").stat().st_size
    (folder / "manifest.json").write_text(manifest.to_json(), "utf-8")
    known = Bundle.interpretation
    entry = replace(FULL, steers=SteeringScore(0.97, 0.94, 1.0, 0.02, 0.61, 0.03, 0.3, 0.8, 0.2, 0.8, 16))
    entries = (*known.entries[:3], entry, *known.entries[4:])
    monkeypatch.setattr(Bundle, "interpretation", replace(known, entries=entries))
    return sae


def test_what_steers_stands_beside_what_reads(steered, sae, tmp_path, folder):
    printed = steered("list", "--by", "score", "-n", 2).stdout.splitlines()
    assert printed[0].split() == ["label", "reads", "steers", "documents"]
    assert printed[1].split()[-3:-1] == [".83", ".97"]
    assert printed[2].split()[-2] not in (".83", ".97")
    shown = steered("show", "f3").stdout
    assert shown.startswith("f3 (raise, exception, .83, steers .97)")
    assert "of the first ten 61 % have it with a boost, 2 % without, 3 % with another feature" in shown
    assert "of the nearest to texts that have it 80 %, clamped to 0 20 %" in shown
    body = read(steered("show", "f3", "--json"))
    assert (body["steers"], body["interpretation"]["steers"]["boosted"]) == (0.97, 0.61)
    features = Bundle.load(folder).features
    assert features.inert == {4}
    assert (features[4].inert, features[4].steers) == (True, 0.5)
    assert steered("export", "--out", tmp_path / "f.csv").exit_code == 0
    with (tmp_path / "f.csv").open(encoding="utf-8") as file:
        assert [row["steers"] for row in csv.DictReader(file)][3:6] == ["0.97", "0.5", ""]
    # What was measured is the label that it had.
    [renamed] = read(steered("rename", "f3", "mine", "--json"))
    assert renamed["steers"] is None


def test_bundles_of_before_have_no_such_column(sae):
    assert sae("list", "-n", 3).stdout.split()[:3] == ["label", "score", "documents"]
    assert "steers" not in sae("show", "f3").stdout
    assert read(sae("show", "f3", "--json"))["steers"] is None


TREE = (
    FeatureGroup(
        "errors", (), (FeatureGroup("raising", (3, 5), (), 0.25), FeatureGroup("catching", (7,), (), 0.05)), 0.3
    ),
    FeatureGroup("numbers", (), (FeatureGroup("sums", (8, 9), (), 0.7),), 0.7),
)


def test_tree(sae, found, monkeypatch):
    monkeypatch.setattr(Bundle, "interpretation", replace(found, tree=TREE))
    lines = sae("tree").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [["errors", "3", "30.00%"], ["numbers", "2", "70.00%"]]
    assert "   raising" in sae("tree", "--depth", 2).stdout
    assert "      f3 (raise, exception, .83)" in sae("tree", "--depth", 3).stdout
    opened = sae("tree", "Errors").stdout
    assert "catching" in opened
    assert "sums" not in opened
    for asked in ("raising", "f5"):
        family = sae("tree", asked).stdout
        assert family.startswith("raising  2 features, 25.00% of the documents")
        assert family.index("f3") < family.index("f5")
    plain = read(sae("tree", "errors", "--json"))
    assert [child["name"] for child in plain[0]["children"]] == ["raising", "catching"]
    assert "members" not in plain[0]["children"][0]
    assert read(sae("tree", "--depth", 3, "--json"))[1]["children"][0]["members"][0]["name"] == "f8"
    assert isinstance(sae("tree", "f20").exception, UnknownFeatureError)
    assert isinstance(sae("tree", "nothing").exception, UnknownFeatureError)
    sae("hide", "f3")
    assert "f3" not in sae("tree", "raising").stdout


def test_without_families_there_is_no_tree(sae, found, monkeypatch):
    monkeypatch.setattr(Bundle, "interpretation", replace(found, families=()))
    assert "sae features label" in str(sae("tree").exception)
    monkeypatch.setattr(Bundle, "interpretation", None)
    assert "sae features label" in str(sae("tree").exception)


def test_families(sae):
    assert {f["name"] for f in read(sae("list", "--family", "f7", "--json"))} == {"f7", "f8", "f9"}
    family = read(sae("list", "--by", "family", "-n", 5, "--json"))
    assert {f["name"] for f in family} == {"f3", "f5", "f7", "f8", "f9"}
    assert len({f["family"] for f in family}) == 2
    sae("merge", "f7", "f3", "--into", "Arithmetic")
    assert {f["name"] for f in read(sae("list", "--family", "arithmetic", "--json"))} == {"f3", "f7"}
    assert {f["name"] for f in read(sae("list", "--family", "f9", "--json"))} == {"f8", "f9"}
    assert isinstance(sae("list", "--family", "f20").exception, UnknownFeatureError)


def test_show_fits_on_one_screen(sae):
    sae("note", "f3", "a note\nof two lines")
    sae("merge", "f3", "f4", "--into", "errors")
    result = sae("show", "f3")
    lines = result.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert lines[0] == "f3 (raise, exception, .83)"
    for expected in (
        "AUC .83 on held-out documents: 12 on which it fires",
        "active on 20.00% of the documents of docs; fires on 8 of 60",
        "half 0.10, 75 % 0.20",
        "0.90 raise|raises + exception  in 3",
        "1.25 The *raise* statement raises an *exception* again.",
        "A class is not raised.",
        "0.80 what is [raised]?",
        "×3.2 f4 (either, or?)",
        "0.61 f6 (",
        "a note of two lines",
        "errors",
    ):
        assert expected in result.stdout
    assert "sae features label" not in result.output
    body = read(sae("show", "f3", "--json"))
    assert body["score"] == 0.834
    assert len(body["interpretation"]["top"]) == 20
    unclear = sae("show", "f4").stdout
    assert unclear.startswith("f4 (either, or?)")
    assert "either, or" in unclear


def test_show_a_bundle_that_was_never_interpreted(sae, monkeypatch):
    monkeypatch.setattr(Bundle, "interpretation", None)
    result = sae("show", "f3")
    assert result.exit_code == 0
    for expected in ("reference corpus", "words", "strongest", "similar"):
        assert expected in result.stdout
    assert "sae features label --bundle" in " ".join(result.stderr.split())
    assert read(sae("show", "f3", "--json"))["interpretation"] is None
    assert isinstance(sae("export", "f3", "--out", "x.svg").exception, BundleError)


def test_search_and_similar(sae, folder, tmp_path):
    assert read(sae("search", "raise, exception", "-n", 1, "--json"))[0]["name"] == "f3"
    path = tmp_path / "docs.jsonl"
    path.write_text(json.dumps({"id": "1", "text": SENTENCE}) + "\n")
    typical = read(sae("search", "--data", path, "--json"))
    assert [f["name"] for f in typical] == [f["name"] for f in read(sae("search", "--like", SENTENCE, "--json"))]
    assert all(f["excess"] > 0 for f in typical)
    assert isinstance(sae("search").exception, ConfigError)
    assert isinstance(sae("search", "x", "--like", "y").exception, ConfigError)
    near = read(sae("similar", "f3", "-n", 63, "--json"))
    assert {f["name"]: f["together"] for f in near if f["together"]} == {"f4": 3.2, "f5": 2.0}
    assert "cosine" in sae("similar", "f3").stdout


def test_short_forms(sae):
    assert read(sae("--json")) == read(sae("list", "--json"))
    assert read(sae("f3", "--json")) == read(sae("show", "f3", "--json"))
    assert read(sae("Raise, Exception", "--json"))["name"] == "f3"
    assert read(sae("an exception", "-n", 4, "--json")) == read(sae("search", "an exception", "-n", 4, "--json"))
    assert read(sae("-n", 2, "f3", "--json"))["name"] == "f3"
    wrong = sae("--json", "list")
    assert isinstance(wrong.exception, ConfigError)
    assert "sae features list --bundle" in str(wrong.exception)
    assert isinstance(sae("f64").exception, UnknownFeatureError)


def test_edits_from_the_command_line(sae, folder):
    assert read(sae("rename", "f3", "errors on purpose", "--json"))[0]["label"] == "errors on purpose"
    assert "errors on purpose" in sae("note", "errors on purpose", "[b]look[/b]").stdout
    shown = sae("f3").stdout
    assert shown.startswith("f3 (errors on purpose)\n")
    assert "before: raise, exception" in shown
    assert "[b]look[/b]" in shown
    assert "AUC .83" not in shown  # it is not this label's
    assert read(sae("hide", "f3", "f5", "--json"))[1]["hidden"]
    assert {f["name"] for f in read(sae("list", "--hidden", "--json"))} == {"f3", "f5"}
    assert "f3" not in {f["name"] for f in read(sae("list", "-n", 64, "--json"))}
    assert sae("show", "f3").stdout.startswith("f3\n")
    sae("unhide", "f5")
    assert "raise, exception" in sae("reset", "f3", "f5").stdout
    assert not folder.with_name("bundle.edits.json").exists()
    assert isinstance(sae("rename", "f3", "f4").exception, ConfigError)
    assert isinstance(sae("merge", "f3", "--into", "alone").exception, ConfigError)


def test_export(sae, tmp_path):
    sae("hide", "f5")
    assert read(sae("export", "--out", tmp_path / "all.csv", "--json"))["features"] == 64
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[3]["label"], rows[3]["score"], rows[5]["hidden"]) == ("raise, exception", "0.834", "True")
    for suffix, begin in ((".json", "{"), (".dot", "digraph"), (".svg", "<svg")):
        result = sae("export", "raise, exception", "--out", tmp_path / f"f3{suffix}")
        assert result.exit_code == 0
        assert "f3 (raise, exception, .83)" in " ".join(result.stderr.split())
        assert (tmp_path / f"f3{suffix}").read_text("utf-8").startswith(begin)


@pytest.mark.parametrize(
    "command",
    ["list", "search", "show", "similar", "export", "rename", "merge", "hide", "unhide", "note", "reset"],
)
def test_help_has_an_example(command, sae):
    assert command in CliRunner().invoke(app, ["features", "--help"]).stdout
    page = " ".join(CliRunner().invoke(app, ["features", command, "--help"]).stdout.split())
    assert f"sae features {command}" in page
    assert "--json" in page


def test_words_that_matter_are_marked_and_stay_in_view():
    text = "x" * 200 + " the decisive word " + "y" * 200
    passage = Passage("d", text, 1.0, ((205, 213, 0.7), (214, 218, 0.1)), (201, 218))
    plain = passage_line(passage, 60, styled=False)
    assert "*decisive*" in plain.plain
    assert plain.plain.startswith("…")
    assert plain.plain.endswith("…")
    assert 55 <= len(plain) <= 62
    styled = passage_line(passage, 60, styled=True)
    assert isinstance(styled, Text)
    styles = {styled.plain[span.start : span.end]: str(span.style) for span in styled.spans}
    assert styles["decisive"] == "bold black on yellow underline"
    assert styles["word"] == "yellow underline"
    assert styles["the "].strip() == "underline"
    assert passage_line(Passage("d", "short\n\ntext", 1.0), 60, styled=False).plain == "short text"


def test_frequency_bar():
    assert frequency_bar(0) == "░" * 20
    assert frequency_bar(1) == "█" * 20
    assert frequency_bar(0.01) == "█" * 10 + "░" * 10
    assert frequency_bar(1e-9) == "░" * 20
