"""Rows of the table of hostile inputs: what is given, what must come of it, in which time and memory.

A row makes an input in an empty folder, runs something on it, and says what is expected. All of it happens in a process
forked for the row, see `fork_server.py`: limits of CPU time and memory end that process and not the tests.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUNDLE = Path(__file__).parents[1] / "data" / "tiny_bundle"
SLOW = "slow"
SECONDS, MEGABYTES = 2.0, 300


@dataclass(frozen=True)
class Row:
    name: str
    """What is hostile, after the kind of input: ``document: one word of 20 MB``."""
    run: Callable[[Path], Any]
    """Makes the input in an empty folder and gives it to the product."""
    expected: Callable[[Callable[[], Any]], None]
    """`error`, `gives`, `holds` or `refused`; called with the run, raises an AssertionError."""
    marks: tuple[str, ...]
    """`SLOW` for large inputs."""
    seconds: float
    """Most CPU time, with the making of the input."""
    megabytes: int
    """Most memory above that of the program itself."""


ROWS: list[Row] = []


def row(
    name: str,
    run: Callable[[Path], Any],
    expected: Callable[[Callable[[], Any]], None],
    *marks: str,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
) -> None:
    """Add a row to the table."""
    assert all(name != other.name for other in ROWS), name
    ROWS.append(Row(name, run, expected, marks, seconds, megabytes))


def error(kind: str, fragment: str = "") -> Callable[[Callable[[], Any]], None]:
    """Expect an error of this class of `steersearch.errors`, one line that holds a fragment."""

    def check(run: Callable[[], Any]) -> None:
        import steersearch.errors

        try:
            result = run()
        except getattr(steersearch.errors, kind) as raised:
            text = str(raised)
            assert fragment.lower() in text.lower(), f"{fragment!r} is not in: {text:.500}"
            assert "\n" not in text, f"more than one line: {text!r:.500}"
            assert len(text) < 1500, f"{len(text)} characters: {text:.200}"
        else:
            raise AssertionError(f"no error but {result!r:.300}")

    return check


def gives(value: Any) -> Callable[[Callable[[], Any]], None]:
    """Expect this result."""

    def check(run: Callable[[], Any]) -> None:
        result = run()
        assert result == value, f"{result!r:.500}, expected {value!r:.300}"

    return check


def holds(condition: Callable[[Any], Any]) -> Callable[[Callable[[], Any]], None]:
    """Expect a result that meets a condition."""

    def check(run: Callable[[], Any]) -> None:
        result = run()
        assert condition(result), f"{result!r:.600}"

    return check


def gives_or_error(condition: Callable[[Any], Any]) -> Callable[[Callable[[], Any]], None]:
    """Expect a result that meets a condition, or an error of ours: who wrote the input decides which."""

    def check(run: Callable[[], Any]) -> None:
        from steersearch.errors import SteersearchError

        found = None
        try:
            result = run()
        except SteersearchError as raised:
            found = str(raised)
        if found is not None:
            assert "\n" not in found, f"more than one line: {found!r:.300}"
        else:
            assert condition(result), f"{result!r:.600}"

    return check


def anything(result: Any) -> bool:
    """Accept every result: the row is about time, memory and the kind of error."""
    return True


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def refused(fragment: str = "", *codes: int) -> Callable[[Callable[[], Any]], None]:
    """Expect a command to end with 1 or 2 and one line on stderr."""

    def check(run: Callable[[], Any]) -> None:
        ended = run()
        assert ended.code in (codes or (1, 2)), ended
        assert "Traceback" not in ended.err, ended.err[-600:]
        assert fragment.lower() in ended.err.lower(), ended
        lines = [line for line in ended.err.splitlines() if line.startswith(("error: ", "Error: ", "│"))]
        assert lines, f"no line that says error: {ended.err:.400}"

    return check


def sae(*arguments: object, encoding: str = "utf-8", stdout: str | None = None) -> Ended:
    """Run `sae` in this process, which is forked for it, with its output in files.

    `stdout` may be a file like /dev/full in place of that, or ``closed``, a pipe that nobody reads.
    """
    from steersearch.cli import main

    names = ["out.txt" if stdout in (None, "closed") else str(stdout), "err.txt"]
    for number, name in zip((1, 2), names, strict=True):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    if stdout == "closed":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
    stream = [io.TextIOWrapper(os.fdopen(os.dup(n), "wb"), encoding, line_buffering=True) for n in (1, 2)]
    sys.stdout, sys.stderr, sys.argv = stream[0], stream[1], ["sae", *map(str, arguments)]
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as raised:
        print(f"Traceback: {type(raised).__name__}: {raised!s:.300}", file=sys.stderr)
        code = 70
    for one in (sys.stdout, sys.stderr):
        try:
            one.flush()
        except (OSError, ValueError) as raised:
            code = code or 120  # as Python ends when it cannot flush
            if one is sys.stdout and code == 120:
                Path("err.txt").write_text(f"Traceback: {raised}")
    out = "" if stdout else Path("out.txt").read_text(encoding, "replace")
    return Ended(code, out, Path("err.txt").read_text(encoding, "replace"))
