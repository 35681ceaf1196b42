import json
import subprocess
import sys

import pytest

from steersearch.errors import StorageError
from steersearch.integrations.labeling.run import label_with_model

from .labeling_model import Model, by_length, entry, topical


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "made" / "labels.jsonl"


def test_a_second_run_makes_no_calls(cache):
    entries = [entry(0), entry(1)]
    first = label_with_model(Model(reply=topical), entries, by_length, cache=cache)
    again = Model(reply=topical)
    second = label_with_model(again, entries, by_length, cache=cache, max_calls=0)
    assert (second.calls, second.cached, again.prompts) == (0, 2, [])
    assert second.labels == first.labels
    assert second.stopped is None


def test_another_model_or_other_evidence_is_asked_anew(cache):
    class Other(Model):
        pass

    label_with_model(Model(reply=topical), [entry(0)], by_length, cache=cache)
    assert label_with_model(Other(reply=topical), [entry(0)], by_length, cache=cache).calls == 1
    assert label_with_model(Model(reply=topical), [entry(7)], by_length, cache=cache).calls == 1
    assert label_with_model(Model(reply=topical), [entry(0)], by_length, cache=cache, candidates=2).calls == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_goes_on(cache, interruption):
    entries = [entry(latent) for latent in range(7)]

    def until_five(done: int, total: int) -> None:
        if done == 5:
            raise interruption

    with pytest.raises(interruption):
        label_with_model(Model(reply=topical), entries, by_length, cache=cache, concurrency=1, on_progress=until_five)
    outcome = label_with_model(Model(reply=topical), entries, by_length, cache=cache)
    assert (outcome.cached, outcome.calls) == (5, 2)
    assert set(outcome.labels) == set(range(7))


KILLED = """
import os, sys
from pathlib import Path
from langchain_core.language_models import FakeListChatModel
from steersearch.integrations.labeling.run import label_with_model
from steersearch.runtime.bundle.interpretation import Entry, Passage

entries = [Entry(n, top=(Passage("d", f"passage {n}", 1.0),)) for n in range(5)]
kill = lambda done, total: done == 3 and os.kill(os.getpid(), 9)
model = FakeListChatModel(responses=['["some words"]'])
label_with_model(model, entries, lambda *_: 0.9, cache=Path(sys.argv[1]), concurrency=1, on_progress=kill)
"""


def test_a_killed_run_loses_nothing(cache):
    result = subprocess.run([sys.executable, "-c", KILLED, str(cache)], check=False)
    assert result.returncode == -9
    assert [json.loads(line)["latent"] for line in cache.read_text().splitlines()] == [0, 1, 2]


INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
from langchain_core.language_models import FakeListChatModel
from steersearch.integrations.labeling.run import label_with_model
from steersearch.runtime.bundle.interpretation import Entry, Passage

entries = [Entry(n, top=(Passage("d", f"passage {n}", 1.0),)) for n in range(9)]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
model = FakeListChatModel(responses=['["some words"]'], sleep=300)
label_with_model(model, entries, lambda *_: 0.9, cache=Path(sys.argv[1]))
"""


def test_ctrl_c_does_not_wait_for_answers(cache):
    command = [sys.executable, "-c", INTERRUPTED, str(cache)]
    result = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True)
    assert "KeyboardInterrupt" in result.stderr
    assert result.returncode != 0


def test_a_half_written_line_is_overwritten(cache):
    entries = [entry(latent) for latent in range(3)]
    label_with_model(Model(reply=topical), entries, by_length, cache=cache, concurrency=1)
    whole = cache.read_bytes()
    cache.write_bytes(whole[:-20])
    outcome = label_with_model(Model(reply=topical), entries, by_length, cache=cache)
    assert (outcome.cached, outcome.calls) == (2, 1)
    assert cache.read_bytes() == whole


def test_damaged_lines_are_passed_over(cache):
    label_with_model(Model(reply=topical), [entry(0), entry(1)], by_length, cache=cache, concurrency=1)
    first, second = cache.read_text().splitlines()
    foreign = json.dumps({**json.loads(second), "labels": ["[red]<b>bold</b>", 7]})
    cache.write_text(f"{first}\nnot json\n[1]\n{foreign}\n")
    outcome = label_with_model(Model(reply=topical), [entry(0), entry(1)], by_length, cache=cache)
    assert (outcome.cached, outcome.calls) == (1, 1)


def test_a_cache_that_cannot_be_written_costs_no_call(tmp_path):
    model = Model(reply=topical)
    with pytest.raises(StorageError, match="label cache"):
        label_with_model(model, [entry(0)], by_length, cache=tmp_path)
    assert model.prompts == []


def test_a_disk_that_fills_up_ends_the_run(cache):
    def reply(prompt: str) -> str:
        cache.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        return topical(prompt)

    with pytest.raises(StorageError, match="label cache"):
        label_with_model(Model(reply=reply), [entry(0)], by_length, cache=cache)
