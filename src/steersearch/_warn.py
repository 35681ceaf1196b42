"""Warnings that name the caller's line."""

from __future__ import annotations

import sys
import warnings

from .errors import SteeringWarning


def warn(message: str) -> None:
    """Give a `SteeringWarning` at the first line outside of this package, so that Python shows it once per place."""
    level = 1
    while sys._getframe(level).f_globals.get("__name__", "").startswith("steersearch."):
        level += 1
    warnings.warn(message, SteeringWarning, stacklevel=level + 1)
