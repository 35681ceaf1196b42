"""Choices whose values are the names in a table of the library, imported when a value is checked or help is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., Any])


def _backends() -> Iterable[str]:
    from ..runtime.search.backends import BACKENDS

    return "auto", *BACKENDS


def _blends() -> Iterable[str]:
    from ..runtime.steering.request import BLENDS

    return BLENDS


def _profiles() -> Iterable[str]:
    from ..runtime import MemoryProfile

    return get_args(MemoryProfile)


def _queries() -> Iterable[str]:
    from ..runtime.bundle.fast_queries.table import Queries

    return get_args(Queries)


def _views() -> Iterable[str]:
    from ..runtime.search.views import VIEWS

    return VIEWS


TYPER: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": "markdown"}
"""How every group of commands is set up."""
TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "BACKEND": _backends,
    "BLEND": _blends,
    "PROFILE": _profiles,
    "QUERIES": _queries,
    "VIEW": _views,
}
"""Placeholder of a choice -> a function that returns its values in the order of the help page."""


def choice(table: str, *declarations: str, help: str) -> Any:
    """Return an option that takes the names in one of `TABLES`. `ChoosingCommand` shows them on its help page."""

    def check(value: str) -> str:
        names = tuple(TABLES[table]())
        if value not in names:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, names))}.")
        return value

    return typer.Option(*declarations, help=help, metavar=table, callback=check)


class ChoosingCommand(TyperCommand):
    """A command whose help page lists the values of its choices, and names no type where an option takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` among them."""
        return _without_type_of_flags(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page, with the names in a table in the place of its placeholder."""
        for parameter in self.params:
            if parameter.metavar in TABLES:
                parameter.metavar = f"<{'|'.join(TABLES[parameter.metavar]())}>"
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    """A group of commands; its own help page names no type where an option takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` among them."""
        return _without_type_of_flags(super().get_params(ctx))


class Commands(typer.Typer):
    """Commands of ours: each is a `ChoosingCommand`, in a `Group`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group} | TYPER | settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Register a command, as `typer.Typer.command` does."""
        return super().command(name, **{"cls": ChoosingCommand} | settings)


def _without_type_of_flags(parameters: list[Any]) -> list[Any]:
    """Keep typer from showing ``<bool>`` beside options that take no value."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
