"""`Request`: its checks, its chips and its JSON."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from steersearch.errors import ConfigError, DataError
from steersearch.runtime import Request

FULL = Request("cafés in Rome", {"for families": 1.0, "noisy": -1.0, "views": 0.5}, ("touristy", "chains"))


def test_the_chips_are_one_line():
    assert str(FULL) == "cafés in Rome  + for families  + views (0.5)  − less noisy  − touristy  − chains"
    assert str(Request("a\n b\x1b[2J")) == "a b\\x1b[2J"
    assert str(Request("cafés")) == "cafés"


def test_json_and_back():
    assert Request.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL
    assert Request.from_dict({"query": "cafés"}) == Request("cafés")


def test_it_is_frozen_and_can_be_changed():
    with pytest.raises(FrozenInstanceError):
        FULL.query = "bars"
    assert replace(FULL, exclude=()).exclude == ()
    assert FULL.steered
    assert not Request("cafés").steered


def test_what_is_given_stays_apart():
    boost = {"views": 1}
    request = Request("cafés", boost, ["chains"])
    boost["noise"] = 2
    assert request.boost == {"views": 1.0}
    assert request.exclude == ("chains",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((3,), "query is 3: it must be a text"),
        (("a", ["b"]), r"boost is \['b'\]: it must map words to strengths"),
        (("a", {"b": "c"}), r"boost has 'b': 'c'"),
        (("a", {"b": float("nan")}), r"boost has 'b': nan"),
        (("a", {"b": True}), r"boost has 'b': True"),
        (("a", {3: 1}), r"boost has 3: 1"),
        (("a", {}, "b"), r"exclude is 'b': it must be a list of words"),
        (("a", {}, [3]), r"exclude is \[3\]"),
        (("a", {}, None), r"exclude is None"),
        (("a", {"Jazz": 1}, ["jazz"]), r"'Jazz' is both wished for and excluded"),
    ],
)
def test_what_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Request(*values)


def test_less_of_what_is_excluded_is_no_contradiction():
    assert Request("a", {"b": -1}, ["b"]).exclude == ("b",)


@pytest.mark.parametrize(
    "values", [None, [], {}, {"query": "a", "more": 1}, {"query": 3}, {"query": "a", "exclude": 3}]
)
def test_values_that_are_no_request(values):
    with pytest.raises(DataError, match="request"):
        Request.from_dict(values)
