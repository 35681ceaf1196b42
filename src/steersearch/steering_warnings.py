"""Warnings about steering: shown at the line of the caller, or gathered by a caller that shows them itself."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import SteeringWarning
from .text import visible

_SKIPPED = ("steersearch.", "langchain_core.", "llama_index.", "haystack.")
"""Packages whose lines are not the caller's. A new framework in `integrations` adds itself here."""
_gathered: ContextVar[list[str] | None] = ContextVar("gathered", default=None)


class Message(str):
    """The text of a warning, with what kind of warning it is."""

    __slots__ = ("kind",)
    kind: str
    """One word, such as `nothing` or `conflict`; empty for one that has no kind."""

    @classmethod
    def of(cls, text: str, kind: str) -> Message:
        """Return a text with its kind."""
        made = cls(text)
        made.kind = kind
        return made


def warn(message: str, kind: str = "") -> None:
    """Give a `SteeringWarning` at the first line outside of the skipped packages, so that Python shows it once a place.

    In a worker thread every line may be inside of them; the warning then names the outermost one. It is one line, in
    which characters that would steer a terminal are escapes.

    Args:
        message: What is probably not meant, and the cure. A `Message` keeps its kind.
        kind: What kind of warning it is, for who gathers them; see `Message.kind`.
    """
    message = Message.of(visible(message), kind or getattr(message, "kind", ""))
    kept = _gathered.get()
    if kept is not None:
        if message not in kept:
            kept.append(message)
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_SKIPPED):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, SteeringWarning, stacklevel=level)


@contextmanager
def gathered() -> Iterator[list[str]]:
    """Collect this thread's warnings of a ``with`` block in a list instead of giving them, each message once."""
    kept: list[str] = []
    token = _gathered.set(kept)
    try:
        yield kept
    finally:
        _gathered.reset(token)
