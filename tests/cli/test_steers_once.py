"""A command embeds and steers its query exactly once."""

import pytest
from typer.testing import CliRunner

from steersearch.cli import app
from steersearch.cli.demo import search_twice
from steersearch.errors import SteeringWarning
from steersearch.runtime import Bundle, SteerableIndex, SteeredQuery
from steersearch.runtime.steering.resolver import Resolver

QUERY, PHRASE = "a name is given", "an exception is raised"


class Calls:
    """What was embedded and steered."""

    def __init__(self):
        self.embedded, self.steered = [], []

    @property
    def counts(self):
        return self.embedded.count(QUERY), len(self.steered)


@pytest.fixture
def calls(monkeypatch):
    seen, embed, steer = Calls(), Bundle.embed_query, Resolver.steer

    def embed_query(self, text):
        seen.embedded.append(text)
        return embed(self, text)

    def steer_query(self, query, steering, **more):
        if not isinstance(query, SteeredQuery):
            seen.steered.append(steering)
        return steer(self, query, steering, **more)

    monkeypatch.setattr(Bundle, "embed_query", embed_query)
    monkeypatch.setattr(Resolver, "steer", steer_query)
    return seen


@pytest.fixture
def index(tiny_index):
    tiny_index.close()
    return tiny_index.path


@pytest.mark.parametrize(
    "words",
    [
        ["search", QUERY],
        ["search", QUERY, "--compare"],
        ["search", QUERY, "--compare", "--json"],
        ["search", QUERY, "--save-concept", "{file}"],
        ["search", QUERY, "--view", "hybrid", "--compare"],
        ["explain", QUERY, "exceptions-1"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("strength", ["1.5", "auto"])
def test_a_boost(calls, index, tmp_path, words, strength):
    words = [str(tmp_path / "concept.json") if word == "{file}" else word for word in words]
    result = CliRunner().invoke(app, [*words, "--index", str(index), "--boost", f"{PHRASE}={strength}", "--protect"])
    assert result.exit_code == 0, result.output
    assert calls.counts == (1, 1)
    (steering,) = calls.steered
    assert (dict(steering.boost), steering.protect) == ({PHRASE: "auto" if strength == "auto" else 1.5}, True)


def test_all_that_steers_is_one_request(calls, index, tmp_path):
    file = tmp_path / "concept.json"
    made = ["search", QUERY, "--index", str(index), "--like", "modules-1", "--unlike", "numbers-1"]
    assert CliRunner().invoke(app, [*made, "--save-concept", str(file)]).exit_code == 0
    assert calls.counts == (1, 1)
    used = [*made, "--boost", f"@{file}=2", "--boost", "f1", "--clamp", f"{PHRASE}=0", "--protect", "--compare"]
    with pytest.warns(SteeringWarning) as told:
        assert CliRunner().invoke(app, used).exit_code == 0
    assert any("the clamp wins" in str(warning.message) for warning in told)
    assert calls.counts == (2, 2)
    steering = calls.steered[1]
    assert list(steering.boost.values()) == [2.0, 1.0, "auto"]
    assert dict(steering.clamp) == {PHRASE: 0.0}
    assert steering.protect


def test_without_a_boost_the_text_is_embedded_once(calls, index):
    result = CliRunner().invoke(app, ["search", QUERY, "--index", str(index), "--compare"])
    assert result.exit_code == 0, result.output
    assert calls.counts == (1, 1)
    assert calls.steered[0].empty


def test_the_searches_of_the_demo(calls, index, opened_bundle):
    with SteerableIndex.open(index, bundle=opened_bundle) as opened:
        plain, steered = search_twice(opened, QUERY, {PHRASE: 1.5})
        assert calls.counts == (1, 1)
        assert [(hit.id, hit.score) for hit in plain] == [(hit.id, hit.score) for hit in opened.search(QUERY, 5)]
        again = opened.search(QUERY, 5, boost={PHRASE: 1.5}, compare=True)
    assert [(hit.id, hit.score, hit.rank_before) for hit in steered] == [
        (hit.id, hit.score, hit.rank_before) for hit in again
    ]
