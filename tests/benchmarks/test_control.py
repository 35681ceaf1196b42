"""The figures of `benchmarks.control`, on documents whose ranking is plain to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.control.articles import distinctive_words, passages
from benchmarks.control.choose import GRID, NAMES, choices, constants, settings
from benchmarks.control.method import Method, digits, measure, overlap, read_digits
from benchmarks.control.perspectives import perspective_recall, phrase_of
from benchmarks.control.ratios import ratio
from benchmarks.control.results import Results
from benchmarks.control.rivals import by_phrase
from benchmarks.control.scoring import NOTHING, TOP, Bench, Pairs, ndcg
from benchmarks.control.tasks import Task
from steersearch.runtime.steering.conditions import terms

DOCUMENTS = 24
ANGLES = np.deg2rad(np.linspace(0, 90, DOCUMENTS))
"""Documents lie on a quarter of a circle, from what the query is about to what the phrase is about."""


@pytest.fixture
def bench() -> Bench:
    """One dev and one test query along the first axis; the phrase is the second; both are where the middle is."""
    about = np.arange(DOCUMENTS) < 16
    has = np.arange(DOCUMENTS) >= 8
    rows = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)
    task = Task(
        "circle",
        [f"document {row}" for row in range(DOCUMENTS)],
        np.zeros(DOCUMENTS, bool),
        {"phrase": has},
        ["one", "two"],
        [about, about],
        np.array([True, False]),
        "stances",
    )
    return Bench(task, rows, np.array([[1, 0], [1, 0]], np.float32), np.array([[0, 1]], np.float32))


def joined(texts: list[str]) -> np.ndarray:
    """Every text halfway between query and phrase."""
    return np.full((len(texts), 2), np.sqrt(0.5), np.float32)


def test_a_search_is_judged_by_attribute_topic_and_both(bench: Bench) -> None:
    found = bench.top(np.array([[1, 0]], np.float32))
    assert found.tolist() == [list(range(TOP))]
    hits = bench.judge(found, Pairs(np.array([1]), np.array([0])))
    assert hits.sum(2).tolist() == [[2], [10], [2]]


def test_a_place_without_a_document_is_no_hit(bench: Bench) -> None:
    found = np.array([[9, *[NOTHING] * 9]])
    assert bench.judge(found, Pairs(np.array([1]), np.array([0]))).sum(2).tolist() == [[1], [1], [1]]


def test_rivals_are_measured_untuned_and_at_the_setting_that_dev_queries_choose(bench: Bench) -> None:
    methods = {method.name: method for method in by_phrase(bench, joined)}
    plain = methods["no steering"].settings["0"]
    found = {name: measure(bench, method, plain) for name, method in methods.items()}
    # From nothing to weights 1 and 1, which is 45 degrees, where eight documents have both.
    assert found["no steering"]["untuned"] == {"attribute": "2", "topic": "a", "both": "2", "first five": "0"}
    assert found["phrase: Marqo weights"]["untuned"]["both"] == "8"
    # A force of .85 goes .425 of the way along the chord: 36.5 degrees.
    force = methods["phrase: Weaviate moveTo"].settings["0.85"]
    assert force(Pairs(np.array([1]), np.array([0])))[0, 0] == round(36.47 / 90 * (DOCUMENTS - 1))
    for figures in found.values():
        assert figures["tuned"]["both"] >= figures.get("untuned", figures["tuned"])["both"]


def test_digits_are_read_back(bench: Bench) -> None:
    hits = np.zeros((3, 2, 10), bool)
    hits[0, 1], hits[2, 0, :3] = True, True
    assert digits(hits) == {"attribute": "0a", "topic": "00", "both": "30", "first five": "30"}
    assert read_digits("0a3").tolist() == [0.0, 1.0, 0.3]


def test_overlap_is_the_share_of_results_that_stay() -> None:
    assert overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [5, 4]])) == 0.75


def test_a_ratio_is_of_means_and_its_interval_holds_it(bench: Bench, tmp_path: Path) -> None:
    with Results(tmp_path / "control.json") as results:
        results.describe(bench)
        for name, both in (("ours", "4848"), ("weak", "1111"), ("strong", "2424")):
            results.make("circle", name, 0, lambda both=both: {"untuned": {"both": both}, "tuned": {"both": both}})
    again = Results(tmp_path / "control.json")
    found = ratio(again, ["circle"], "ours", ("weak", "strong"))
    assert found is not None
    assert found == (2.0, 2.0, 2.0)
    assert ratio(again, ["circle"], "ours", ("unknown",)) is None


def test_results_are_not_measured_twice(bench: Bench, tmp_path: Path) -> None:
    for value in (1, 2):
        with Results(tmp_path / "control.json") as results:
            results.make("circle", "ours", 0, lambda value=value: {"seconds": value})
    assert Results(tmp_path / "control.json").seeds("circle", "ours") == [{"seconds": 1}]


def test_untouched_pairs_have_nothing_to_bring(bench: Bench) -> None:
    assert len(bench.untouched.query) == 0
    method = Method("still", {"0": lambda pairs: bench.top(bench.queries[pairs.query])}, "0")
    assert "overlap" not in measure(bench, method, method.settings["0"])


def test_passages_are_whole_sentences() -> None:
    sentence = "one two three four five six seven eight nine ten."
    assert [len(passage.split()) for passage in passages(" ".join([sentence] * 12))] == [50, 70]
    assert passages("short.") == ["short."]


def test_the_words_of_an_article_are_in_all_versions_and_in_no_other_article() -> None:
    versions = {
        "moon": ["moon moon rocket only here", "moon rocket moon there"],
        "cake": ["cake oven only here", "cake oven there"],
    }
    assert distinctive_words(versions) == {"moon": "moon rocket", "cake": "cake oven"}


def test_perspectives_are_phrases_and_roots_with_one_perspective_do_not_count() -> None:
    assert phrase_of("a news article happened in Canada") == "Canada"
    assert phrase_of("a news article biased towards: left") == "left-wing"
    assert perspective_recall([0, 0, 1], [True, False, True]) == 0.5


def test_ndcg_of_one_answer() -> None:
    assert ndcg(np.array([1, 3, 0])).tolist() == [1.0, 0.5, 0.0]


def test_other_constants_hold_while_they_are_tried_and_no_longer() -> None:
    own = settings()[0]
    assert own == tuple(float(getattr(terms, name)) for name in NAMES)
    with constants((9.0, *own[1:])):
        assert terms.ABOUT == 9.0
    assert own[0] == terms.ABOUT
    assert list(GRID) == list(NAMES[: len(GRID)])


def test_the_corpora_that_are_left_choose() -> None:
    grid = [(float(at),) * len(NAMES) for at in range(3)]
    dev = {"one": [0.1, 0.2, 0.1], "one, sentences": [0.1, 0.2, 0.1], "two": [0.1, 0.1, 0.4]}
    lines = choices(grid, dev, {name: [0.5, 0.6, 0.7] for name in dev})
    # What "two" prefers decides for both forms of "one", and the other way round.
    assert [line[1] for line in lines[1:4]] == ["2", "2", "1"]
    assert lines[3][-3:] == ["0.600", "0.500", "0.700"]
