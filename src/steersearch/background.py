"""Work in threads: one call, or many of which a few run at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


def in_thread(work: Callable[..., A], *args: Any) -> Future[A]:
    """Run a function in a daemon thread: unlike an executor's, it does not keep Python from ending."""
    future: Future[A] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args))
        except BaseException as error:  # it belongs to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def answers(ask: Callable[[Q], A], questions: Iterable[Q], at_once: int) -> Iterator[A]:
    """Yield what a function gives for each question, the first that is ready first.

    After an error no further question is asked. Those under way are waited for and yielded, then the error is raised.

    Args:
        ask: Called in a thread of its own for each question, but in this one where `at_once` is 1.
        questions: Read one by one, in this thread, when a question is asked.
        at_once: Questions under way at most, at least 1.
    """
    if at_once == 1:
        yield from map(ask, questions)
        return
    waiting, pending = iter(questions), set[Future[A]]()
    failed: BaseException | None = None
    more = True
    while True:
        while more and failed is None and len(pending) < at_once:
            try:
                question = next(waiting)
            except StopIteration:
                more = False
            else:
                pending.add(in_thread(ask, question))
        if not pending:
            break
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            if (error := future.exception()) is None:
                yield future.result()
            else:
                failed = failed or error
    if failed is not None:
        raise failed
