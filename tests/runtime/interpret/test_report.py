import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from steersearch.errors import StorageError
from steersearch.runtime.bundle.feature import Feature
from steersearch.runtime.bundle.feature_tree import FeatureGroup
from steersearch.runtime.bundle.features import Features
from steersearch.runtime.bundle.interpretation import Entry, Interpretation, Passage, Pattern, Score
from steersearch.runtime.interpret.report import LENGTH, report_data, write_report

EVIL = "</script><script>alert(1)</script><!-- {{data}}"
CLEAR = Score(0.9, 0.85, 0.95, 0.001, 0.8, 0.7, 12)
POOR = Score(0.6, 0.5, 0.7, 0.2, 0.5, 0.5, 8)
TEXT = "Purring cats sleep."
ENTRIES = (
    Entry(
        0,
        ("cats", "purring"),
        "cats, purring",
        score=CLEAR,
        pattern_score=POOR,
        fires=4,
        active=10,
        quantiles=(0.1, 0.2, 0.3, 0.4, 0.8),
        top=(Passage("d1", TEXT, 2.0, ((0, 7, 0.5), (8, 12, 0.75)), (8, 18)),),
        near_misses=(Passage("d2", EVIL, 0.0),),
        queries=(("why do cats purr", 1.5),),
        companions=((1, 3.25),),
        similar=((2, 0.5), (4, 0.25)),
        patterns=(Pattern((("cat", "cats"), ("purr",)), 0.8, 3),),
    ),
    Entry(1, ("dogs",), "dogs", score=POOR, fires=2, active=3, quantiles=(1.0,) * 5),
    Entry(2, ("a", "the"), "a, the", fires=30, active=60, quantiles=(1.0,) * 5),
    Entry(3),
    Entry(4, ("fish",), "fish", score=replace(CLEAR, auc=0.7), fires=5, active=6, quantiles=(1.0,) * 5),
)
INTERPRETATION = Interpretation(
    "pets",
    100,
    (0.5, 0.25, 0.0),
    ((0, 1, 4), (2, 3)),
    ((0.5, 0.25), (0.0, 1.0), (0.1, 0.2), (0.3, 0.4), (1, 1)),
    ENTRIES,
)


def features(**edits):
    """The features of `ENTRIES`; edits by name, `f1={"hidden": True}`."""
    made = [
        Feature(e.latent, None if e.unclear else e.label, 0.0, 0.0, 0.0, 0.0, unclear=e.unclear and e.fires > 0)
        for e in ENTRIES
    ]
    return Features([replace(f, **edits.get(f.name, {})) for f in made], np.zeros(2, np.float32))


def data(**edits):
    found = report_data(INTERPRETATION, features(**edits))
    return found, {record["id"]: record for record in found["features"]}


class Page(HTMLParser):
    """The elements of a page, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.inside = [], [], False
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_data(self, text):
        if self.inside:
            self.scripts[-1] += text
        else:
            self.text += text

    def handle_endtag(self, tag):
        self.inside = False


def test_the_data_in_the_page_are_the_entries(tmp_path):
    write_report(INTERPRETATION, features(), tmp_path / "report.html", title="Pets")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    found = json.loads(page.scripts[0])
    assert found == report_data(INTERPRETATION, features())
    assert found["features"][0] == {
        "id": 0,
        "label": "cats, purring",
        "renamed": False,
        "automatic": None,
        "source": "phrases",
        "note": "",
        "score": [0.9, 0.85, 0.95, 0.8, 0.7, 0.001, 12],
        "pattern_score": [0.6, 0.5, 0.7, 0.5, 0.5, 0.2, 8],
        "steers": None,
        "usefulness": 0.0,
        "description": "",
        "fires": 4,
        "active": 10,
        "at": [0.5, 0.25],
        "typical": 0.4,
        "quantiles": [0.25, 0.5, 0.75, 1.0, 2.0],
        "top": [["d1", 2.0, [["Purring", 0.5, 0], " ", ["cats", 0.75, 1], [" sleep", 0.0, 1], "."]]],
        "near_misses": [["d2", 0.0, [EVIL]]],
        "queries": [["why do cats purr", 1.5]],
        "companions": [[1, 3.2]],
        "similar": [[2, 0.5], [4, 0.25]],
        "patterns": [[[["cat", "cats"], ["purr"]], 0.8, 3]],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_figures():
    found, _ = data()
    assert found["documents"] == 100
    assert (len(found["features"]), found["alive"], found["clear"], found["hidden"]) == (5, 4, 2, 0)
    assert found["median_score"] == 0.7  # of .9, .6 and .7
    assert found["median_pattern_score"] == 0.6
    assert found["covered"] == [0.5, 0.25, 0.0]
    dense = [r["id"] for r in found["features"] if r["active"] / found["documents"] > found["limits"]["too_dense"]]
    assert dense == [2]
    assert [r["id"] for r in found["features"] if not r["fires"]] == [3]


def test_nothing_known_means_no_figure():
    silent = replace(INTERPRETATION, entries=tuple(Entry(i) for i in range(5)))
    found = report_data(silent, features())
    assert (found["alive"], found["clear"], found["median_score"]) == (0, 0, None)
    assert "top" not in found["features"][0]


def test_unclear_features_have_no_label_but_their_words():
    _, records = data()
    assert {latent: record["label"] for latent, record in records.items()} == {
        0: "cats, purring",
        1: None,
        2: None,
        3: None,
        4: "fish",
    }
    assert (records[1]["automatic"], records[2]["automatic"], records[3]["automatic"]) == ("dogs", "a, the", None)


def test_people_name_and_annotate_features():
    _, records = data(f1={"label": "hounds", "renamed": True, "unclear": False, "note": "not wolves"})
    assert (records[1]["label"], records[1]["automatic"], records[1]["note"]) == ("hounds", "dogs", "not wolves")
    assert records[1]["score"] is None  # it was measured for the other label


def test_hidden_features_are_left_out():
    found, records = data(f0={"hidden": True, "label": None})
    assert set(records) == {1, 2, 3, 4}
    assert (found["hidden"], found["alive"], found["clear"]) == (1, 3, 1)
    assert found["families"] == [{"name": "fish", "members": [1, 4]}, {"name": "f2", "members": [2, 3]}]


def test_a_family_that_people_made_counts():
    found, _ = data(f1={"family": "pets"}, f2={"family": "pets"})
    assert found["families"] == [{"name": "pets", "members": [1, 2]}, {"name": "cats, purring", "members": [0, 4]}]


def test_the_tree_is_in_the_page():
    tree = (FeatureGroup("animals", (), (FeatureGroup("pets", (1, 0), (), 0.4), FeatureGroup("fish", (4,)))),)
    found = report_data(replace(INTERPRETATION, tree=tree), features(f4={"hidden": True}))
    pets = {"name": "pets", "share": 0.4, "count": 2, "latents": [1, 0]}
    assert found["tree"] == [{"name": "animals", "share": None, "count": 2, "children": [pets]}]
    assert found["families"] == [{"name": "pets", "members": [1, 0]}]


def test_texts_stay_texts(tmp_path):
    edits = {"f0": {"label": EVIL, "renamed": True, "note": EVIL}}
    hostile = replace(INTERPRETATION, corpus=EVIL)
    write_report(hostile, features(**edits), tmp_path / "page.html", title=EVIL)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(page.scripts) == 2  # the data and the program
    found = json.loads(page.scripts[0])
    assert found["features"][0]["label"] == found["features"][0]["note"] == found["corpus"] == EVIL
    assert page.text.count(EVIL) == 3  # the title, the headline, and the corpus for those without scripts
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in page.scripts[1]


def test_the_page_needs_no_network(tmp_path):
    write_report(INTERPRETATION, features(), tmp_path / "page.html", title="Pets")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not [tag for tag, attributes in page.tags if tag == "link" or "src" in attributes]
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"\{\{(?!data)", text)  # every place of the template is filled; `EVIL` says {{data}} itself


def test_half_a_character_can_be_written(tmp_path):
    broken = replace(ENTRIES[0], top=(Passage("d1", "cats \ud83d", 1.0),))
    write_report(replace(INTERPRETATION, entries=(broken, *ENTRIES[1:])), features(), tmp_path / "page.html", title="x")
    assert r'"cats \\ud83d"' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_nothing_hides_in_the_page(tmp_path):
    edits = {"f0": {"label": "cats\u202etac\x1b", "renamed": True, "note": "one\ntwo\u200b"}}
    write_report(INTERPRETATION, features(**edits), tmp_path / "page.html", title="Pets\u202e")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not set(text) & set("\u202e\x1b\u200b")
    page = Page(text)
    found = json.loads(page.scripts[0])["features"][0]
    assert (found["label"], found["note"]) == (r"cats\u202etac\x1b", "one\ntwo" + r"\u200b")
    assert r"Pets\u202e" in page.text


@pytest.mark.parametrize("at", [0, 250, 600])
def test_a_long_passage_is_cut_around_what_matters(at):
    words = "filler " * 120  # 840 characters
    text = f"{words[:at]}cats {words[at:]}"
    first = text.index("cats")
    passage = Passage("d", text, 1.0, ((first, first + 4, 1.0),), (first, first + 4))
    entry = replace(ENTRIES[0], top=(passage,))
    found = report_data(replace(INTERPRETATION, entries=(entry, *ENTRIES[1:])), features())
    parts = found["features"][0]["top"][0][2]
    assert ["cats", 1.0, 1] in parts
    shown = "".join(part if isinstance(part, str) else part[0] for part in parts)
    assert len(shown) <= LENGTH + 4
    assert shown.strip("… ") in text
    assert shown.startswith("… ") == (at > 0)
    assert shown.endswith(" …")


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*report\.html.*folder that exists"):
        write_report(INTERPRETATION, features(), tmp_path / "none" / "report.html", title="Pets")


def test_what_was_there_before_stays_when_writing_fails(tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(INTERPRETATION, features(), out, title="Pets")
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]
