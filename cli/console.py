r"""The terminal: all that a command says goes through `console`, `stderr` or `tell`, which show data harmlessly.

Ids, texts, labels, paths and messages are somebody else's. None of it is read as markup or as the name of an emoji, and
what would steer a terminal or hide from a reader is shown as an escape like ``\x1b``; see `text.visible`.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, cast

import rich.console
from rich.segment import Segment
from rich.text import Text

from ..errors import SteeringWarning
from ..text import one_line, visible

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType

LONGEST = 4000
"""Characters of an error or warning. A longer one, which repeats a long argument, is cut in the middle."""


class Console(rich.console.Console):
    """A console on which a string is data, and one line: styles are given with `harmless`, or as ``style=``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return a string as rich text, one line. It is made harmless here, before it is measured for a column."""
        return super().render_str(visible(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what is written. Whatever reached this as rich text is made harmless too, and links are none."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                style = segment.style.update_link(None) if segment.style and segment.style.link else segment.style
                yield Segment(visible(segment.text, lines=True), style)

    def on_broken_pipe(self) -> None:
        """Go on with the error where rich would end the process with 1; see `process.run`."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class _Stderr:
    """The process's stderr. Its failures are passed over: no work should end because its progress cannot be seen."""

    @property
    def _stream(self) -> Any:
        # While a bar is shown, rich puts itself in the place of sys.stderr.
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr) or io.StringIO()

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_stderr = cast(IO[str], _Stderr())
console = Console()
# Under torchrun only the first process shows its progress.
stderr = Console(file=_stderr, stderr=True, quiet=os.environ.get("RANK", "0") != "0")


def harmless(*parts: str | tuple[str, str]) -> Text:
    """Return rich text of strings and of pairs (string, style), each made harmless; it is one line."""
    return Text.assemble(*(visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts))


def tell(kind: str, message: object) -> None:
    """Print one line on stderr: ``error: …`` or ``warning: …``. Also where progress is not shown."""
    line = visible(one_line(f"{kind}: {message}"))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    if stderr.quiet:
        _stderr.write(line + "\n")
        _stderr.flush()
    else:
        stderr.print(line, soft_wrap=True)


class TellHandler(logging.Handler):
    """Prints what the library and others log, from warnings on, a line for each."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        try:
            tell(record.levelname.lower(), record.getMessage())
        # As logging does: a fault in a log line is never one of the program.
        except Exception:
            self.handleError(record)


@contextmanager
def tell_warnings_and_logs() -> Iterator[None]:
    """Print warnings and log lines as `tell` does inside ``with``, and every `SteeringWarning` once."""

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
        told = issubclass(category, SteeringWarning)
        tell("warning", message if told else f"{category.__name__}: {message} ({filename}:{lineno})")

    handler = TellHandler()
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("once", SteeringWarning)
            warnings.showwarning = show
            yield
    finally:
        logging.getLogger().removeHandler(handler)
