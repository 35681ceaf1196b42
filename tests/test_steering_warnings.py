"""Warnings: at the caller's line, or gathered."""

import threading
import warnings

import pytest

from steersearch.errors import SteeringWarning
from steersearch.steering_warnings import gathered, warn


def test_given_at_the_callers_line():
    with pytest.warns(SteeringWarning, match="a doubt") as given:
        warn("a doubt")
    assert given[0].filename == __file__


def test_frameworks_and_our_own_modules_are_passed_over():
    code = compile("def inner(): warn('a doubt')\n\ndef outer(): inner()", "elsewhere.py", "exec")
    for name in ("steersearch.runtime.index", "langchain_core.retrievers", "llama_index.core.base", "haystack.core"):
        module = {"__name__": name, "warn": warn}
        exec(code, module)
        with pytest.warns(SteeringWarning) as given:
            module["outer"]()
        assert given[0].filename == __file__
    module = {"__name__": "mine", "warn": warn}
    exec(code, module)
    with pytest.warns(SteeringWarning) as given:
        module["outer"]()
    assert given[0].filename == "elsewhere.py"


def test_gathered_are_not_given_and_come_once():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gathered() as outer:
            warn("one")
            with gathered() as inner:
                warn("two")
                warn("two")
            warn("one")
            for message in inner:
                warn(message)
    assert (outer, inner) == (["one", "two"], ["two"])
    with pytest.warns(SteeringWarning, match="three"):
        warn("three")


def test_an_error_ends_the_gathering():
    with pytest.raises(KeyError), gathered():
        raise KeyError
    with pytest.warns(SteeringWarning):
        warn("given again")


def test_other_threads_keep_theirs():
    there = []

    def other():
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            warn("theirs")
        there.extend(str(warning.message) for warning in given)

    with gathered() as mine:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        warn("mine")
    assert (mine, there) == (["mine"], ["theirs"])


def test_a_warning_is_one_harmless_line():
    with pytest.warns(SteeringWarning) as given:
        warn("nothing about '\x1b[2J\n'")
    assert str(given[0].message) == r"nothing about '\x1b[2J\n'"
    with gathered() as kept:
        warn("\u202e")
    assert kept == [r"\u202e"]
