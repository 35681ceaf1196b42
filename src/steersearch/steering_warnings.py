"""Warnings that name the caller's line, or that a caller gathers to tell them in its own way."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import SteeringWarning

_PASSED = ("steersearch.", "langchain_core.", "llama_index.", "haystack.")
"""Packages whose lines are not the caller's; in a worker thread there may be no other."""
_gathered: ContextVar[list[str] | None] = ContextVar("gathered", default=None)


def warn(message: str) -> None:
    """Give a `SteeringWarning` at the first line outside of these packages, so that Python shows it once per place."""
    kept = _gathered.get()
    if kept is not None:
        if message not in kept:
            kept.append(message)
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PASSED):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, SteeringWarning, stacklevel=level)


@contextmanager
def gathered() -> Iterator[list[str]]:
    """Inside, warnings are not given but come to this list, each message once; other threads keep theirs."""
    kept: list[str] = []
    token = _gathered.set(kept)
    try:
        yield kept
    finally:
        _gathered.reset(token)
