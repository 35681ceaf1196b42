"""Imports of optional packages: a missing one is an error of one line that names the pip command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import MissingExtraError
from ..extras import installed


@contextmanager
def needs(*modules: str, pip: str) -> Iterator[None]:
    """Guard the imports inside ``with``: raise a `MissingExtraError` unless these top-level modules are installed.

    `pip` is what to install, as the pip command takes it, for example ``"'steersearch[ray]'"``.
    """
    missing = [name for name in modules if not installed(name)]
    if missing:
        raise MissingExtraError(f"{', '.join(missing)} is not installed: pip install {pip}")
    yield
