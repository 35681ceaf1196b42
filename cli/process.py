"""A command as a process: its streams, and how each way to end looks: one line on stderr and an exit code.

| ends with | when |
|---|---|
| 0 | all went well |
| 1 | the call was right and the work failed, or something is wrong with what was looked at |
| 2 | the call itself was wrong |
| 130 | it was stopped by Ctrl-C |
| 141 | nobody reads stdout any more, as in `sae search … | head -1`; nothing is printed then |
"""

from __future__ import annotations

import codecs
import glob
import io
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar, cast

import typer

from ..errors import SteersearchError
from .console import stderr, tell, tell_warnings_and_logs

T = TypeVar("T")
_CommandError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])
"""Errors of the command line itself: above `UsageError`. Which package it is in depends on typer's version."""
STOPPED, UNREAD = 130, 141
"""Exit codes: 128 and the number of the signal, SIGINT and SIGPIPE, as a shell says it of other programs."""
_ASCII = {"…": "...", "▲": "^", "▼": "v", "█": "#", "░": ".", "×": "x"}
"""What is printed for our own marks where stdout cannot write them."""
TRACEBACK = "STEERSEARCH_TRACEBACK"
"""With this in the environment, an error that is our fault is shown in full."""


class _Stdout:
    """The process's stdout, which remembers why it could not be written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        return self._or_lost(lambda: int(self._stream.write(text)))

    def flush(self) -> None:
        self._or_lost(self._stream.flush)

    def _or_lost(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except OSError as error:
            self.lost = self.lost or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run an app with the arguments of this process, and end the process."""
    stdout = _set_up_streams()
    with tell_warnings_and_logs():
        code = _run(app, name, stdout)
    with suppress(OSError):
        stdout.flush()
    if stdout.lost is not None:
        # Or Python tries once more when it ends, and complains.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(stdout.lost, BrokenPipeError):
            sys.exit(UNREAD)
        reason = stdout.lost.strerror or stdout.lost
        tell("error", f"cannot write to stdout ({reason}): send it where there is space left")
    sys.exit(code)


def _run(app: typer.Typer, name: str, stdout: _Stdout) -> int:
    """Run an app, print its error, and return the exit code."""
    # Typer's own `main` ends with 1 and in a traceback or a box where ours is one line.
    try:
        _invoke(app, name)
        return 0
    except typer.Exit as end:
        return int(end.exit_code)
    except SteersearchError as error:
        tell("error", error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        stderr.print("stopped")
        return STOPPED
    except MemoryError as error:
        tell("error", f"this needs more memory than there is ({str(error) or 'MemoryError'})")
        return 1
    except _CommandError as error:
        # A group without a command has shown its help.
        if type(error).__name__ != "NoArgsIsHelpError":
            path = getattr(getattr(error, "ctx", None), "command_path", name)
            tell("error", f"{error.format_message().rstrip('.')} (see {path} --help)")
        return int(getattr(error, "exit_code", 2))
    except OSError as error:
        # That stdout cannot be written is told by `run`.
        if stdout.lost is None:
            tell("error", f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        return 1
    # The last resort, also for a panic in Rust, which is no Exception.
    except BaseException as error:
        if isinstance(error, SystemExit) and stdout.lost is not None:
            # So rich ends when nobody reads the help.
            return 1
        if isinstance(error, SystemExit) or os.environ.get(TRACEBACK):
            raise
        return _tell_fault(error)


def _invoke(app: typer.Typer, name: str) -> None:
    command = typer.main.get_command(app)
    if f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ:
        # A shell asks what may follow; typer prints that and ends the process.
        command.main(prog_name=name)
    with command.make_context(name, _arguments()) as context:
        command.invoke(context)


def _tell_fault(error: BaseException) -> int:
    """Print an error that nobody expected, and return the exit code."""
    cause: BaseException | None = error
    # An extension module that is being loaded makes an ImportError of Ctrl-C.
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        stderr.print("stopped")
        return STOPPED
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    tell(
        "error",
        f"{type(error).__name__}: {error} (in {where}): this is a fault of steersearch, please report it with what "
        f"{TRACEBACK}=1 shows",
    )
    return 1


def _arguments() -> list[str]:
    """Return the arguments of this process. On Windows patterns are ours to expand: its shells do not."""
    if os.name != "nt":
        return sys.argv[1:]
    return [found for argument in sys.argv[1:] for found in sorted(glob.glob(argument)) or [argument]]


def _set_up_streams() -> _Stdout:
    """Make stdin, stdout and stderr safe to use, whatever they are, and return stdout."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed, as by `>&-`: the next file that is opened, a database perhaps, would take its number. What is in
            # its place refuses to be used.
            os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_write_otherwise.__name__)
    stdout = _Stdout(sys.stdout)
    sys.stdout = cast(TextIO, stdout)
    return stdout


def _write_otherwise(error: UnicodeError) -> tuple[str, int]:
    """Return what is written for characters that an encoding lacks: our own marks in ASCII, an escape for others."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


codecs.register_error(_write_otherwise.__name__, _write_otherwise)
