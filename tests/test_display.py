"""What a notebook shows: short lines, small tables, whatever texts, labels and metadata hold."""

import copy
import json
import pickle
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from steersearch.display import html
from steersearch.display.explanations import explanation_html
from steersearch.errors import MissingExtraError
from steersearch.runtime import Concept, Hit, Hits, Profile, Request, SteerableIndex, Steering

QUERY, BOOST = "an exception is raised", {"a class has a name": 1.0}
HOSTILE = "<script>alert(1)</script><img src=x onerror='x()'>\x1b[31m\u202e&amp;\"' " + "long " * 3000
VOID = {"br"}


class Page(HTMLParser):
    """Tags in order, text, and whether every tag that opens also closes."""

    def __init__(self, shown):
        super().__init__()
        self.tags, self.open, self.words, self.attributes = [], [], [], []
        self.feed(shown)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def page_of(thing):
    page = Page(thing._repr_html_())
    assert not page.open
    assert set(page.tags) <= {"div", "table", "thead", "tbody", "tr", "th", "td", "span", "b", "br"}
    assert {name for name, _ in page.attributes} <= {"style"}
    return page


@pytest.fixture
def things(tiny_index, opened_bundle):
    """One of each that a notebook shows."""
    return {
        "index": tiny_index,
        "bundle": opened_bundle,
        "hits": tiny_index.search(QUERY, 5, boost=BOOST, compare=True),
        "hit": tiny_index.search(QUERY, 1)[0],
        "explanation": tiny_index.explain(QUERY, "modules-1", boost=BOOST),
        "inner product": tiny_index.explain(QUERY, "modules-1"),
        "concept": tiny_index.resolve("a class has a name"),
        "weights": tiny_index.resolve("a class has a name").features(opened_bundle),
        "features": opened_bundle.features,
        "feature": opened_bundle.features[3],
    }


def test_every_table_is_small_and_whole_html(things):
    for name, thing in things.items():
        assert page_of(thing).text.strip(), name
        assert len(thing._repr_html_()) < 20_000, name


def test_every_repr_is_one_short_line(things, tiny_index):
    others = [
        tiny_index.steer(QUERY, BOOST, exclude=["a module"]),
        Steering(boost=dict.fromkeys(["a" * 300, "b\nc"], 1.0), keep=0.9),
        Request("x" * 500, {"y": 1.0}),
        Profile(tiny_index.bundle),
        things["explanation"].parts,
        things["explanation"].terms[0],
        things["explanation"].parts[0].feature,
        Concept.from_text("x" * 500),
        Hit(1, HOSTILE, 0.5, HOSTILE),
    ]
    for thing in [*others, *(thing for name, thing in things.items() if name not in ("hits", "weights"))]:
        line = repr(thing)
        assert line.startswith(type(thing).__name__ + "(")
        assert line.endswith(")")
        assert len(line) <= 200
        assert line.isprintable()


def test_lines_say_what_one_wants_to_know(things):
    assert f"{len(things['index'])} documents" in repr(things["index"])
    assert f"{things['bundle'].n_latents:,} latents" in repr(things["bundle"])
    assert re.search(r"Hit\(1, 'exceptions-\d+', 0\.\d{4}, '", repr(things["hit"]))
    assert "score -" in repr(things["explanation"])
    assert repr(Steering(boost={"a": 1.0}, exclude=["b"])) == "Steering(boost={'a': 1.0}, exclude=('b',))"
    assert repr(Steering()) == "Steering()"
    assert repr(Request("cafés", {"quiet": 1.0})) == "Request('cafés', boost={'quiet': 1.0})"
    assert "a phrase, not resolved yet" in repr(Concept.from_text("a class"))
    assert re.search(r"a phrase, \d+ features, fit 1?\.\d\d, evidence", repr(things["concept"]))


def test_an_index_that_is_closed_or_gone_says_so(tmp_path, opened_bundle):
    index = SteerableIndex.create(tmp_path / "index", opened_bundle)
    index.add(["one text"])
    assert "1 document, " in repr(index)
    index._store.close()
    assert "cannot be read" in repr(index)
    index._closed = True
    assert "closed" in repr(index)
    assert "closed" in page_of(index).text


def test_hits_are_a_list(tiny_index):
    hits = tiny_index.search(QUERY, 5)
    assert isinstance(hits, list)
    assert hits == [*hits]
    assert [*hits] == hits
    assert pickle.loads(pickle.dumps(hits)) == copy.deepcopy(hits) == hits
    assert isinstance(hits[1:3], Hits)
    assert hits[1:3] == [hits[1], hits[2]]
    assert isinstance(hits[0], Hit)
    assert hits + hits[:1] == [*hits, hits[0]]


def test_hits_print_as_lines(tiny_index):
    plain = str(tiny_index.search(QUERY, 3)).splitlines()
    assert [line.split()[0] for line in plain] == ["1", "2", "3"]
    assert not any("was" in line.split(":")[0] for line in plain)
    compared = tiny_index.search(QUERY, 3, boost=BOOST, compare=True)
    assert all(re.match(r" +\d  was (\d+|new)", line) for line in str(compared).splitlines())
    assert str(Hits()) == repr(Hits()) == "no hits"
    assert page_of(Hits()).text == "no hits"


def test_a_table_has_what_steering_did(tiny_index):
    hits = tiny_index.search(QUERY, 5, boost=BOOST, compare=True)
    text = page_of(hits).text
    for hit in hits:
        assert f"{hit.rank_before}" in text
        assert hit.id in text
        assert hit.text in text
        assert hit.moved_by[0].feature.name in text or hit.moved_by[0].feature.label in text
    assert "was" not in page_of(tiny_index.search("module", 1)).tags


def test_the_bars_of_an_explanation_have_its_numbers(things):
    explanation = things["explanation"]
    text = page_of(explanation).text
    for term in explanation.terms:
        assert f"{term.value:+.4f}" in text
    for part in explanation.parts[:10]:
        assert f"{part.contribution:+.4f}" in text
    assert f"{explanation.rest:+.4f}" in text


def test_what_documents_hold_is_text(opened_bundle):
    hit = Hit(1, HOSTILE, 0.5, HOSTILE, {HOSTILE: HOSTILE}, rank_before=4)
    page = page_of(Hits([hit] * 10))
    assert "<script>alert(1)</script>" in page.text
    assert r"\x1b[31m" in page.text
    assert "\u202e" not in page.text
    assert len(Hits([hit] * 10)._repr_html_()) < 20_000
    assert "\x1b" not in str(Hits([hit]))
    feature = replace(opened_bundle.features[3], label=HOSTILE, keywords=(HOSTILE,), examples=(HOSTILE,), note=HOSTILE)
    assert "<script>" in page_of(feature).text
    concept = Concept(HOSTILE, "text", {3: 1.0}, titles={3: HOSTILE})
    assert "<script>" in page_of(concept).text


def test_a_long_list_is_cut():
    hits = Hits(Hit(i + 1, f"d{i}", 0.5, "text " * 500) for i in range(1000))
    page = page_of(hits)
    assert "and 950 more" in page.text
    assert page.tags.count("tr") == 51


def test_words_are_marked_where_a_hit_has_them():
    text = "A long beginning. " * 30 + "The <moon> rises."
    start = text.index("moon")
    word = SimpleNamespace(start=start, end=start + 4)
    sentence = SimpleNamespace(start=text.index("The"), end=len(text))
    found = {"rank": 1, "id": "d", "score": 0.5, "text": text, "metadata": {}, "rank_before": None, "moved_by": ()}
    hit = SimpleNamespace(**found, highlights=(word,), sentence=sentence)
    shown = Hits([hit])._repr_html_()
    assert re.search(r'&lt;<b style="background-color:[^"]+">moon</b>&gt;', shown)
    assert "A long beginning" not in shown, "the best sentence is shown"
    words = SimpleNamespace(text="the moon", highlights=(SimpleNamespace(start=4, end=8),))
    explanation = SimpleNamespace(id="d", score=0.5, rest=0.5, parts=(), terms=(), words=words)
    assert "in words" in explanation_html(explanation)


@pytest.mark.parametrize(("value", "largest", "width"), [(1, 2, 32), (-2, 2, 64), (9, 2, 64), (0.001, 2, 1)])
def test_bar(value, largest, width):
    shown = html.bar(value, largest)
    assert f"width:{width}px" in shown
    assert (html.AGAINST in shown) == (value < 0)


@pytest.mark.parametrize(("value", "largest"), [(0, 2), (1, 0), (float("nan"), 1), (1, float("nan"))])
def test_no_bar(value, largest):
    assert html.bar(value, largest) == ""
    assert html.longest([float("nan"), -3.0]) == 3.0
    assert html.longest([]) == 0


def test_marked_keeps_every_character():
    text = "one  two\nthree & four"
    page = Page(html.marked(text, [(5, 8), (9, 14)], 100))
    assert page.text == "one two three & four"
    assert page.tags == ["b", "b"]


def test_a_text_is_cut_between_words():
    assert Page(html.marked("some words of a long text", [], 16)).text == "some words of a …"
    assert Page(html.marked("x" * 50, [], 10)).text == "x" * 10 + " …"
    assert Page(html.marked("lead " * 50 + "word end", [(250, 254)], 40)).text == "… lead lead word end"


def test_dicts(tiny_index):
    hits = tiny_index.search(QUERY, 2)
    assert hits.to_dicts() == [
        {"rank": hit.rank, "id": hit.id, "score": hit.score, "text": hit.text, "metadata": hit.metadata} for hit in hits
    ]
    compared = tiny_index.search(QUERY, 2, boost=BOOST, compare=True).to_dicts()
    assert json.loads(json.dumps(compared)) == compared
    assert compared[0]["moved_by"][0]["feature"].startswith("f")
    assert Hits().to_dicts() == []


def test_pandas():
    pandas = pytest.importorskip("pandas")
    hits = Hits([Hit(1, "a", 0.5, "x", {"year": 2020, "score": "own"}), Hit(2, "b", 0.25, "y", {}, rank_before=7)])
    frame = hits.to_pandas()
    assert list(frame.columns) == [
        *("rank", "id", "score", "text", "rank_before", "moved_by"),
        *("year", "metadata.score"),
    ]
    assert frame["score"].tolist() == [0.5, 0.25]
    assert str(frame["rank_before"].dtype) == "Int64"
    assert frame["year"].tolist()[0] == 2020
    assert list(Hits().to_pandas().columns) == ["rank", "id", "score", "text"]
    assert isinstance(frame, pandas.DataFrame)


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pandas is not installed: pip install pandas, or take hits\.to_dicts"):
        Hits().to_pandas()


def test_polars(tiny_index):
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(tiny_index.search(QUERY, 3, boost=BOOST, compare=True).to_dicts()).height == 3


def test_a_concept_that_was_saved_has_no_titles(things, opened_bundle, tmp_path):
    concept = things["concept"]
    concept.save(tmp_path / "c.json", opened_bundle)
    assert "titles" not in json.loads((tmp_path / "c.json").read_text())
    loaded = Concept.load(tmp_path / "c.json", opened_bundle)
    assert loaded == concept
    assert hash(loaded) == hash(concept)
    assert loaded.titles == concept.titles
    assert loaded.resolve(opened_bundle) is loaded
