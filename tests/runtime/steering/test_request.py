"""Requests, checked where they enter: what is wrong is an error that names it, what is odd a warning."""

import warnings

import numpy as np
import pytest

from steersearch.errors import ConfigError, SteeringWarning, UnknownFeatureError
from steersearch.runtime import Bundle, Concept, SteerableIndex, Steering

from ...test_golden import DATA, PHRASE, QUERY, documents

CONCEPT = Concept.from_latents({3: 1.0}, "three")
NOT_BOTH = r"is in boost and in exclude: leave it out of one of them"
NO_LIST = r"it must list concepts, for example \['radio astronomy'\]"
NO_CONCEPT = "is not a concept: give a latent id, a label, a phrase or a Concept"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    ids, texts, metadata = documents()
    bundle = Bundle.load(DATA / "tiny_bundle", threads=1)
    with SteerableIndex.create(tmp_path_factory.mktemp("request") / "index", bundle, backend="exact") as index:
        index.add(texts, ids, metadata)
        yield index


def test_defaults_change_nothing():
    assert Steering().empty
    assert (Steering().blend, Steering().exclude) == ("both", ())
    assert Steering.of(None) == Steering() == Steering.of(None, {}, {}, exclude=[])
    assert not Steering(exclude=("a",)).empty
    assert Steering.of(wanted := Steering({"a": 1.0}, exclude=("b",), blend="move")) is wanted


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (None, ()),
        ([], ()),
        ("a phrase", ("a phrase",)),
        (12, (12,)),
        (np.int64(12), (12,)),
        (CONCEPT, (CONCEPT,)),
        (["a", "b", "a"], ("a", "b")),
        (("a", 3, CONCEPT), ("a", 3, CONCEPT)),
        pytest.param((key for key in ("a", "b")), ("a", "b"), id="a generator"),
        (np.array([4, 5]), (4, 5)),
    ],
    ids=repr,
)
def test_what_exclude_may_be(given, keys):
    assert Steering(exclude=given).exclude == keys


REFUSED = {
    "boosted and excluded": ({"boost": {"whale": 1.0}, "exclude": ["whale"]}, ConfigError, NOT_BOTH),
    "auto and excluded": ({"boost": {"whale": "auto"}, "exclude": "whale"}, ConfigError, NOT_BOTH),
    "latent and excluded": ({"boost": {3: 0.5}, "exclude": [3]}, ConfigError, NOT_BOTH),
    "exclude a mapping": ({"exclude": {"whale": 1.0}}, ConfigError, NO_LIST),
    "exclude a number": ({"exclude": 3.5}, ConfigError, NO_LIST),
    "exclude bytes": ({"exclude": b"whale"}, ConfigError, NO_LIST),
    "exclude True": ({"exclude": True}, ConfigError, f"True {NO_CONCEPT}"),
    "exclude a list in a list": ({"exclude": [["whale"]]}, ConfigError, NO_CONCEPT),
    "exclude None in a list": ({"exclude": [None]}, ConfigError, NO_CONCEPT),
    "exclude nothing": ({"exclude": [""]}, ConfigError, "empty"),
    "exclude blanks": ({"exclude": " \n"}, ConfigError, "empty"),
    "exclude a latent that is not there": ({"exclude": ["f48"]}, UnknownFeatureError, "f0 to f47"),
    "exclude a latent below 0": ({"exclude": [-1]}, UnknownFeatureError, "-1"),
    "blend misspelt": ({"blend": "Both"}, ConfigError, "blend is 'Both': choose both or move"),
    "blend None": ({"blend": None}, ConfigError, "blend is None: choose both or move"),
    "blend an array": ({"blend": np.array(["both", "move"])}, ConfigError, "choose both or move"),
    "NaN": ({"boost": {"whale": float("nan")}}, ConfigError, "whale"),
    "minus infinity": ({"boost": {"whale": float("-inf")}}, ConfigError, "whale"),
    "a word": ({"boost": {"whale": "much"}}, ConfigError, "whale"),
    "a bool": ({"boost": {"whale": True}}, ConfigError, "whale"),
    "keep": ({"keep": 0, "blend": "move"}, ConfigError, "keep is 0"),
}


@pytest.mark.parametrize("row", REFUSED)
@pytest.mark.parametrize("call", ["search", "steer", "explain"])
def test_refused_wherever_it_enters(index, row, call):
    asked, error, message = REFUSED[row]
    calls = {"explain": lambda: index.explain(QUERY, "sea-0-0", **asked)}
    with pytest.raises(error, match=message) as given:
        calls.get(call, lambda: getattr(index, call)(QUERY, **asked))()
    assert "\n" not in str(given.value)


def test_a_request_given_twice():
    for more in ({"boost": {}}, {"exclude": ["a"]}, {"exclude": np.array([1, 2])}, {"blend": "move"}, {"keep": 0.5}):
        with pytest.raises(
            ConfigError, match="give steering=, or boost=, clamp=, exclude=, remove=, blend=, keep= and protect="
        ):
            Steering.of(Steering({"a": 1.0}), **more)
    with pytest.raises(ConfigError, match="give a Steering, or boost=, clamp=, exclude= and remove="):
        Steering.of({"boost": {"a": 1.0}})


def test_negative_and_excluded_is_no_contradiction(index):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index.search(QUERY, boost={"whale": -1.0, 3: 0.0}, exclude=["whale", 3])
        index.search(QUERY, exclude=["whale", "f20"], clamp={"whale": 0})


ODD = {
    "the same by another name": (
        {"boost": {"whale": 1.0}, "exclude": ["f20"]},
        r"'whale' is in boost and 'whale', which is nearly the same \(cosine 1\.00\), is in exclude",
    ),
    "keep with both": ({"boost": {"whale": 1.0}, "keep": 0.5}, r"keep=0\.5 changes nothing: it is for blend='move'"),
    "a large strength": ({"boost": {"whale": 1e9}}, "taken as 100"),
}


@pytest.mark.parametrize("row", ODD)
def test_odd_requests_are_obeyed_with_a_warning(index, row):
    asked, message = ODD[row]
    with pytest.warns(SteeringWarning, match=message):
        hits = index.search(QUERY, 5, **asked)
    assert len(hits) == 5


@pytest.mark.parametrize("query", ["whale", "WHALE"])
@pytest.mark.parametrize("asked", [{"exclude": ["whale"]}, {"boost": {"whale": -2.0}}])
def test_excluding_what_the_query_is_about_says_so_and_leaves_its_documents(index, query, asked):
    with pytest.warns(SteeringWarning, match="'whale' is what the rest of the request asks for.*leave one of them out"):
        hits = index.search(query, 6, **asked)
    assert all("whale" in hit.text for hit in hits[:4])


@pytest.mark.parametrize("blend", ["both", "move"])
def test_words_that_the_query_says_are_not_held_against_a_document(index, blend):
    steered = index.steer("open a connection", exclude=["network Connections"], blend=blend)
    assert steered.terms[-1].words == "network"
    steered = index.steer("a storm", boost={PHRASE: 1.0}, exclude=["storms of a whale, without nurses"])
    assert steered.terms[-1].words == "of whale without"


def test_nothing_is_about_it_is_told_only_where_it_is_wanted(index):
    for asked in ({"boost": {"quarterly tax returns": 1.0}}, {"boost": {"quarterly tax returns": "auto"}}):
        with pytest.warns(SteeringWarning, match="the index seems to hold nothing about 'quarterly tax returns'"):
            index.search(QUERY, **asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index.search(QUERY, boost={"quarterly tax returns": -1.0})
        index.search(QUERY, boost={"quarterly tax returns": "-auto"})
        index.search(QUERY, exclude=["quarterly tax returns"])


def test_without_a_bundle(index, tmp_path):
    with SteerableIndex.create(tmp_path / "index", None, d_in=16) as plain:
        plain.add(["one", "two"], embeddings=np.eye(16, dtype=np.float32)[:2])
        query = np.eye(16, dtype=np.float32)[0]
        assert [hit.text for hit in plain.search(query, exclude=[], boost={})] == ["one", "two"]
        for asked in ({"exclude": ["whale"]}, {"boost": {3: 1.0}}, {"boost": {3: 1.0}, "blend": "move"}):
            with pytest.raises(ConfigError, match="has no bundle, so it cannot be steered: open it with bundle="):
                plain.search(query, **asked)
        assert len(plain.search(index.steer(QUERY, exclude=["whale"]))) == 2  # steered elsewhere
