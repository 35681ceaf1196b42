"""What autodoc does not find by itself in a package whose names come from modules inside it."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, get_origin

from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

PACKAGES = (
    "steersearch.runtime",
    "steersearch.training",
    "steersearch.export",
    "steersearch.corpus",
    "steersearch.errors",
    "steersearch.integrations.langchain",
    "steersearch.integrations.agents",
    "steersearch.integrations.llama_index",
    "steersearch.integrations.haystack",
)
"""Each has a page; every name of its `__all__` must be there."""


@cache
def _docstrings_of_names() -> dict[str, list[str]]:
    """The string below `NAME = ...` at the top of any module of ours, by name; of a name in two modules, the first."""
    found: dict[str, list[str]] = {}
    for module in sorted(name for name in sys.modules if name.startswith("steersearch.")):
        try:
            analyzer = ModuleAnalyzer.for_module(module)
            analyzer.analyze()
        except PycodeError:
            continue
        for (scope, name), lines in analyzer.attr_docs.items():
            if not scope:
                found.setdefault(name, list(lines))
    return found


ATTRIBUTES = ("attribute", "data", "property", "type")
_read: dict[str, list[str]] = {}


def _describe(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings of attributes are read like those of functions.

    Napoleon takes what stands before a colon for the type, and sections for text. And a type alias has its description
    where it is defined, while autodoc looks where it is imported.
    """
    word = name.rpartition(".")[2]
    if what in ("data", "type") and word in _docstrings_of_names():
        lines[:] = _docstrings_of_names()[word]
    if what in ATTRIBUTES:
        _read[name] = GoogleDocstring(list(lines), app.config, app, "method", name).lines()


def _restore(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """After napoleon: what `_describe` read."""
    if what in ATTRIBUTES and (kept := _read.pop(name, None)) is not None:
        lines[:] = kept


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a framework's base class defines: it is in the framework's own pages."""
    home = _module_of(obj)
    return True if what in ("class", "exception") and home and not home.startswith("steersearch") else None


def _signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Aliases by their names, where Sphinx writes how it holds them."""
    return tuple(text and re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"\1", text) for text in (signature, returns))


def _module_of(member: Any) -> str | None:
    """Where a function, property or class method was written; None for anything else."""
    inner = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
    return getattr(inner, "__module__", None) or "builtins" if callable(inner) else None


def _insert(app: Sphinx, page: str, source: list[str]) -> None:
    """``<!-- api: PACKAGE -->`` becomes all its public names; type aliases one by one, which automodule passes over."""
    for mark, package in re.findall(r"^(<!-- api: (\S+) -->)$", source[0], re.MULTILINE):
        module = import_module(package)
        names = [n for n in getattr(module, "__all__", ()) if not callable(getattr(module, n)) or _is_alias(module, n)]
        aliases = "".join(f"\n.. autodata:: {package}.{name}\n   :no-value:\n" for name in names)
        source[0] = source[0].replace(mark, f"```{{eval-rst}}\n.. automodule:: {package}\n{aliases}```")


def _is_alias(module: ModuleType, name: str) -> bool:
    return get_origin(getattr(module, name)) is not None


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    for package in PACKAGES:  # before autodoc, which would take type stubs of the libraries for the libraries
        import_module(package)
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("source-read", _insert)
    app.connect("autodoc-process-docstring", _describe, priority=400)
    app.connect("autodoc-process-docstring", _restore, priority=600)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
