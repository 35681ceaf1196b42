import json
import sys
import threading
import time

import pytest

from steersearch.errors import ConfigError, MissingExtraError, SteersearchError
from steersearch.integrations.labeling import client as _label_calls
from steersearch.integrations.labeling.run import label_with_model

from .labeling_model import TOPICS, Model, by_length, entry, topical


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(_label_calls, "BACKOFF", 0.01)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "made" / "labels.jsonl"


def test_nonsense_is_asked_once_more_then_skipped(cache):
    def reply(prompt: str) -> str:
        return "I would rather talk about the weather." if "sea ice" in prompt else topical(prompt)

    model = Model(reply=reply)
    outcome = label_with_model(model, [entry(0), entry(1), entry(2)], by_length, cache=cache)
    assert list(outcome.labels) == [0, 2]
    assert outcome.skipped == {1: "its answer holds no list of labels: 'I would rather talk about the weather.'"}
    assert outcome.calls == 4
    assert sum("sea ice" in prompt for prompt in model.prompts) == 2
    assert label_with_model(Model(reply=topical), [entry(1)], by_length, cache=cache).calls == 1  # not remembered


def test_the_second_try_may_do(cache):
    model = Model(reply=lambda prompt: topical(prompt) if "Your whole answer" in prompt else "Sure!")
    assert label_with_model(model, [entry(0)], by_length, cache=cache).labels[0].text == "solar flares"


def test_a_hanging_model_is_given_up(cache):
    release = threading.Event()
    model = Model(reply=lambda prompt: release.wait(20) or "" if "sea ice" in prompt else topical(prompt))
    began = time.monotonic()
    outcome = label_with_model(model, [entry(0), entry(1)], by_length, cache=cache, timeout=0.2)
    release.set()
    assert time.monotonic() - began < 5
    assert outcome.skipped == {1: "no answer within 0.2 s"}
    assert (list(outcome.labels), outcome.calls) == ([0], 3)
    assert outcome.input_tokens > 200  # the calls that were given up count too


def test_five_failures_in_a_row_end_the_run(cache):
    def reply(prompt: str) -> str:
        if "no. 0." in prompt:
            return topical(prompt)
        raise OSError("connection refused")

    entries = [entry(latent) for latent in range(20)]
    model = Model(reply=reply)
    with pytest.raises(SteersearchError, match=r"5 features in a row.*connection refused.*run again") as raised:
        label_with_model(model, entries, by_length, cache=cache, concurrency=1)
    assert isinstance(raised.value.__cause__, OSError)
    assert "\n" not in str(raised.value)
    assert len(model.prompts) == 1 + 5 * 2
    assert label_with_model(Model(reply=topical), entries[:1], by_length, cache=cache).cached == 1


def test_failures_apart_do_not(cache):
    def reply(prompt: str) -> str:
        return "" if any(topic in prompt for topic in TOPICS[:4]) else topical(prompt)

    outcome = label_with_model(
        Model(reply=reply), [entry(latent) for latent in range(14)], by_length, cache=cache, concurrency=1
    )
    assert len(outcome.skipped) == 8


class RefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"refused\nwith {status}")
        self.status_code = status


@pytest.mark.parametrize(("status", "calls"), [(400, 1), (403, 1), (429, 2), (500, 2), (529, 2)])
def test_which_errors_are_tried_again(cache, status, calls):
    def reply(prompt: str) -> str:
        raise RefusedError(status)

    outcome = label_with_model(Model(reply=reply), [entry(0)], by_length, cache=cache)
    assert outcome.skipped == {0: f"RefusedError: refused with {status}"}
    assert outcome.calls == calls
    assert outcome.input_tokens == 0


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_ends_the_run_and_keeps_what_was_answered(cache, status):
    answered = threading.Event()

    def reply(prompt: str) -> str:
        if "sea ice" in prompt:
            time.sleep(0.2)  # still under way when the other call is refused
            answered.set()
            return topical(prompt)
        raise RefusedError(status)

    with pytest.raises(ConfigError, match=f"'Model' cannot be used: RefusedError: refused with {status}; check its"):
        label_with_model(Model(reply=reply), [entry(0), entry(1)], by_length, cache=cache)
    assert answered.is_set()
    assert [json.loads(line)["latent"] for line in cache.read_text().splitlines()] == [1]


def test_a_score_that_fails_is_no_failure_of_the_model(cache):
    def score(latent: int, label: str) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        label_with_model(Model(reply=topical), [entry(0)], score, cache=cache)


@pytest.mark.parametrize("setting", ["candidates", "timeout", "concurrency"])
def test_settings_out_of_range(cache, setting):
    with pytest.raises(ConfigError, match=f"{setting} is 0"):
        label_with_model(Model(reply=topical), [], by_length, cache=cache, **{setting: 0})


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("nobody:model", ConfigError, "'nobody:model' cannot be opened"),
        ("mistralai:tiny", MissingExtraError, "pip install langchain-mistralai$"),
        ("openai:tiny", ConfigError, "OPENAI_API_KEY"),
    ],
)
def test_names_that_cannot_be_opened(cache, monkeypatch, name, error, says):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(error, match=says) as raised:
        label_with_model(name, [entry(0)], by_length, cache=cache)
    assert "\n" not in str(raised.value)


def test_without_langchain(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain", None)
    with pytest.raises(MissingExtraError, match="pip install langchain"):
        label_with_model("openai:tiny", [entry(0)], by_length, cache=cache)
