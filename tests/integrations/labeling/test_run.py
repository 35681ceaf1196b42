import threading
import time

import pytest
from langchain_core.language_models import GenericFakeChatModel

from steersearch.integrations.labeling.run import Candidate, choose, label_with_model
from steersearch.runtime.bundle.interpretation import Entry

from .labeling_model import Model, by_length, entry, topical


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "made" / "labels.jsonl"


def test_the_best_candidate_is_kept(cache):
    outcome = label_with_model(Model(reply=topical), [entry(0), entry(1)], by_length, cache=cache)
    assert outcome.labels == {0: Candidate("solar flares", 0.88), 1: Candidate("sea ice", 0.93)}
    assert (outcome.calls, outcome.cached, outcome.input_tokens, outcome.output_tokens) == (2, 0, 200, 20)
    assert (outcome.skipped, outcome.stopped, outcome.model) == ({}, None, "Model")


def test_only_what_beats_the_label_that_is_there(cache):
    entries = [entry(0, 0.9), entry(1, 0.9)]
    outcome = label_with_model(Model(reply=topical), entries, by_length, cache=cache)
    assert list(outcome.labels) == [1]  # 0.93 beats 0.9, 0.88 does not
    assert outcome.skipped == {}


def test_a_feature_without_a_label_takes_one_better_than_chance(cache):
    entries = [entry(0, None, label=None), entry(1, None, label=None)]
    outcome = label_with_model(
        Model(reply=topical), entries, lambda latent, label: (0.5, 0.51)[latent], cache=cache, candidates=1
    )
    assert list(outcome.labels) == [1]


def test_too_few_documents_cost_no_call(cache):
    model = Model(reply=topical)
    never = Entry(3)
    outcome = label_with_model(model, [entry(0, None), never], lambda latent, label: None, cache=cache)
    assert set(outcome.skipped) == {0, 3}
    assert "no document" in outcome.skipped[0]
    assert (outcome.calls, model.prompts) == (0, [])


def test_no_two_the_same():
    entries = [entry(0), entry(1), entry(2, 0.75), entry(3, label="Taken")]
    found = choose(
        entries,
        {
            0: [Candidate("storms", 0.8), Candidate("wind", 0.7)],
            1: [Candidate("storms", 0.9), Candidate("wind", 0.65)],
            2: [Candidate("storms", 0.85), Candidate("wind", 0.7)],  # wind does not beat 0.75
            3: [Candidate("taken", 0.95), Candidate("old 2", 0.94), Candidate("rain", 0.7)],
        },
    )
    assert {latent: candidate.text for latent, candidate in found.items()} == {0: "wind", 1: "storms", 3: "rain"}


def test_equal_scores_go_to_the_lower_latent():
    entries = [entry(1), entry(0)]
    found = choose(entries, {1: [Candidate("storms", 0.8)], 0: [Candidate("storms", 0.8)]})
    assert found == {0: Candidate("storms", 0.8)}


def test_the_same_however_the_threads_run(tmp_path):
    entries = [entry(latent) for latent in range(20)]

    def slow(prompt: str) -> str:
        time.sleep(len(prompt) % 3 * 0.003)
        return topical(prompt)

    results = [
        label_with_model(Model(reply=slow), entries, by_length, cache=tmp_path / f"{n}.jsonl", concurrency=n)
        for n in (1, 3, 16)
    ]
    assert results[0] == results[1] == results[2]
    assert list(results[0].labels) == sorted(results[0].labels)


def test_labels_are_prepared_together_before_they_are_scored(cache):
    events = []

    def score(latent: int, label: str) -> float:
        events.append("score")
        return 0.9

    label_with_model(
        Model(reply=topical),
        [entry(0), entry(1, None), entry(2)],
        score,
        cache=cache,
        prepare=events.append,
        can_score=lambda latent: True,
    )
    prepared, *rest = events
    assert len(prepared) == len(rest) == len(set(prepared))
    assert set(rest) == {"score"}


def test_scores_are_asked_for_in_the_callers_thread(cache):
    threads = set()

    def score(latent: int, label: str) -> float:
        threads.add(threading.current_thread())
        return 0.9

    label_with_model(Model(reply=topical), [entry(0), entry(1, None)], score, cache=cache)
    assert threads == {threading.current_thread()}


def test_a_fake_of_langchain_without_usage(cache):
    model = GenericFakeChatModel(messages=iter(['["solar flares"]']))
    outcome = label_with_model(model, [entry(0)], by_length, cache=cache)
    assert outcome.labels[0].text == "solar flares"
    assert outcome.output_tokens == 4  # 16 characters
    assert 150 < outcome.input_tokens < 400


def test_progress(cache):
    seen = []
    entries = [entry(0), Entry(9), entry(1)]
    label_with_model(Model(reply=topical), entries, by_length, cache=cache, on_progress=lambda *done: seen.append(done))
    assert seen[-1] == (3, 3)
    assert seen == sorted(seen)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_calls_are_capped_and_the_next_run_goes_on(cache, concurrency):
    entries = [entry(latent) for latent in range(7)]
    how = {"cache": cache, "concurrency": concurrency, "max_calls": 3}
    first = label_with_model(Model(reply=topical), entries, by_length, **how)
    assert (first.calls, list(first.labels)) == (3, [0, 1, 2])
    assert first.stopped == "the cap of 3 calls is reached, 4 features are left: run again to go on"
    second = label_with_model(Model(reply=topical), entries[::-1], by_length, **how)
    assert (second.calls, second.cached) == (3, 3)  # what is in the cache is used behind the cap too
    third = label_with_model(Model(reply=topical), entries, by_length, **how)
    assert (third.calls, third.cached, third.stopped, len(third.labels)) == (1, 6, None, 7)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_tokens_are_capped_before_they_are_exceeded(cache, concurrency):
    entries = [entry(latent) for latent in range(7)]
    model = Model(reply=topical, usage=(900, 100))
    outcome = label_with_model(model, entries, by_length, cache=cache, concurrency=1, max_tokens=3500)
    assert outcome.calls == 3
    assert outcome.input_tokens + outcome.output_tokens == 3000
    assert outcome.stopped.startswith("the cap of 3500 tokens is reached, 4 features")


def test_a_call_under_way_is_waited_for_before_the_cap_ends_the_run(cache):
    """Estimated at some 350 tokens each, two calls do not fit under 600 at once; at 20 tokens each all seven do."""
    entries = [entry(latent) for latent in range(7)]
    model = Model(reply=topical, usage=(15, 5))
    outcome = label_with_model(model, entries, by_length, cache=cache, concurrency=4, max_tokens=600)
    assert (outcome.calls, outcome.stopped) == (7, None)


def test_a_second_try_counts_as_a_call(cache):
    entries = [entry(0), entry(1)]
    outcome = label_with_model(
        Model(reply=lambda prompt: "?"), entries, by_length, cache=cache, max_calls=3, concurrency=1
    )
    assert outcome.calls == 3
    assert set(outcome.skipped) == {0, 1}
