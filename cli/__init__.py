"""The command line: one typer app, `sae`, thin over the API.

Commands import what they need when they run: `sae search` works where torch is not installed, and `--help` is quick.
Here nothing is imported before `main` is called, so that Ctrl-C is met from the start.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .commands import app as app
    from .commands import export_app as export_app


def main() -> None:
    """Run ``sae``."""
    _run("app", "sae")


def main_export() -> None:
    """Run ``sae-export``."""
    _run("export_app", "sae-export")


def __getattr__(name: str) -> Any:
    if name not in ("app", "export_app"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import commands

    return getattr(commands, name)


def _run(app: str, name: str) -> None:
    try:
        from . import commands
        from .process import run
    except KeyboardInterrupt:
        # As `process.run` ends, which was not there yet.
        sys.stderr.write("stopped\n")
        sys.exit(130)
    run(getattr(commands, app), name)
