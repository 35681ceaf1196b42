"""Work in threads."""

import threading

import pytest

from steersearch.background import answers


@pytest.mark.parametrize("at_once", [1, 3, 20])
def test_every_question_is_answered_once(at_once):
    assert sorted(answers(lambda n: n * n, range(8), at_once)) == [n * n for n in range(8)]
    assert list(answers(str, [], at_once)) == []


def test_so_many_are_under_way_and_no_more():
    barrier, lock = threading.Barrier(3, timeout=10), threading.Lock()
    running = most = 0

    def ask(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait()  # fails unless three run at a time
        with lock:
            running -= 1
        return number

    assert sorted(answers(ask, range(9), 3)) == list(range(9))
    assert most == 3


def test_one_at_a_time_runs_here():
    assert list(answers(lambda _: threading.current_thread(), [1, 2], 1)) == [threading.current_thread()] * 2


def test_after_an_error_nothing_starts_and_what_runs_is_kept():
    asked, failed = [], threading.Event()

    def ask(number):
        asked.append(number)
        if number == 1:
            failed.set()
            raise KeyError(number)
        failed.wait(10)
        return number

    found = []
    with pytest.raises(KeyError):
        found.extend(answers(ask, range(100), 3))
    assert set(found) == set(asked) - {1}
    assert {0, 1, 2} <= set(asked)
    assert len(asked) <= 6
