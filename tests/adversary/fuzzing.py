"""Makes altered inputs, gives them to a parser for some seconds, and shortens those that it fails on.

`STEERSEARCH_FUZZ_SEED=7` repeats or varies the inputs, and `STEERSEARCH_FUZZ_SECONDS=600` lengthens every target.
Without it a fast machine stops at `INPUTS`, so that it tries nothing that a slow one, given time, did not.
"""

from __future__ import annotations

import copy
import math
import os
import random
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from steersearch.errors import SteersearchError

SEED = os.environ.get("STEERSEARCH_FUZZ_SEED", "20260")
SECONDS = float(os.environ.get("STEERSEARCH_FUZZ_SECONDS", "6"))
"""For each target."""
INPUTS = math.inf if "STEERSEARCH_FUZZ_SECONDS" in os.environ else 5000
"""Most inputs of a target."""
LOOK_SECONDS = 10
"""Longest that one input may take, on a busy machine."""
MOST_FAILURES = 6
"""Different failures after which a target is given up."""

VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        -(2**63) - 1,
        10**400,
        1.5,
        -0.0,
        1e308,
        math.inf,
        -math.inf,
        math.nan,
    ),
    *("", "x", "\ud800", "\x00", "\x1b[2J", "a" * 5000, "../x", "9" * 5000, [], [[]], {}, {"": {}}, [None], ["x"] * 50),
    *("f3", "moon", "auto", "-auto", {"f3": 1}, {"$eq": 1}, [1, "1", None]),
]
BYTES = [
    b"\x00",
    b"\xff",
    b"\x1b",
    b"\\",
    b'"',
    b"'",
    b"<",
    b">",
    b"[",
    b"{",
    b"-",
    b"#",
    b"\r",
    b"\n",
    b",",
    b"9" * 30,
]
BYTES += [
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"<![",
    b"<!--",
    b"</",
    b"```",
    b"---\n",
    b"&#x110000;",
    b"NaN",
    b"1e999",
]


def altered_bytes(rng: random.Random, content: bytes) -> bytes:
    """Return bytes with one to four changes: a flip, a token, a cut, a piece that is repeated or moved."""
    made = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        end = min(len(made), at + rng.choice([1, 2, 8, 100]))
        kind = rng.randrange(6)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            made[at:at] = rng.choice(BYTES)
        elif kind == 2:
            del made[at:end]
        elif kind == 3:
            made[at:at] = made[at:end] * rng.choice([1, 3, 50])
        elif kind == 4:
            made[at:end] = rng.choice(BYTES)
        else:
            del made[rng.randrange(len(made) + 1) :]
    return bytes(made)


def altered_value(rng: random.Random, value: Any) -> Any:
    """Return JSON with one to three places changed: another value, a key or an element that is new, gone or twice."""
    made = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        place, key, parent = made, None, None
        while isinstance(place, dict | list) and place and (parent is None or rng.random() < 0.75):
            parent = place
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            place = place[key]
        if parent is None:
            made = rng.choice(VALUES)
            continue
        kind = rng.randrange(5)
        if kind < 3:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 3:
            del parent[key]
        elif isinstance(parent, dict):
            parent[rng.choice(["", "x", "$and", "$in", "f3", "id", "9" * 30, "\ud800"])] = copy.deepcopy(
                rng.choice(VALUES)
            )
        else:
            parent.append(copy.deepcopy(rng.choice(VALUES)))
    return made


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """Return a JSON value of any kind."""
    if depth > 3 or rng.random() < 0.4:
        return copy.deepcopy(rng.choice(VALUES))
    keys = ["n", "tag", "$and", "$or", "$not", "$in", "$gte", "$exists", "", "\ud800", "$x"]
    if rng.random() < 0.4:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(keys): any_value(rng, depth + 1) for _ in range(rng.randrange(4))}


Look = Callable[[Any], object]
"""Gives an input to a parser, and checks what comes of it."""


def fuzz(name: str, make: Callable[[random.Random], Any], look: Look, counter: Path) -> None:
    """Give inputs to a parser until the time is over, and report every failure.

    The number of the input is written into a file before it is tried: a library may end the process.
    """
    rng = random.Random(f"{SEED} {name}")
    print("seed", SEED)
    found: dict[str, str] = {}
    end, count = time.monotonic() + SECONDS, 0
    written = os.open(counter, os.O_WRONLY | os.O_CREAT)
    while time.monotonic() < end and count < INPUTS and len(found) < MOST_FAILURES:
        given = make(rng)
        count += 1
        os.pwrite(written, b"%9d" % count, 0)
        failed = failure(look, given)
        if failed and failed.place not in found:
            least = shortest(given, failed.place, look)
            found[failed.place] = f"input {count}, {failed.place}: {failed.message:.300}\n  {least!r:.2000}"
    os.close(written)
    print(f"{name}: {count} inputs")
    assert not found, f"{name}:\n" + "\n".join(found.values())


def input_number(name: str, make: Callable[[random.Random], Any], number: int) -> Any:
    """Make an input of `fuzz` again."""
    rng = random.Random(f"{SEED} {name}")
    return [make(rng) for _ in range(number)][-1]


class Failure(NamedTuple):
    """What came out of a parser that is not ours."""

    kind: str
    message: str
    place: str
    """Its class and the last line of ours that it came through."""


def failure(look: Look, given: Any) -> Failure | None:
    """Return what a parser raises that is not ours, or `TimeoutError`."""
    with warnings.catch_warnings():
        # What it leaves open is closed here, before the warnings count again.
        warnings.simplefilter("ignore")
        try:
            with time_limit():
                look(given)
        except SteersearchError as error:
            message = str(error)
            return Failure("AssertionError", f"more than one line: {message}", "lines") if "\n" in message else None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # also panics of Rust, which are no Exception
            kind = type(error).__name__
            return Failure(kind, str(error), f"{kind} {_last_line(error)}")
    return None


def _last_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


@contextmanager
def time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"it took more than {LOOK_SECONDS} s")

    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def shortest(given: Any, place: str, look: Look, seconds: float = 8.0) -> Any:
    """Leave out bytes, characters, keys and elements, for as long as the rest still fails at the same place."""
    end = time.monotonic() + seconds

    def fails(fewer: Any) -> bool:
        failed = failure(look, fewer)
        return failed is not None and failed.place == place

    if isinstance(given, bytes | str):
        size = max(1, len(given) // 2)
        while time.monotonic() < end:
            at = 0
            while at < len(given) and time.monotonic() < end:
                fewer = given[:at] + given[at + size :]
                if fails(fewer):
                    given = fewer
                else:
                    at += size
            if size == 1:
                break
            size = max(1, size // 4)
        return given
    again = True
    while again and time.monotonic() < end:
        again = False
        for fewer in _fewer(given):
            if time.monotonic() > end:
                break
            if fails(fewer):
                given, again = fewer, True
                break
    return given


def _fewer(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key in value:
            yield {other: value[other] for other in value if other != key}
        for key in value:
            for smaller in _fewer(value[key]):
                yield {**value, key: smaller}
    elif isinstance(value, list):
        for at in range(len(value)):
            yield value[:at] + value[at + 1 :]
        for at in range(len(value)):
            for smaller in _fewer(value[at]):
                yield [*value[:at], smaller, *value[at + 1 :]]
